#include <fmt/format.h>

#include <algorithm>

#include "cni/commands.h"
#include "cni/delegate.h"
#include "cni/ipam_exec.h"
#include "cni/teardown.h"
#include "datapath/attach.h"
#include "netlink/netlink.h"

namespace merino::cni {
namespace {

template <class... Args>
tl::unexpected<Failure> differs(fmt::format_string<Args...> format, Args&&... args) {
  return fail_with(Code::internal, fmt::format(format, std::forward<Args>(args)...), "delete the pod: its network is not what ADD made");
}

class Checker {
 public:
  Checker(const Environment& environment, const NetworkConf& conf)
      : environment_(environment), conf_(conf), id_(environment.attachment()) {}

  // What holds whoever attached the pod.
  Outcome<void> run_pod() {
    if (!conf_.prev_result) return fail_with(Code::invalid_config, "CHECK needs the result of ADD in \"prevResult\"");
    TRY(make_ipam(conf_, environment_)->check(id_, environment_.netns));
    return check_pod();
  }

  Outcome<void> run() {
    TRY(run_pod());
    const auto record = TRY(find_attachment(conf_, id_));
    if (!record || !record->complete) {
      return differs("{} is missing or says that ADD did not finish", attachment_path(id_.container_id, id_.ifname));
    }
    attachment_ = *record;
    TRY(check_host());
    return check_datapath();
  }

 private:
  Outcome<void> check_pod() {
    const auto& interfaces = conf_.prev_result->interfaces;
    const auto expected = std::find_if(interfaces.begin(), interfaces.end(), [&](const ResultInterface& interface) {
      return interface.name == id_.ifname && !interface.sandbox.empty();
    });
    if (expected == interfaces.end()) return fail_with(Code::invalid_config, fmt::format("prevResult has no interface {}", id_.ifname));

    const auto netns = open_network_namespace(environment_.netns);
    if (!netns) return fail_with(Code::invalid_netns, "CNI_NETNS: " + netns.error().message());
    Netlink netlink = TRY(in_network_namespace(netns->get(), Netlink::open));
    const auto link = TRY(netlink.link_by_name(id_.ifname));
    if (!link) return differs("interface {} is missing in {}", id_.ifname, environment_.netns);
    if (!link->is_up()) return differs("interface {} in {} is down", id_.ifname, environment_.netns);
    if (!expected->mac.empty() && link->mac.to_string() != expected->mac) {
      return differs("interface {} has the MAC address {}, not {}", id_.ifname, link->mac.to_string(), expected->mac);
    }
    TRY(check_addresses(netlink, link->index, static_cast<size_t>(expected - interfaces.begin())));
    return check_routes(netlink);
  }

  Outcome<void> check_addresses(Netlink& netlink, unsigned link, size_t interface) {
    const std::vector<LinkAddress> present = TRY(netlink.addresses(link));
    for (const ResultAddress& expected : conf_.prev_result->addresses) {
      if (expected.interface && *expected.interface != interface) continue;
      const bool found = std::any_of(present.begin(), present.end(), [&](const LinkAddress& it) { return it.prefix == expected.address; });
      if (!found) return differs("interface {} does not have the address {}", id_.ifname, expected.address.to_string());
    }
    return {};
  }

  // Through which gateway is left open: a later plugin may have changed that.
  Outcome<void> check_routes(Netlink& netlink) {
    for (const ResultRoute& expected : conf_.prev_result->routes) {
      const std::vector<Route> present = TRY(netlink.routes(expected.destination.family()));
      const bool found =
          std::any_of(present.begin(), present.end(), [&](const Route& it) { return it.destination == expected.destination; });
      if (!found) return differs("the pod has no route to {}", expected.destination.to_string());
    }
    return {};
  }

  Outcome<void> check_host() {
    Netlink netlink = TRY(Netlink::open());
    const auto link = TRY(netlink.link_by_index(attachment_.host_ifindex));
    if (!link) return differs("host interface {} is missing", attachment_.host_ifname);
    if (!link->is_up()) return differs("host interface {} is down", attachment_.host_ifname);
    for (const Prefix& address : attachment_.addresses) {
      const auto route = netlink.route_to(address.address());
      if (!route || route->link_index != attachment_.host_ifindex) {
        return differs("the host does not route {} to {}", address.address().to_string(), attachment_.host_ifname);
      }
    }
    return {};
  }

  Outcome<void> check_datapath() {
    const AttachPoint point{pod_link_name(attachment_.host_ifname), attachment_.host_ifindex, Direction::ingress};
    // That of a pod whose egress is limited may wait for a qdisc and the agent (Qdisc::anothers).
    if (attachment_.delivery != Delivery::stack && !TRY(is_attached(Program::from_pod, point)))
      return differs("the BPF program is not attached to {}", attachment_.host_ifname);
    const std::vector<PodEntry> pods = TRY(read_pods());
    for (const Prefix& address : attachment_.addresses) {
      const auto entry = std::find_if(pods.begin(), pods.end(), [&](const PodEntry& pod) { return pod.address == address.address(); });
      if (entry == pods.end()) return differs("the pods map has no entry for {}", address.address().to_string());
      if (entry->host_ifindex != attachment_.host_ifindex || entry->pod_mac != attachment_.pod_mac ||
          entry->host_mac != attachment_.host_mac || entry->delivery != attachment_.delivery) {
        return differs("the pods map's entry for {} is another pod's", address.address().to_string());
      }
    }
    return {};
  }

  const Environment& environment_;
  const NetworkConf& conf_;
  AttachmentId id_;
  Attachment attachment_;
};

}  // namespace

Outcome<void> check(const Environment& environment, const NetworkConf& conf) {
  const auto kept = TRY(kept_delegate(conf, environment.container_id));
  if (!kept) return Checker(environment, conf).run();
  const NetworkConf effective = with_ipam_of(*kept, conf, environment);
  if (attached_by_merino(conf, environment.attachment())) {
    return Checker(environment, conf.type == ConfType::flannel ? effective : conf).run();
  }
  auto checked = check_foreign(environment, *kept, conf);
  if (checked || checked.error().code != Code::not_available) return checked;
  return Checker(environment, effective).run_pod();
}

}  // namespace merino::cni
