// IPv6: the same questions as for IPv4, and those that only IPv6 raises.
#include "bpf/cases.h"

namespace merino::test {

namespace {

constexpr size_t kNextHeader = kEthLen + 6;

V6 translated(const std::string& src, const std::string& dst) { return udp_ports<V6>(src, dst, kTranslatedPort, kServerPort); }

// RFC 8200, 4.5. `more` says whether there are others behind this one.
Frame as_fragment(const Frame& frame, uint16_t offset, bool more) {
  const auto field = static_cast<uint16_t>(offset << 3U | (more ? 1U : 0U));
  return with_extension(frame, 44, {0, 0, static_cast<uint8_t>(field >> 8U), static_cast<uint8_t>(field), 0, 0, 0, 7});
}
Frame with_destination_options(const Frame& frame) { return with_extension(frame, 60, {0, 0, 1, 4, 0, 0, 0, 0}); }
Frame with_hop_by_hop(const Frame& frame) { return with_extension(frame, 0, {0, 0, 5, 2, 0, 0, 1, 0}); }

std::vector<Case> v6_from_pod() {
  const Frame to_peer = from_pod_a(udp<V6>(kPodA6, kPodAtPeer2V6));
  const Frame to_pod_b = from_pod_a(udp<V6>(kPodA6, kPodB6));
  const Frame to_port = from_pod_a(udp_ports<V6>(kPodA6, kPeer2V6, kClientPort, kTunnelPort));
  std::vector<Case> cases = {
      {"IPv6 UDP to a pod of this node", MERINO_LOCAL, MERINO_NO_ROUTE, to_pod_b},
      {"IPv6 TCP to a pod of this node", MERINO_LOCAL, MERINO_PROTOCOL, from_pod_a(tcp<V6>(kPodA6, kPodB6))},
      {"IPv6 without payload", MERINO_LOCAL, MERINO_MALFORMED, from_pod_a(udp<V6>(kPodA6, kPodB6, 0))},
      {"IPv6 with bytes behind it", MERINO_LOCAL, MERINO_MALFORMED, with_trailer(to_pod_b)},
      {"IPv6 UDP to a peer's pod", MERINO_ENCAP_DRIVER, MERINO_NO_ROUTE, to_peer},
      {"IPv6 TCP to a peer's pod", MERINO_ENCAP_DRIVER, MERINO_PROTOCOL, from_pod_a(tcp<V6>(kPodA6, kPodAtPeer2V6))},
      {"IPv4 to a peer's pod", MERINO_ENCAP, MERINO_ENCAP_DRIVER, from_pod_a(udp(kPodA, kPodAtPeer2))},
      {"IPv4 to a peer's pod over IPv6", MERINO_ENCAP_DRIVER, MERINO_ENCAP, from_pod_a(udp(kPodA, kPodOverV6))},
      {"IPv6 to a peer's pod over IPv4", MERINO_ENCAP_DRIVER, MERINO_ENCAP, from_pod_a(udp<V6>(kPodA6, kPodOverV4))},
      {"IPv6 to an address of this node's subnet that nobody has", MERINO_NO_ROUTE, MERINO_LOCAL, from_pod_a(udp<V6>(kPodA6, kNoPod6))},
      {"IPv6 to a subnet that no node has", MERINO_NO_ROUTE, MERINO_ENCAP_DRIVER, from_pod_a(udp<V6>(kPodA6, kNoSubnet6))},
      {"IPv6 to the outside", MERINO_NO_ROUTE, kNothing, from_pod_a(udp<V6>(kPodA6, kOutside6))},
      {"IPv6 with a VLAN tag", MERINO_NOT_IP, MERINO_LOCAL, to_pod_b, {.vlan = 5}},
      {"IPv6 to another MAC", MERINO_NOT_FOR_US, MERINO_LOCAL, ethernet(kOtherMac, kPodAMac, udp<V6>(kPodA6, kPodB6))},
      {"IPv6 while switched off", MERINO_FAST_PATH_OFF, MERINO_LOCAL, to_pod_b, {}, Setting::fast_path_off},
      {"IPv6 by the stack", MERINO_BY_STACK, MERINO_LOCAL, to_pod_b, {}, Setting::by_stack},
      {"IPv6 ping", MERINO_PROTOCOL, MERINO_LOCAL, from_pod_a(ping<V6>(kPodA6, kPodB6))},
      {"IPv6 SCTP", MERINO_PROTOCOL, MERINO_ENCAP_DRIVER, from_pod_a(sctp<V6>(kPodA6, kPodAtPeer2V6))},
      {"hop limit 0", MERINO_TTL, MERINO_LOCAL, from_pod_a(with_ttl(udp<V6>(kPodA6, kPodB6), 0))},
      {"hop limit 1", MERINO_TTL, MERINO_LOCAL, from_pod_a(with_ttl(udp<V6>(kPodA6, kPodB6), 1))},
      {"hop limit 2", MERINO_LOCAL, MERINO_TTL, from_pod_a(with_ttl(udp<V6>(kPodA6, kPodB6), 2))},
      {"hop limit 255", MERINO_LOCAL, MERINO_ROGUE_ROUTER, from_pod_a(with_ttl(udp<V6>(kPodA6, kPodB6), 255))},
      {"IPv6 of the MTU", MERINO_ENCAP_DRIVER, MERINO_MTU, from_pod_a(udp_of<V6>(kPodA6, kPodAtPeer2V6, kPodMtu))},
      {"IPv6 over the MTU", MERINO_MTU, MERINO_ENCAP_DRIVER, from_pod_a(udp_of<V6>(kPodA6, kPodAtPeer2V6, kPodMtu + 1))},
      {"IPv6 TCP segments of the MTU",
       MERINO_ENCAP_DRIVER,
       MERINO_MTU,
       from_pod_a(tcp<V6>(kPodA6, kPodAtPeer2V6, 3000)),
       {.gso_size = kPodMtu - 60}},
      {"IPv6 TCP segments over the MTU",
       MERINO_MTU,
       MERINO_ENCAP_DRIVER,
       from_pod_a(tcp<V6>(kPodA6, kPodAtPeer2V6, 3000)),
       {.gso_size = kPodMtu - 59}},
      {"IPv6 UDP segments over the MTU",
       MERINO_MTU,
       MERINO_ENCAP_DRIVER,
       from_pod_a(udp<V6>(kPodA6, kPodAtPeer2V6, 3000)),
       {.gso_size = kPodMtu - 47}},
      {"an IPv6 aggregate too long for its length field",
       MERINO_LOCAL,
       MERINO_MALFORMED,
       with_number(from_pod_a(tcp<V6>(kPodA6, kPodB6, 200)), kEthLen + 4, 0),
       {.gso_size = 100}},
      {"a jumbogram", MERINO_IP_OPTIONS, MERINO_MALFORMED, with_number(with_hop_by_hop(to_pod_b), kEthLen + 4, 0)},
      {"translated IPv6, local", MERINO_TRANSLATED, MERINO_LOCAL, from_pod_a(translated(kPodA6, kPodB6)), {}, Setting::translated},
      {"translated IPv6, to a peer",
       MERINO_TRANSLATED,
       MERINO_ENCAP_DRIVER,
       from_pod_a(translated(kPodA6, kPodAtPeer2V6)),
       {},
       Setting::translated},
      {"destination options", MERINO_IP_OPTIONS, MERINO_ENCAP_DRIVER, with_destination_options(to_peer)},
      {"hop-by-hop options", MERINO_IP_OPTIONS, MERINO_LOCAL, with_hop_by_hop(to_pod_b)},
      {"an extension header behind the fragment header", MERINO_IP_OPTIONS, MERINO_FRAGMENT,
       as_fragment(with_destination_options(to_peer), 0, true)},
      {"the first IPv6 fragment", MERINO_FRAGMENT, MERINO_ENCAP_DRIVER, as_fragment(to_peer, 0, true)},
      {"a later IPv6 fragment", MERINO_FRAGMENT, MERINO_LOCAL, as_fragment(to_pod_b, 5, false)},
      {"an atomic fragment", MERINO_FRAGMENT, MERINO_LOCAL, as_fragment(to_pod_b, 0, false)},
      {"a fragment header that is cut", MERINO_MALFORMED, MERINO_FRAGMENT, with_number(as_fragment(to_pod_b, 0, true), kEthLen + 4, 7)},
      {"an IPv6 source that is no pod's", MERINO_SPOOFED, MERINO_LOCAL, from_pod_a(udp<V6>(kNoPod6, kPodB6))},
      {"the IPv6 address of another pod", MERINO_SPOOFED, MERINO_ENCAP_DRIVER, from_pod_a(udp<V6>(kPodB6, kPodAtPeer2V6))},
      {"IPv6 from another MAC", MERINO_SPOOFED, MERINO_LOCAL, ethernet(kHostAMac, kOtherMac, udp<V6>(kPodA6, kPodB6))},
      {"IPv6 on another pod's interface", MERINO_SPOOFED, MERINO_LOCAL, to_pod_b, {.interface = "vethb"}},
      {"a forged IPv6 fragment", MERINO_SPOOFED, MERINO_FRAGMENT, as_fragment(from_pod_a(udp<V6>(kNoPod6, kPodB6)), 5, false)},
      {"forged behind options", MERINO_SPOOFED, MERINO_IP_OPTIONS, with_hop_by_hop(from_pod_a(udp<V6>(kNoPod6, kPodB6)))},
      {"forged IPv6 behind a VLAN tag", MERINO_SPOOFED, MERINO_NOT_IP, from_pod_a(udp<V6>(kNoPod6, kPodB6)), {.vlan = 0}},
      {"to the tunnel port of an IPv6 peer", MERINO_TUNNEL_PORT, MERINO_NO_ROUTE, to_port},
      {"to the IPv6 tunnel port of its own node", MERINO_TUNNEL_PORT, MERINO_NO_ROUTE,
       from_pod_a(udp_ports<V6>(kPodA6, kNode6, kClientPort, kTunnelPort))},
      {"to another port of an IPv6 peer", MERINO_NO_ROUTE, MERINO_TUNNEL_PORT,
       from_pod_a(udp_ports<V6>(kPodA6, kPeer2V6, kClientPort, kTunnelPort + 1))},
      {"to the IPv6 tunnel port, first fragment", MERINO_TUNNEL_PORT, MERINO_FRAGMENT, as_fragment(to_port, 0, true)},
      {"to the IPv6 tunnel port, atomic fragment", MERINO_TUNNEL_PORT, MERINO_FRAGMENT, as_fragment(to_port, 0, false)},
      {"a later IPv6 fragment to a peer", MERINO_FRAGMENT, MERINO_TUNNEL_PORT, as_fragment(to_port, 5, false)},
      {"to the tunnel port behind destination options", MERINO_TUNNEL_PORT, MERINO_IP_OPTIONS, with_destination_options(to_port)},
      {"to the tunnel port behind two extension headers", MERINO_TUNNEL_PORT, MERINO_IP_OPTIONS,
       with_hop_by_hop(with_destination_options(to_port))},
      {"to the tunnel port behind options in a fragment", MERINO_TUNNEL_PORT, MERINO_IP_OPTIONS,
       as_fragment(with_destination_options(to_port), 0, true)},
      {"to the tunnel port from a link-local address", MERINO_TUNNEL_PORT, MERINO_LINK_LOCAL,
       from_pod_a(udp_ports<V6>(kLinkLocalA, kNode6, kClientPort, kTunnelPort))},
      {"to a pod from a link-local address", MERINO_LINK_LOCAL, MERINO_LOCAL, from_pod_a(udp<V6>(kLinkLocalA, kPodB6))},
      {"to a peer's pod from a link-local address", MERINO_LINK_LOCAL, MERINO_ENCAP_DRIVER,
       from_pod_a(udp<V6>(kLinkLocalA, kPodAtPeer2V6))},
      {"to a pod from no address", MERINO_LINK_LOCAL, MERINO_SPOOFED, from_pod_a(udp<V6>(kNobody6, kPodB6))},
      {"from just outside of fe80::/10", MERINO_SPOOFED, MERINO_LINK_LOCAL, from_pod_a(udp<V6>("fec0::a", kPodB6))},
      {"a multicast report", MERINO_LINK_LOCAL, MERINO_SPOOFED,
       with_hop_by_hop(ethernet("33:33:00:00:00:16", kPodAMac, with_ttl(ping<V6>(kLinkLocalA, "ff02::16"), 1)))},
  };
  return cases;
}

std::vector<Case> v6_from_wire() {
  const V6 honest = udp<V6>(kPodAtPeer2V6, kPodA6);
  const Frame frame = tunnelled(honest, over_v6());
  const auto outer = [&honest](auto edit) {
    Tunnel tunnel = over_v6();
    edit(tunnel);
    return tunnelled(honest, tunnel);
  };
  const auto inner = [](const V6& ip) { return tunnelled(ip, over_v6()); };
  constexpr size_t kUdp = kEthLen + kIp6Len;
  return {
      {"VXLAN over IPv6", MERINO_DECAP, MERINO_UNKNOWN_SENDER, frame},
      {"TCP in VXLAN over IPv6", MERINO_DECAP, MERINO_PROTOCOL, inner(tcp<V6>(kPodAtPeer2V6, kPodA6))},
      {"over IPv6 to another port", MERINO_NOT_TUNNEL, MERINO_DECAP, outer([](Tunnel& t) { t.dport = kTunnelPort + 1; })},
      {"over IPv6 to another address of this node", MERINO_NOT_TUNNEL, MERINO_DECAP, outer([](Tunnel& t) { t.dst = kNodeOther6; })},
      {"over IPv6 to another MAC", MERINO_NOT_TUNNEL, MERINO_DECAP, outer([](Tunnel& t) { t.mac_dst = kOtherMac; })},
      {"over IPv6 with another VNI", MERINO_WRONG_VNI, MERINO_DECAP, outer([](Tunnel& t) { t.vni = 2; })},
      {"over IPv6 with an unknown flag", MERINO_WRONG_VNI, MERINO_DECAP, outer([](Tunnel& t) { t.flags = 0x88000000; })},
      {"over IPv6, congestion experienced", MERINO_ECN, MERINO_DECAP, outer([](Tunnel& t) { t.tos = 3; })},
      {"over IPv6, ECN-capable", MERINO_DECAP, MERINO_ECN, outer([](Tunnel& t) { t.tos = 2; })},
      {"over IPv6 without a checksum, which a stock kernel refuses", MERINO_NOT_TUNNEL, MERINO_DECAP, with_number(frame, kUdp + 6, 0)},
      {"over IPv6 behind an extension header", MERINO_NOT_TUNNEL, MERINO_DECAP, with_destination_options(frame)},
      {"over IPv6 in a fragment", MERINO_NOT_TUNNEL, MERINO_DECAP, as_fragment(frame, 0, true)},
      {"over IPv6 of another protocol", MERINO_NOT_TUNNEL, MERINO_DECAP, patched(frame, kNextHeader, {136})},
      {"over IPv6 with a VLAN tag", MERINO_NOT_TUNNEL, MERINO_DECAP, frame, {.vlan = 5}},
      {"over IPv6 with bytes behind", MERINO_NOT_TUNNEL, MERINO_DECAP, with_trailer(frame)},
      {"over IPv6, the UDP length is shorter", MERINO_NOT_TUNNEL, MERINO_DECAP,
       with_number(frame, kUdp + 4, number_at(frame, kUdp + 4) - 1)},
      {"over IPv6, a length beyond the frame's end", MERINO_MALFORMED, MERINO_DECAP,
       with_number(frame, kEthLen + 4, number_at(frame, kEthLen + 4) + 1)},
      {"over IPv6, shorter than the tunnel headers", MERINO_MALFORMED, MERINO_DECAP, with_number(frame, kEthLen + 4, 29)},
      {"an aggregate over IPv6", MERINO_AGGREGATE, MERINO_DECAP, inner(tcp<V6>(kPodAtPeer2V6, kPodA6, 2800)), {.gso_size = 1400}},
      {"over IPv6 from a host that is no peer", MERINO_UNKNOWN_SENDER, MERINO_DECAP, outer([](Tunnel& t) { t.src = kStranger6; })},
      {"over IPv6 from the peer's own address", MERINO_DECAP, MERINO_FORGED, inner(udp<V6>(kPeer2V6, kPodA6))},
      {"over IPv6, an inner source of another peer", MERINO_FORGED, MERINO_DECAP, inner(udp<V6>(kPodAtPeer3V6, kPodA6))},
      {"over IPv6, an inner source of this node's subnet", MERINO_FORGED, MERINO_DECAP, inner(udp<V6>(kPodB6, kPodA6))},
      {"over IPv6, a link-local inner source", MERINO_FORGED, MERINO_LINK_LOCAL, inner(udp<V6>(kLinkLocalA, kPodA6))},
      {"over IPv6 to the VTEP of the IPv4 underlay", MERINO_INNER_MAC, MERINO_DECAP, outer([](Tunnel& t) { t.inner_dst = kVtepMac; })},
      {"over IPv6 to an address that is no pod", MERINO_NOT_POD, MERINO_DECAP, inner(udp<V6>(kPodAtPeer2V6, kNoPod6))},
      {"over IPv6, ping", MERINO_PROTOCOL, MERINO_DECAP, inner(ping<V6>(kPodAtPeer2V6, kPodA6))},
      {"over IPv6, hop limit 1 inside", MERINO_TTL, MERINO_DECAP, inner(with_ttl(honest, 1))},
      {"over IPv6, a fragment inside", MERINO_FRAGMENT, MERINO_DECAP,
       tunnelled(as_fragment(inner_frame(honest, kVtepMac6), 5, false), over_v6())},
      {"over IPv6, options inside", MERINO_IP_OPTIONS, MERINO_DECAP,
       tunnelled(with_destination_options(inner_frame(honest, kVtepMac6)), over_v6())},
      {"over IPv6 while switched off", MERINO_FAST_PATH_OFF, MERINO_DECAP, frame, {}, Setting::fast_path_off},
      {"over IPv6, translated", MERINO_TRANSLATED, MERINO_DECAP, inner(translated(kPodAtPeer2V6, kPodA6)), {}, Setting::translated},
      {"IPv4 over IPv6", MERINO_MIXED_FAMILY, MERINO_DECAP, tunnelled(udp(kPodOverV6, kPodA), over_v6())},
      {"IPv6 over IPv4", MERINO_MIXED_FAMILY, MERINO_DECAP, tunnelled(udp<V6>(kPodOverV4, kPodA6))},
      {"IPv4 over IPv6, from the peer of the other family", MERINO_FORGED, MERINO_MIXED_FAMILY,
       tunnelled(udp(kPodAtPeer2, kPodA), over_v6())},
      {"the IPv6 node's own IPv4 name", MERINO_FORGED, MERINO_DECAP, tunnelled(udp(kPeer2, kPodA), over_v6())},
      {"IPv6 over IPv4, from the peer of the other family", MERINO_FORGED, MERINO_MIXED_FAMILY, tunnelled(honest)},
      {"neither IPv4 nor IPv6 on the uplink", MERINO_NOT_TUNNEL, kNothing, with_number(frame, 12, 0x88cc)},
      {"IPv6 without a tunnel", MERINO_NOT_TUNNEL, MERINO_DECAP, ethernet(kUplinkMac, kWireMac, udp<V6>(kPodAtPeer2V6, kPodA6))},
  };
}

std::vector<Case> direct_from_wire() {
  const V6 honest = udp<V6>(kPodAtPeer2V6, kPodA6);
  const auto plain = [](const V6& ip, const char* mac = kWireMac) { return ethernet(kUplinkMac, mac, ip); };
  const auto direct = [](const char* name, merino_reason reason, merino_reason beside, const Frame& frame) {
    return Case{name, reason, beside, frame, {}, Setting::direct};
  };
  return {
      direct("IPv6 from a pod of the segment", MERINO_DIRECT_IN, MERINO_WRONG_NEIGHBOUR, plain(honest)),
      direct("IPv6 from another MAC", MERINO_WRONG_NEIGHBOUR, MERINO_DIRECT_IN, plain(honest, kOtherMac)),
      direct("IPv6 from a peer whose MAC is not known", MERINO_NEIGHBOUR, MERINO_DIRECT_IN, plain(udp<V6>(kPodAtPeer3V6, kPodA6))),
      direct("IPv6 from outside", MERINO_PLAIN, MERINO_DIRECT_IN, plain(udp<V6>(kOutside6, kPodA6))),
      direct("IPv6 to the node", MERINO_NOT_TUNNEL, MERINO_PLAIN, plain(udp<V6>(kPodAtPeer2V6, kNode6))),
      direct("IPv6 to an address that is no pod", MERINO_NOT_POD, MERINO_DIRECT_IN, plain(udp<V6>(kPodAtPeer2V6, kNoPod6))),
      direct("IPv6 ping", MERINO_PROTOCOL, MERINO_DIRECT_IN, plain(ping<V6>(kPodAtPeer2V6, kPodA6))),
      direct("hop limit 1", MERINO_TTL, MERINO_DIRECT_IN, plain(with_ttl(honest, 1))),
      direct("an IPv6 fragment", MERINO_FRAGMENT, MERINO_DIRECT_IN, as_fragment(plain(honest), 5, false)),
      direct("IPv6 options", MERINO_IP_OPTIONS, MERINO_DIRECT_IN, with_destination_options(plain(honest))),
      direct("a later IPv6 fragment from another MAC", MERINO_WRONG_NEIGHBOUR, MERINO_FRAGMENT,
             as_fragment(plain(honest, kOtherMac), 5, false)),
      direct("IPv6 over the MTU", MERINO_MTU, MERINO_DIRECT_IN, plain(udp_of<V6>(kPodAtPeer2V6, kPodA6, kPodMtu + 1))),
      direct("IPv6 with a length beyond the frame's end", MERINO_MALFORMED, MERINO_DIRECT_IN,
             with_number(plain(honest), kEthLen + 4, 0xffff)),
  };
}

std::vector<Case> v6_from_tunnel() {
  const V6 honest = udp<V6>(kPodAtPeer2V6, kPodA6);
  const auto from = [](const std::string& remote, const std::string& local = kNode6, uint32_t vni = kVni) {
    return Metadata{.tunnel = Metadata::TunnelKey{.vni = vni, .remote = remote, .local = local}};
  };
  const auto inner = [](const Tins::PDU& ip) { return inner_frame(ip, kVtepMac6); };
  return {
      {"IPv6 from a peer's pod", MERINO_TUNNEL, MERINO_WRONG_ENDPOINT, inner(honest), from(kPeer2V6)},
      {"IPv6 to another IPv6 address of this node", MERINO_WRONG_ENDPOINT, MERINO_TUNNEL, inner(honest), from(kPeer2V6, kNodeOther6)},
      {"IPv6 with another VNI", MERINO_WRONG_VNI, MERINO_TUNNEL, inner(honest), from(kPeer2V6, kNode6, 2)},
      {"IPv6 from a host that is no peer", MERINO_UNKNOWN_SENDER, MERINO_TUNNEL, inner(honest), from(kStranger6)},
      {"a forged IPv6 source", MERINO_FORGED, MERINO_TUNNEL, inner(udp<V6>(kPodAtPeer3V6, kPodA6)), from(kPeer2V6)},
      {"IPv6 from the peer of the other family", MERINO_FORGED, MERINO_TUNNEL, inner_frame(honest), {.tunnel = Metadata::TunnelKey{}}},
      {"IPv6 to the VTEP of the IPv4 underlay", MERINO_INNER_MAC, MERINO_TUNNEL, inner_frame(honest), from(kPeer2V6)},
      {"IPv6 ping", MERINO_PROTOCOL, MERINO_TUNNEL, inner(ping<V6>(kPodAtPeer2V6, kPodA6)), from(kPeer2V6)},
      {"IPv6 to an address that is no pod", MERINO_NOT_POD, MERINO_TUNNEL, inner(udp<V6>(kPodAtPeer2V6, kNoPod6)), from(kPeer2V6)},
      {"IPv6 while switched off", MERINO_FAST_PATH_OFF, MERINO_TUNNEL, inner(honest), from(kPeer2V6), Setting::fast_path_off},
      {"translated IPv6", MERINO_TRANSLATED, MERINO_TUNNEL, inner(translated(kPodAtPeer2V6, kPodA6)), from(kPeer2V6), Setting::translated},
  };
}

std::vector<Case> v6_from_host() {
  const auto routed = [](const V6& ip) { return ethernet(kNoMac, kVtepMac, ip); };
  const Frame frame = routed(udp<V6>(kNode6, kPodAtPeer2V6));
  return {
      {"IPv6 to a peer's pod", MERINO_HOST_DRIVER, MERINO_HOST_ENCAP, frame},
      {"IPv6 to a peer's pod over IPv4", MERINO_HOST_DRIVER, MERINO_HOST_ENCAP, routed(udp<V6>(kNode6, kPodOverV4))},
      {"IPv6 ping to a peer's pod", MERINO_HOST_DRIVER, MERINO_PROTOCOL, routed(ping<V6>(kNode6, kPodAtPeer2V6))},
      {"an IPv6 fragment", MERINO_HOST_DRIVER, MERINO_FRAGMENT, as_fragment(frame, 5, false)},
      {"IPv6 to a subnet that no node has", MERINO_NO_PEER, MERINO_HOST_DRIVER, routed(udp<V6>(kNode6, kNoSubnet6))},
      {"a question for neighbours", MERINO_LINK_LOCAL, MERINO_NO_PEER,
       ndp("33:33:00:00:00:02", kVtepMac, {kLinkLocalA, "ff02::2", kRouterSolicitation})},
      {"to a link-local address", MERINO_LINK_LOCAL, MERINO_NO_PEER, routed(udp<V6>(kNode6, kLinkLocalA))},
      {"IPv6 to a node of the segment", MERINO_HOST_DIRECT, MERINO_HOST_DRIVER, frame, {}, Setting::direct},
  };
}

void append(std::vector<Case>& cases, const std::vector<Case>& more) { cases.insert(cases.end(), more.begin(), more.end()); }

}  // namespace

std::vector<Case> v6_cases(Program program) {
  std::vector<Case> cases;
  const auto add_lies = [&cases](const Frame& frame, size_t offset, merino_reason beside, const Metadata& metadata = {}) {
    for (const auto& lie : ip6_lies(frame, offset)) cases.push_back({lie.name, MERINO_MALFORMED, beside, lie.frame, metadata});
  };
  const V6 in = udp<V6>(kPodAtPeer2V6, kPodA6);
  switch (program) {
    case Program::from_pod:
      append(cases, v6_from_pod());
      append(cases, ndp_cases());
      add_lies(from_pod_a(udp<V6>(kPodA6, kPodB6)), kEthLen, MERINO_LOCAL);
      cases.push_back({"IPv6 to a node of the segment",
                       MERINO_DIRECT,
                       MERINO_ENCAP_DRIVER,
                       from_pod_a(udp<V6>(kPodA6, kPodAtPeer2V6)),
                       {},
                       Setting::direct});
      break;
    case Program::from_wire:
      append(cases, v6_from_wire());
      append(cases, direct_from_wire());
      add_lies(tunnelled(in, over_v6()), kInnerEth6 + kEthLen, MERINO_DECAP);
      break;
    case Program::from_tunnel:
      append(cases, v6_from_tunnel());
      add_lies(inner_frame(in, kVtepMac6), kEthLen, MERINO_TUNNEL, {.tunnel = Metadata::TunnelKey{.remote = kPeer2V6, .local = kNode6}});
      break;
    case Program::from_host:
      append(cases, v6_from_host());
      add_lies(ethernet(kNoMac, kVtepMac, udp<V6>(kNode6, kPodAtPeer2V6)), kEthLen, MERINO_HOST_DRIVER);
      break;
    case Program::wire_xdp:
      break;
  }
  return cases;
}

}  // namespace merino::test
