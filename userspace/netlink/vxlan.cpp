#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>

#include "netlink/link_message.h"

namespace merino {
namespace {

struct VxlanDevice {
  Link link;
  uint16_t port = 0;      // host order
  bool external = false;  // collect metadata
  bool plain = true;      // none of the modes and extensions that change what is received
  bool learning = false;
  bool makes_link_local = false;  // the kernel gives it an fe80:: address when it comes up
};

VxlanDevice parse_vxlan(const ifinfomsg& header, const Attributes& attributes) {
  const Attributes data = attributes.nest(IFLA_LINKINFO).nest(IFLA_INFO_DATA);
  const Attributes inet6 = attributes.nest(IFLA_AF_SPEC).nest(AF_INET6);
  VxlanDevice device;
  device.link = parse_link(header, attributes);
  device.port = ntohs(data.get<uint16_t>(IFLA_VXLAN_PORT));
  device.external = data.get<uint8_t>(IFLA_VXLAN_COLLECT_METADATA) != 0;
  device.plain = !data.has(IFLA_VXLAN_GBP) && !data.has(IFLA_VXLAN_GPE) && data.get<uint8_t>(IFLA_VXLAN_VNIFILTER) == 0 &&
                 data.get<uint8_t>(IFLA_VXLAN_UDP_ZERO_CSUM6_RX) != 0;
  device.learning = data.get<uint8_t>(IFLA_VXLAN_LEARNING) != 0;
  device.makes_link_local = inet6.get<uint8_t>(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE) != IN6_ADDR_GEN_MODE_NONE;
  return device;
}

// What cannot be changed in place.
bool is_our_tunnel(const VxlanDevice& device, const VxlanSpec& spec) {
  return device.link.kind == "vxlan" && device.external && device.plain && !device.learning && device.port == spec.port;
}

Result<std::optional<VxlanDevice>> find_device(nl_sock* socket, const std::string& name) {
  std::optional<VxlanDevice> device;
  TRY(get_link(socket, name, 0, [&](const ifinfomsg& header, const Attributes& attributes) { device = parse_vxlan(header, attributes); }));
  if (device && device->link.name != name) {
    return with_remedy(fail(ErrorKind::exists, "make VXLAN device {}: it is an alternative name of {}", name, device->link.name),
                       fmt::format("take it away by `ip link property del dev {} altname {}`", device->link.name, name));
  }
  return device;
}

// Another VXLAN device with the port; one that is up is preferred, since it is the one in the way.
Result<std::optional<VxlanDevice>> port_holder(nl_sock* socket, const VxlanSpec& spec) {
  Request request(RTM_GETLINK, NLM_F_DUMP, ifinfomsg{});
  request.put(IFLA_EXT_MASK, uint32_t{RTEXT_FILTER_SKIP_STATS});
  request.nest(IFLA_LINKINFO, [&] { request.put(IFLA_INFO_KIND, std::string("vxlan")); });
  const auto devices = TRY(dump<VxlanDevice>(socket, request, "list VXLAN devices", [&](const nlmsghdr& message) {
    auto device = parse_vxlan(family_header<ifinfomsg>(message), Attributes(message, sizeof(ifinfomsg)));
    const bool rival = device.link.kind == "vxlan" && device.port == spec.port && device.link.name != spec.name;
    return rival ? std::optional(std::move(device)) : std::nullopt;
  }));
  const auto up = std::ranges::find_if(devices, [](const VxlanDevice& device) { return device.link.is_up(); });
  if (up != devices.end()) return *up;
  if (!devices.empty()) return devices.front();
  return std::nullopt;
}

tl::unexpected<Error> port_taken(const VxlanSpec& spec, const std::optional<VxlanDevice>& holder) {
  if (!holder) {
    return with_remedy(
        fail(ErrorKind::exists, "make VXLAN device {}: a process or another namespace's device holds UDP port {}", spec.name, spec.port),
        fmt::format("find it by `ss -lunp sport = :{}` and stop it, or choose another Port", spec.port));
  }
  return with_remedy(fail(ErrorKind::exists, "make VXLAN device {}: {} holds UDP port {}", spec.name, holder->link.name, spec.port),
                     fmt::format("stop what made it and `ip link delete {}`, or choose another Port", holder->link.name));
}

// Creation refuses a second external device with the port (EEXIST), setting up refuses a port that is bound already (EADDRINUSE).
Status explain_port(nl_sock* socket, const VxlanSpec& spec, Status refused) {
  const int code = refused ? 0 : refused.error().sys_errno;
  if (code != EEXIST && code != EADDRINUSE) return refused;
  const auto holder = TRY(port_holder(socket, spec));
  if (holder || code == EADDRINUSE) return port_taken(spec, holder);
  return refused;
}

Status create_device(nl_sock* socket, const VxlanSpec& spec) {
  ifinfomsg header{};
  header.ifi_flags = IFF_NOARP;
  header.ifi_change = IFF_NOARP;
  Request request(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, header);
  request.put(IFLA_IFNAME, spec.name).put(IFLA_ADDRESS, spec.mac).put(IFLA_MTU, spec.mtu);
  request.nest(IFLA_LINKINFO, [&] {
    request.put(IFLA_INFO_KIND, std::string("vxlan")).nest(IFLA_INFO_DATA, [&] {
      request.put(IFLA_VXLAN_COLLECT_METADATA, uint8_t{1}).put(IFLA_VXLAN_LEARNING, uint8_t{0});
      request.put(IFLA_VXLAN_PORT, htons(spec.port));
      // A peer whose programs encapsulate cannot fill the outer checksum; over IPv6 a socket without this flag would refuse its packets.
      request.put(IFLA_VXLAN_UDP_ZERO_CSUM6_RX, uint8_t{1});
    });
  });
  return exchange(socket, request, fmt::format("make VXLAN device {}", spec.name));
}

// Best effort: the device works with such an address too. True if it was turned off.
bool stop_link_local(nl_sock* socket, const Link& link) {
  Request request = change_link(link.index);
  request.nest(IFLA_AF_SPEC,
               [&] { request.nest(AF_INET6, [&] { request.put(IFLA_INET6_ADDR_GEN_MODE, uint8_t{IN6_ADDR_GEN_MODE_NONE}); }); });
  return exchange(socket, request, fmt::format("keep IPv6 link-local addresses off {}", link.name)).has_value();
}

// Brings MAC, MTU and flags of an existing device to the spec; true if something differed.
Result<bool> correct_device(nl_sock* socket, const VxlanDevice& device, const VxlanSpec& spec) {
  const Link& link = device.link;
  const unsigned flags = spec.activation == Activation::now ? IFF_UP | IFF_NOARP : IFF_NOARP;
  const bool stopped = device.makes_link_local && stop_link_local(socket, link);
  if ((link.flags & flags) == flags && link.mac == spec.mac && link.mtu == spec.mtu) return stopped;
  Request request = change_link(link.index, flags, flags);
  if (link.mac != spec.mac) request.put(IFLA_ADDRESS, spec.mac);
  if (link.mtu != spec.mtu) request.put(IFLA_MTU, spec.mtu);
  TRY(explain_port(socket, spec, exchange(socket, request, fmt::format("configure VXLAN device {} and set it up", spec.name))));
  return true;
}

}  // namespace

Result<Netlink::VxlanResult> Netlink::ensure_vxlan(const VxlanSpec& spec) {
  TRY(check_link_name(spec.name));
  nl_sock* socket = socket_.get();
  auto device = TRY(find_device(socket, spec.name));
  if (device && is_our_tunnel(*device, spec)) {
    const bool changed = TRY(correct_device(socket, *device, spec));
    return VxlanResult{device->link.index, changed};
  }

  // Asked before anything is touched: a device that works is not given up for one that cannot be had, and trying again and again
  // makes no events.
  const auto holder = spec.activation == Activation::now ? TRY(port_holder(socket, spec)) : std::nullopt;
  if (holder && holder->link.is_up()) return port_taken(spec, holder);
  if (device) TRY(delete_link(device->link.index));
  TRY(explain_port(socket, spec, create_device(socket, spec)));
  device = TRY(find_device(socket, spec.name));
  if (!device) return fail(ErrorKind::unavailable, "make VXLAN device {}: it was deleted at once by somebody else", spec.name);
  if (auto corrected = correct_device(socket, *device, spec); !corrected) {
    (void)delete_link(device->link.index);
    return tl::unexpected(std::move(corrected).error());
  }
  return VxlanResult{device->link.index, true};
}

}  // namespace merino
