#include "cni/kernel_cost.h"

#include <fmt/format.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include "datapath/attach.h"
#include "netlink/namespace.h"
#include "netlink/netlink.h"

namespace merino::bench {

namespace {

// "n17" → "bare17": at most 15 characters.
std::string host_name(const std::string& name) { return "bare" + name.substr(1); }

IpAddress address_of(const std::string& name) {
  return IpAddress::from_v4(0x0af4c800U + 2 + static_cast<uint32_t>(std::stoul(name.substr(1))));
}

Result<Netlink> open_inside(int netns) { return in_network_namespace(netns, Netlink::open); }

Result<unsigned> index_of(Netlink& netlink, const std::string& name) {
  const auto link = TRY(netlink.link_by_name(name));
  if (!link) return fail(ErrorKind::not_found, "interface {} is gone", name);
  return link->index;
}

Status set_up_pod(Netlink& pod, const IpAddress& address, const MacAddress& host_mac) {
  const IpAddress gateway = IpAddress::from_v4(0x0af4c801U);
  const unsigned index = TRY(index_of(pod, "eth0"));
  TRY(pod.ensure_address(index, Prefix(address, 24), IFA_F_NOPREFIXROUTE));
  TRY(pod.set_link_up(index));
  TRY(pod.ensure_route({Prefix(gateway, 32), std::nullopt, std::nullopt, index, RT_SCOPE_LINK, 0}));
  TRY(pod.ensure_route({Prefix(gateway, 0).masked(), gateway, std::nullopt, index, RT_SCOPE_UNIVERSE, 0}));
  TRY(pod.ensure_neighbour(index, gateway, host_mac));
  return ok();
}

AttachPoint attach_point(const std::string& name, unsigned index) {
  return {.link_name = pod_link_name(host_name(name)), .ifindex = index, .direction = Direction::ingress};
}

}  // namespace

Status attach_pod(const std::string& name, KernelPart part) {
  const Fd netns = TRY(open_network_namespace("/run/netns/" + name));
  Netlink host = TRY(Netlink::open());
  Netlink pod = TRY(open_inside(netns.get()));
  const VethSpec spec{host_name(name), "eth0", MacAddress::random(), MacAddress::random(), 1450};
  TRY(host.create_veth(spec, netns.get()));
  const unsigned index = TRY(index_of(host, spec.host_name));
  const IpAddress address = address_of(name);
  TRY(host.set_link_up(index));
  TRY(host.ensure_route({Prefix(address, 32), std::nullopt, std::nullopt, index, RT_SCOPE_LINK, 0}));
  TRY(host.ensure_neighbour(index, address, spec.pod_mac));
  TRY(set_up_pod(pod, address, spec.host_mac));
  if (part == KernelPart::veth_and_program) TRY(attach(Program::from_pod, attach_point(name, index)));
  return ok();
}

Status detach_pod(const std::string& name, KernelPart part) {
  Netlink host = TRY(Netlink::open());
  const unsigned index = TRY(index_of(host, host_name(name)));
  if (part == KernelPart::veth_and_program) TRY(detach(attach_point(name, index)));
  return host.delete_link(index);
}

}  // namespace merino::bench
