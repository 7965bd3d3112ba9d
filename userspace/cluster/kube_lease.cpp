#include "cluster/kube_lease.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>
#include <vector>

#include "cluster/json_object.h"
#include "cluster/printable.h"

namespace merino {
namespace {

Result<std::optional<IpAddress>> read_address(const KubeNode& node, const std::string& annotation, Family family) {
  const std::string* text = node.annotation(annotation);
  if (text == nullptr || text->empty()) return std::nullopt;
  const auto address = IpAddress::parse(*text);
  if (!address || address->family() != family) {
    return fail(ErrorKind::decode, "annotation {} must be an {} address, found \"{}\"", annotation, family == Family::v4 ? "IPv4" : "IPv6",
                printable(*text));
  }
  if (!is_node_address(*address)) {
    return fail(ErrorKind::invalid, "annotation {} must be the unicast address of a node, found \"{}\"", annotation, printable(*text));
  }
  return *address;
}

// An annotation that a person gave to this node.
Result<std::optional<IpAddress>> read_own_address(const KubeNode& node, const std::string& annotation, Family family) {
  auto address = read_address(node, annotation, family);
  if (address) return address;
  return with_remedy(in_context(std::move(address).error(), fmt::format("node \"{}\"", printable(node.name))),
                     fmt::format("correct it, or remove it: kubectl annotate node {} {}-", printable(node.name), annotation));
}

std::string json_text(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Of the lesser the lease counts.
auto rank(const NodeLeases::value_type& node) { return std::tie(node.second.created, node.first); }

class DisjointSubnets {
 public:
  // The node whose subnet `subnet` overlaps; nullptr if none.
  [[nodiscard]] const NodeLeases::value_type* overlapping(const Prefix& subnet) const {
    const auto next = by_address_.upper_bound(subnet.last());
    if (next == by_address_.begin()) return nullptr;
    const auto* before = std::prev(next)->second;
    return before->second.lease.subnet.overlaps(subnet) ? before : nullptr;
  }
  void add(const NodeLeases::value_type& node) { by_address_.emplace(node.second.lease.subnet.address(), &node); }
  [[nodiscard]] const auto& in_order() const { return by_address_; }

 private:
  std::map<IpAddress, const NodeLeases::value_type*> by_address_;
};

}  // namespace

Result<LeaseAttributes> read_attributes(const KubeNode& node, const AnnotationNames& names) {
  LeaseAttributes attributes;
  const auto public_ip = TRY(read_address(node, names.public_ip, Family::v4));
  if (!public_ip) return fail(ErrorKind::decode, "annotation {} is missing", names.public_ip);
  attributes.public_ip = *public_ip;
  attributes.public_ip_v6 = TRY(read_address(node, names.public_ip_v6, Family::v6));
  if (const std::string* type = node.annotation(names.backend_type)) attributes.backend_type = *type;
  if (attributes.backend_type != "vxlan") return attributes;
  const std::string* data = node.annotation(names.backend_data);
  if (data == nullptr) return fail(ErrorKind::decode, "annotation {} is missing", names.backend_data);
  const JsonObject vxlan = TRY(JsonObject::parse(*data, "annotation " + names.backend_data));
  attributes.vxlan = TRY(parse_vxlan_lease(vxlan));
  return attributes;
}

Result<Prefix> read_pod_cidr(const KubeNode& node) {
  if (node.pod_cidrs.empty()) {
    return with_remedy(
        fail(ErrorKind::unavailable, "node \"{}\" pod cidr not assigned", printable(node.name)),
        "give podCIDRs to nodes: kube-controller-manager --allocate-node-cidrs=true --cluster-cidr=<Network>, which kubeadm init "
        "--pod-network-cidr=<Network> sets");
  }
  for (const std::string& text : node.pod_cidrs) {
    const auto prefix = Prefix::parse(text);
    if (!prefix)
      return fail(ErrorKind::decode, R"(podCIDR of node "{}" must be a prefix, found "{}")", printable(node.name), printable(text));
    if (prefix->family() == Family::v4) return prefix->masked();
  }
  return fail(ErrorKind::unsupported, "node \"{}\" has no IPv4 podCIDR, and this build cannot do without IPv4", printable(node.name));
}

std::optional<NodeLease> read_node_lease(const KubeNode& node, const AnnotationNames& names) {
  const std::string* managed = node.annotation(names.kube_subnet_manager);
  if (managed == nullptr || *managed != "true") return std::nullopt;
  NodeLease out{
      .created = node.created, .lease = {.subnet = {}, .attributes = {}, .expires = kNeverExpires}, .reason = "", .overwrite = {}};
  out.overwrite = read_address(node, names.public_ip_overwrite, Family::v4).value_or(std::nullopt);
  const auto read = [&]() -> Status {
    if (!node.too_long.empty()) {
      return fail(ErrorKind::invalid, "{} is longer than {} bytes", printable(node.too_long), JsonPush::kLongestKept);
    }
    out.lease.subnet = TRY(read_pod_cidr(node));
    out.lease.attributes = TRY(read_attributes(node, names));
    return ok();
  };
  if (const Status done = read(); !done) {
    out.lease = {.subnet = {}, .attributes = {}, .expires = kNeverExpires};
    out.reason = done.error().what;
  }
  return out;
}

LeaseSet make_lease_set(const NodeLeases& nodes, const std::optional<Prefix>& network) {
  LeaseSet set;
  std::vector<const NodeLeases::value_type*> candidates;
  for (const auto& node : nodes) {
    if (!node.second.reason.empty()) {
      set.rejected.push_back({printable(node.first), node.second.reason});
    } else if (network && !network->contains(node.second.lease.subnet)) {
      set.rejected.push_back({printable(node.first), fmt::format("podCIDR {} is outside of Network {}",
                                                                 node.second.lease.subnet.to_string(), network->to_string())});
    } else {
      candidates.push_back(&node);
    }
  }
  std::sort(candidates.begin(), candidates.end(), [](const auto* a, const auto* b) { return rank(*a) < rank(*b); });
  DisjointSubnets accepted;
  for (const auto* node : candidates) {
    const Prefix& subnet = node->second.lease.subnet;
    if (const auto* holder = accepted.overlapping(subnet)) {
      set.rejected.push_back({printable(node->first), fmt::format("podCIDR {} overlaps {} of the older node {}", subnet.to_string(),
                                                                  holder->second.lease.subnet.to_string(), printable(holder->first))});
    } else {
      accepted.add(*node);
    }
  }
  set.leases.reserve(accepted.in_order().size());
  for (const auto& [address, node] : accepted.in_order()) set.leases.push_back(node->second.lease);
  std::sort(set.rejected.begin(), set.rejected.end(), [](const RejectedLease& a, const RejectedLease& b) { return a.key < b.key; });
  return set;
}

Result<IpAddress> published_ip(const KubeNode& node, const AnnotationNames& names, const LeaseAttributes& attributes) {
  return TRY(read_own_address(node, names.public_ip_overwrite, Family::v4)).value_or(attributes.public_ip);
}

IpAddress own_address(const NodeLease& node, const IpAddress& wanted) {
  const IpAddress& said = node.lease.attributes.public_ip;
  const IpAddress to_say = node.overwrite.value_or(wanted);
  if (said == to_say) return wanted;
  return said == wanted ? to_say : said;
}

Result<NodeHints> read_hints(const KubeNode& node, const AnnotationNames& names) {
  NodeHints hints;
  hints.public_ip = TRY(read_own_address(node, names.node_public_ip, Family::v4));
  hints.public_ip_v6 = TRY(read_own_address(node, names.node_public_ip_v6, Family::v6));
  if (auto published = read_attributes(node, names)) hints.published = std::move(*published);
  return hints;
}

std::string annotations_patch(const KubeNode& node, const AnnotationNames& names, const LeaseAttributes& attributes,
                              const IpAddress& public_ip) {
  std::map<std::string, std::string> wanted = {{names.kube_subnet_manager, "true"},
                                               {names.backend_type, attributes.backend_type},
                                               {names.backend_data, "null"},
                                               {names.public_ip, public_ip.to_string()}};
  if (attributes.vxlan) wanted[names.backend_data] = format_vxlan_lease(*attributes.vxlan);
  std::vector<std::string> members;
  for (const auto& [key, value] : wanted) {
    const std::string* current = node.annotation(key);
    if (current == nullptr || *current != value) members.push_back(json_text(key) + ":" + json_text(value));
  }
  if (members.empty()) return "";
  return fmt::format(R"({{"metadata":{{"annotations":{{{}}}}}}})", fmt::join(members, ","));
}

std::string network_available_patch(const KubeNode& node, std::chrono::system_clock::time_point now) {
  constexpr std::string_view kReason = "FlannelIsUp";  // tools know flannel's words
  if (node.unavailable_status == "False" && node.unavailable_reason == kReason) return "";
  const std::string time = fmt::format("{:%FT%TZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(now)));
  return fmt::format(
      R"({{"status":{{"conditions":[{{"type":"NetworkUnavailable","status":"False","lastHeartbeatTime":"{}","lastTransitionTime":"{}",)"
      R"("reason":"{}","message":"Flannel is running on this node"}}]}}}})",
      time, time, kReason);
}

}  // namespace merino
