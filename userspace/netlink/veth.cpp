#include <linux/if_addr.h>
#include <linux/veth.h>

#include <cerrno>

#include "netlink/link_message.h"

namespace merino {
namespace {

// One queue each way is what a veth uses unless told otherwise; but untold, the kernel allocates one for every possible CPU and then waits
// for two RCU grace periods to reduce them.
void put_end(Request& request, const std::string& name, const MacAddress& mac, int mtu) {
  request.put(IFLA_IFNAME, name).put(IFLA_ADDRESS, mac).put(IFLA_MTU, mtu);
  request.put(IFLA_NUM_TX_QUEUES, uint32_t{1}).put(IFLA_NUM_RX_QUEUES, uint32_t{1});
}

// The kernel says "exists" without saying which end.
tl::unexpected<Error> name_taken(Netlink& netlink, const VethSpec& spec) {
  const auto host = netlink.link_by_name(spec.host_name);
  if (host && *host) {
    return with_remedy(fail(ErrorKind::exists, "make veth {}: the host has an interface of that name already", spec.host_name),
                       "take another name or delete it");
  }
  return with_remedy(fail(ErrorKind::exists, "make veth {}: the pod has an interface {} already", spec.host_name, spec.pod_name),
                     "take another name or delete it in the pod");
}

Result<std::optional<Link>> link_in(nl_sock* socket, int netns, unsigned index) {
  ifinfomsg header{};
  header.ifi_index = static_cast<int>(index);
  Request request(RTM_GETLINK, 0, header);
  request.put(IFLA_TARGET_NETNSID, int32_t{netns}).put(IFLA_EXT_MASK, uint32_t{RTEXT_FILTER_SKIP_STATS});
  std::optional<Link> found;
  const auto asked = exchange(
      socket, request, fmt::format("look up interface {} of network namespace {}", index, netns),
      [&](const nlmsghdr& message) { found = parse_link(family_header<ifinfomsg>(message), Attributes(message, sizeof(ifinfomsg))); });
  // EINVAL: the namespace is gone.
  if (!asked && asked.error().sys_errno != ENODEV && asked.error().sys_errno != EINVAL) return tl::unexpected(asked.error());
  return found;
}

Result<std::vector<Prefix>> addresses_in(nl_sock* socket, int netns, unsigned index) {
  ifaddrmsg header{};
  header.ifa_index = index;
  Request request(RTM_GETADDR, NLM_F_DUMP, header);
  request.put(IFA_TARGET_NETNSID, int32_t{netns});
  const std::string what = fmt::format("list addresses of interface {} of network namespace {}", index, netns);
  return dump<Prefix>(socket, request, what, [&](const nlmsghdr& message) -> std::optional<Prefix> {
    const auto& found = family_header<ifaddrmsg>(message);
    const Attributes attributes(message, sizeof(ifaddrmsg));
    // A kernel that does not obey the filter would speak of this namespace.
    const bool asked_for = found.ifa_index == index && attributes.get<int32_t>(IFA_TARGET_NETNSID, -1) == netns;
    if (!asked_for || (found.ifa_family != AF_INET && found.ifa_family != AF_INET6)) return std::nullopt;
    const Family family = found.ifa_family == AF_INET ? Family::v4 : Family::v6;
    auto address = attributes.address(IFA_LOCAL, family);
    if (!address) address = attributes.address(IFA_ADDRESS, family);
    if (!address) return std::nullopt;
    return Prefix(*address, found.ifa_prefixlen);
  });
}

}  // namespace

Result<std::optional<VethEnd>> Netlink::veth_peer(const Link& host_side) {
  if (host_side.kind != "veth" || !host_side.peer_netns || host_side.peer_index == 0) return std::nullopt;
  const auto link = TRY(link_in(socket_.get(), *host_side.peer_netns, host_side.peer_index));
  if (!link || link->kind != "veth") return std::nullopt;
  auto addresses = TRY(addresses_in(socket_.get(), *host_side.peer_netns, host_side.peer_index));
  return VethEnd{*link, std::move(addresses)};
}

Status Netlink::create_veth(const VethSpec& spec, int netns_fd) {
  TRY(check_link_name(spec.host_name));
  TRY(check_link_name(spec.pod_name));

  Request request(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  put_end(request, spec.host_name, spec.host_mac, spec.mtu);
  request.nest(IFLA_LINKINFO, [&] {
    request.put(IFLA_INFO_KIND, std::string("veth")).nest(IFLA_INFO_DATA, [&] {
      request.nest(VETH_INFO_PEER, [&] {
        request.append(ifinfomsg{});
        put_end(request, spec.pod_name, spec.pod_mac, spec.mtu);
        request.put(IFLA_NET_NS_FD, netns_fd);
      });
    });
  });
  auto created = exchange(socket_.get(), request, fmt::format("make veth {} with {} in the pod", spec.host_name, spec.pod_name));
  if (!created && created.error().sys_errno == EEXIST) return name_taken(*this, spec);
  return created;
}

}  // namespace merino
