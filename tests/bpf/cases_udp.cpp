// flannel's udp backend.
#include "bpf/cases.h"

namespace merino::test {

namespace {

Case udp_case(const char* name, merino_reason reason, merino_reason beside, const Frame& frame, const Metadata& metadata = {}) {
  return {name, reason, beside, frame, metadata, Setting::udp};
}

std::vector<Case> udp_from_pod() {
  const auto to_port = [](const char* dst, uint16_t port) { return from_pod_a(udp_ports(kPodA, dst, kClientPort, port)); };
  return {
      udp_case("UDP by the udp backend", MERINO_ENCAP, MERINO_DIRECT, from_pod_a(udp(kPodA, kPodAtPeer2))),
      udp_case("TCP by the udp backend", MERINO_ENCAP, MERINO_PROTOCOL, from_pod_a(tcp(kPodA, kPodAtPeer2))),
      udp_case("of the MTU", MERINO_ENCAP, MERINO_MTU, from_pod_a(udp_of(kPodA, kPodAtPeer2, kPodMtu))),
      udp_case("over the MTU", MERINO_MTU, MERINO_ENCAP, from_pod_a(udp_of(kPodA, kPodAtPeer2, kPodMtu + 1))),
      udp_case("TTL 1", MERINO_TTL, MERINO_ENCAP, from_pod_a(with_ttl(udp(kPodA, kPodAtPeer2), 1))),
      udp_case("ping", MERINO_PROTOCOL, MERINO_ENCAP, from_pod_a(ping(kPodA, kPodAtPeer2))),
      udp_case("translated", MERINO_TRANSLATED, MERINO_ENCAP, from_pod_a(translated_udp(kPodA, kPodAtPeer2))),
      udp_case("another pod's source", MERINO_SPOOFED, MERINO_ENCAP, from_pod_a(udp(kPodB, kPodAtPeer2))),
      udp_case("to the udp backend's port of a peer", MERINO_TUNNEL_PORT, MERINO_NO_ROUTE, to_port(kPeer2, kUdpPort)),
      udp_case("to the udp backend's port of its own node", MERINO_TUNNEL_PORT, MERINO_NO_ROUTE, to_port(kNode, kUdpPort)),
      udp_case("to the port of merino0", MERINO_TUNNEL_PORT, MERINO_NO_ROUTE, to_port(kPeer2, kTunnelPort)),
      udp_case("to the port next to it", MERINO_NO_ROUTE, MERINO_TUNNEL_PORT, to_port(kPeer2, kUdpPort + 1)),
      {"to the udp backend's port where there is VXLAN", MERINO_NO_ROUTE, MERINO_TUNNEL_PORT, to_port(kPeer2, kUdpPort)},
  };
}

std::vector<Case> udp_from_wire() {
  const Tins::IP honest = udp(kPodAtPeer2, kPodA);
  const Frame frame = in_udp(honest);
  constexpr size_t kUdp = kEthLen + kIpLen;
  Frame two_packets = with_trailer(frame);
  two_packets = with_number(two_packets, kEthLen + 2, static_cast<int>(two_packets.size() - kEthLen));
  two_packets = with_number(two_packets, kUdp + 4, static_cast<int>(two_packets.size() - kUdp));
  std::vector<Case> cases = {
      udp_case("UDP from a peer of the udp backend", MERINO_DECAP, MERINO_UNKNOWN_SENDER, frame),
      udp_case("TCP from a peer of the udp backend", MERINO_DECAP, MERINO_PROTOCOL, in_udp(tcp(kPodAtPeer2, kPodA))),
      udp_case("from flannel's own port", MERINO_DECAP, MERINO_NOT_TUNNEL, in_udp(honest, {.sport = kUdpPort})),
      udp_case("with a checksum", MERINO_DECAP, kNothing, with_number(frame, kUdp + 6, 0x1234)),
      udp_case("to another port", MERINO_NOT_TUNNEL, MERINO_DECAP, in_udp(honest, {.dport = kUdpPort + 1})),
      udp_case("to another address of this node", MERINO_NOT_TUNNEL, MERINO_DECAP, in_udp(honest, {.dst = kNodeOther})),
      udp_case("to another MAC", MERINO_NOT_TUNNEL, MERINO_DECAP, in_udp(honest, {.mac_dst = kOtherMac})),
      udp_case("with a VLAN tag", MERINO_NOT_TUNNEL, MERINO_DECAP, frame, {.vlan = 5}),
      udp_case("a fragment of the underlay", MERINO_NOT_TUNNEL, MERINO_DECAP, with_number(frame, kEthLen + 6, 0x2000)),
      udp_case("over IPv6", MERINO_NOT_TUNNEL, MERINO_DECAP, in_udp(honest, over_v6())),
      udp_case("VXLAN", MERINO_NOT_TUNNEL, MERINO_DECAP, tunnelled(honest)),
      udp_case("congestion experienced", MERINO_ECN, MERINO_DECAP, in_udp(honest, {.tos = 3})),
      udp_case("bytes behind the outer packet", MERINO_NOT_TUNNEL, MERINO_DECAP, with_trailer(frame)),
      udp_case("more than one packet", MERINO_NOT_TUNNEL, MERINO_DECAP, two_packets),
      udp_case("more than one packet, aggregated", MERINO_NOT_TUNNEL, MERINO_AGGREGATE,
               with_number(in_udp(tcp(kPodAtPeer2, kPodA, 2800)), kUdp + kUdpLen + 2, 1400), {.gso_size = 1400}),
      udp_case("the outer length is beyond the frame's end", MERINO_MALFORMED, MERINO_DECAP,
               with_number(frame, kEthLen + 2, number_at(frame, kEthLen + 2) + 1)),
      udp_case("nothing behind the UDP header", MERINO_MALFORMED, MERINO_DECAP, cut(frame, kUdp + kUdpLen)),
      udp_case("from a host that is no peer", MERINO_UNKNOWN_SENDER, MERINO_DECAP, in_udp(honest, {.src = kStranger})),
      udp_case("the peer's own address inside", MERINO_DECAP, MERINO_FORGED, in_udp(udp(kPeer2, kPodA))),
      udp_case("another peer's inner source", MERINO_FORGED, MERINO_DECAP, in_udp(udp(kPodAtPeer3, kPodA))),
      udp_case("forged, to the node", MERINO_FORGED, MERINO_NOT_POD, in_udp(udp(kPodB, kNode))),
      udp_case("to the node", MERINO_NOT_POD, MERINO_DECAP, in_udp(udp(kPodAtPeer2, kNode))),
      udp_case("ping inside", MERINO_PROTOCOL, MERINO_DECAP, in_udp(ping(kPodAtPeer2, kPodA))),
      udp_case("a fragment inside", MERINO_FRAGMENT, MERINO_DECAP, in_udp(middle_fragment(kPodAtPeer2, kPodA))),
      udp_case("IP options inside", MERINO_IP_OPTIONS, MERINO_DECAP, in_udp(with_options(honest))),
      udp_case("TTL 1 inside", MERINO_TTL, MERINO_DECAP, in_udp(with_ttl(honest, 1))),
      udp_case("TTL 2 inside", MERINO_DECAP, MERINO_TTL, in_udp(with_ttl(honest, 2))),
      udp_case("translated", MERINO_TRANSLATED, MERINO_DECAP, in_udp(translated_udp(kPodAtPeer2, kPodA))),
      {"the udp backend's packet where there is VXLAN", MERINO_NOT_TUNNEL, MERINO_DECAP, frame},
  };
  for (const auto& lie : ip_lies(frame, kUdp + kUdpLen)) {
    // A length that is shorter than the payload may be that of another packet before it: not this tunnel's.
    const bool is_shorter = number_at(lie.frame, kUdp + kUdpLen + 2) < number_at(frame, kUdp + kUdpLen + 2);
    cases.push_back(udp_case(lie.name, is_shorter ? MERINO_NOT_TUNNEL : MERINO_MALFORMED, MERINO_DECAP, lie.frame));
  }
  return cases;
}

std::vector<Case> udp_from_tunnel() {
  const auto back = [](const Tins::IP& ip) { return inner_frame(ip); };
  const Metadata ourselves = {.tunnel = Metadata::TunnelKey{.remote = kNode}};
  return {
      udp_case("what comes back from this node itself", MERINO_HOST_ENCAP, MERINO_UNKNOWN_SENDER, back(udp(kNode, kPodAtPeer2)), ourselves),
      udp_case("back from this node, to no peer", MERINO_NO_PEER, MERINO_HOST_ENCAP, back(udp(kNode, kNoSubnet)), ourselves),
      {"from this node itself where there is VXLAN", MERINO_UNKNOWN_SENDER, MERINO_HOST_ENCAP, back(udp(kNode, kPodAtPeer2)), ourselves},
  };
}

std::vector<Case> udp_from_host() {
  const auto routed = [](const Tins::IP& ip) { return ethernet(kNoMac, kVtepMac, ip); };
  return {
      udp_case("by the udp backend", MERINO_HOST_ENCAP, MERINO_NO_PEER, routed(udp(kNode, kPodAtPeer2))),
      udp_case("ping by the udp backend", MERINO_HOST_ENCAP, MERINO_PROTOCOL, routed(ping(kNode, kPodAtPeer2))),
      udp_case("to no node", MERINO_NO_PEER, MERINO_HOST_ENCAP, routed(udp(kNode, kNoSubnet))),
  };
}

}  // namespace

std::vector<Case> udp_cases(Program program) {
  switch (program) {
    case Program::from_pod:
      return udp_from_pod();
    case Program::from_wire:
      return udp_from_wire();
    case Program::from_host:
      return udp_from_host();
    case Program::from_tunnel:
      return udp_from_tunnel();
    case Program::wire_xdp:
      break;
  }
  return {};
}

}  // namespace merino::test
