#include "cluster/kube_lease.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "base/printable.h"
#include "cluster/disjoint.h"
#include "cluster/json_object.h"

namespace merino {
namespace {

Result<std::optional<IpAddress>> read_address(const KubeNode& node, const std::string& annotation, Family family) {
  const std::string* text = node.annotation(annotation);
  if (text == nullptr || text->empty()) return std::nullopt;
  const auto address = IpAddress::parse(*text);
  if (!address || address->family() != family) {
    return fail(ErrorKind::decode, "annotation {} must be an {} address, found \"{}\"", annotation, family_name(family), printable(*text));
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

Result<std::optional<VxlanLease>> read_vxlan(const KubeNode& node, const std::string& annotation, Family family) {
  const std::string* data = node.annotation(annotation);
  // "null" is what host-gw leaves there, of a family that the node may not use any more.
  if (family == Family::v6 && (data == nullptr || *data == "null")) return std::nullopt;
  if (data == nullptr) return fail(ErrorKind::decode, "annotation {} is missing", annotation);
  const JsonObject vxlan = TRY(JsonObject::parse(*data, "annotation " + annotation));
  return TRY(parse_vxlan_lease(vxlan));
}

// Of the lesser the lease counts.
auto rank(const NodeLeases::value_type& node) { return std::tie(node.second.created, node.first); }

// Why podCIDRs have no place in the networks; empty if they have.
std::string podcidr_misplacement(const Subnets& subnets, const Subnets& networks) {
  if (networks.empty()) return "";
  bool any = false;
  for (const Family family : kFamilies) {
    if (!subnets[family] || !networks[family]) continue;
    if (!networks[family]->contains(*subnets[family]))
      return fmt::format("podCIDR {} is outside of Network {}", subnets[family]->to_string(), networks[family]->to_string());
    any = true;
  }
  return any ? "" : fmt::format("podCIDR {} is outside of Network {}", to_string(subnets), to_string(networks));
}

}  // namespace

std::string shown_name(const std::string& node) {
  constexpr size_t kLongestName = 253;  // of any object of Kubernetes
  return printable(node, kLongestName);
}

Result<LeaseAttributes> read_attributes(const KubeNode& node, const AnnotationNames& names) {
  LeaseAttributes attributes;
  for (const Family family : kFamilies) attributes.public_ip[family] = TRY(read_address(node, names.of(family).public_ip, family));
  if (attributes.public_ip.empty()) return fail(ErrorKind::decode, "annotation {} is missing", names.v4.public_ip);
  if (const std::string* type = node.annotation(names.backend_type)) attributes.backend_type = *type;
  if (attributes.backend_type != "vxlan") return attributes;
  for (const Family family : kFamilies) {
    if (attributes.public_ip[family]) attributes.vxlan[family] = TRY(read_vxlan(node, names.of(family).backend_data, family));
  }
  return attributes;
}

Result<Subnets> read_pod_cidrs(const KubeNode& node) {
  if (node.pod_cidrs.empty()) {
    return with_remedy(
        fail(ErrorKind::unavailable, "node \"{}\" pod cidr not assigned", printable(node.name)),
        "give podCIDRs to nodes: kube-controller-manager --allocate-node-cidrs=true --cluster-cidr=<Network>, which kubeadm init "
        "--pod-network-cidr=<Network> sets");
  }
  Subnets subnets;
  for (const std::string& text : node.pod_cidrs) {
    const auto prefix = Prefix::parse(text);
    if (!prefix)
      return fail(ErrorKind::decode, R"(podCIDR of node "{}" must be a prefix, found "{}")", printable(node.name), printable(text));
    if (!subnets[prefix->family()]) subnets[prefix->family()] = prefix->masked();
  }
  return subnets;
}

std::optional<NodeLease> read_node_lease(const KubeNode& node, const AnnotationNames& names) {
  const std::string* managed = node.annotation(names.kube_subnet_manager);
  if (managed == nullptr || *managed != "true") return std::nullopt;
  NodeLease out{
      .created = node.created, .lease = {.subnet = {}, .attributes = {}, .expires = kNeverExpires}, .reason = "", .overwrite = {}};
  for (const Family family : kFamilies)
    out.overwrite[family] = read_address(node, names.of(family).public_ip_overwrite, family).value_or(std::nullopt);
  const auto read = [&]() -> Status {
    if (!node.too_long.empty()) {
      return fail(ErrorKind::invalid, "{} is longer than {} bytes", printable(node.too_long), JsonPush::kLongestKept);
    }
    out.lease.subnet = TRY(read_pod_cidrs(node));
    out.lease.attributes = TRY(read_attributes(node, names));
    return ok();
  };
  if (const Status done = read(); !done) {
    out.lease = {.subnet = {}, .attributes = {}, .expires = kNeverExpires};
    out.reason = done.error().what;
  }
  return out;
}

LeaseSet make_lease_set(const NodeLeases& nodes, const Subnets& networks) {
  LeaseSet set;
  std::vector<const NodeLeases::value_type*> candidates;
  for (const auto& node : nodes) {
    const std::string reason = node.second.reason.empty() ? podcidr_misplacement(node.second.lease.subnet, networks) : node.second.reason;
    if (reason.empty()) {
      candidates.push_back(&node);
    } else {
      set.rejected.push_back({printable(node.first), reason});
    }
  }
  std::sort(candidates.begin(), candidates.end(), [](const auto* a, const auto* b) { return rank(*a) < rank(*b); });
  DisjointSubnets<NodeLeases::value_type> accepted;
  std::vector<LeaseList::Item> leases;
  for (const auto* node : candidates) {
    const Subnets subnets = of_families(node->second.lease.subnet, networks);
    if (const auto* holder = accepted.overlapping(subnets)) {
      set.rejected.push_back({printable(node->first),
                              fmt::format("podCIDR {} overlaps {} of the older node {}", to_string(subnets),
                                          to_string(holder->second.lease.subnet), printable(holder->first)),
                              node->second.lease});
    } else {
      accepted.add(subnets, *node);
      Lease lease = node->second.lease;
      lease.subnet = subnets;
      lease.node_name = shown_name(node->first);
      leases.push_back(std::make_shared<const Lease>(std::move(lease)));
    }
  }
  std::sort(leases.begin(), leases.end(), [](const auto& a, const auto& b) { return a->subnet < b->subnet; });
  set.leases = LeaseList(leases);
  std::sort(set.rejected.begin(), set.rejected.end(), [](const RejectedLease& a, const RejectedLease& b) { return a.key < b.key; });
  return set;
}

Result<PerFamily<IpAddress>> published_ip(const KubeNode& node, const AnnotationNames& names, const LeaseAttributes& attributes) {
  PerFamily<IpAddress> out = attributes.public_ip;
  for (const Family family : kFamilies) {
    if (!out[family]) continue;
    const auto overwrite = TRY(read_own_address(node, names.of(family).public_ip_overwrite, family));
    if (overwrite) out[family] = overwrite;
  }
  return out;
}

PerFamily<IpAddress> own_addresses(const NodeLease& node, const PerFamily<IpAddress>& wanted) {
  PerFamily<IpAddress> out;
  for (const Family family : kFamilies) {
    if (!wanted[family]) continue;  // an annotation that another agent has left there says nothing of this one
    const auto& said = node.lease.attributes.public_ip[family];
    const auto& to_say = node.overwrite[family] ? node.overwrite[family] : wanted[family];
    if (said == to_say) {
      out[family] = wanted[family];
    } else {
      out[family] = said == wanted[family] ? to_say : said;
    }
  }
  return out;
}

Result<NodeHints> read_hints(const KubeNode& node, const AnnotationNames& names) {
  NodeHints hints;
  for (const Family family : kFamilies) hints.public_ip[family] = TRY(read_own_address(node, names.of(family).node_public_ip, family));
  if (auto published = read_attributes(node, names)) hints.published = std::move(*published);
  return hints;
}

std::string annotations_patch(const KubeNode& node, const AnnotationNames& names, const LeaseAttributes& attributes,
                              const PerFamily<IpAddress>& public_ip) {
  std::map<std::string, std::string> wanted = {{names.kube_subnet_manager, "true"}, {names.backend_type, attributes.backend_type}};
  for (const Family family : kFamilies) {
    if (!public_ip[family]) continue;
    const auto& vxlan = attributes.vxlan[family];
    wanted[names.of(family).backend_data] = vxlan ? format_vxlan_lease(*vxlan) : "null";
    wanted[names.of(family).public_ip] = public_ip[family]->to_string();
  }
  std::vector<std::string> members;
  for (const auto& [key, value] : wanted) {
    const std::string* current = node.annotation(key);
    if (current == nullptr || *current != value) members.push_back(quote_json(key) + ":" + quote_json(value));
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
