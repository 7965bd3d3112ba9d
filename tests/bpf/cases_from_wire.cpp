#include "bpf/cases.h"

namespace merino::test {

namespace {

Tins::IP wire_to_pod_a() { return udp(kPodAtPeer2, kPodA); }

std::vector<Case> outer_headers() {
  const Frame frame = tunnelled(wire_to_pod_a());
  Tins::IP tcp_to_port = tcp(kPeer2, kNode, 64);
  tcp_to_port.rfind_pdu<Tins::TCP>().dport(kTunnelPort);
  const auto wire = [](const Tins::IP& ip) { return ethernet(kUplinkMac, kWireMac, ip); };
  return {
      {"another port", MERINO_NOT_TUNNEL, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.dport = kTunnelPort + 1})},
      {"another address of this node", MERINO_NOT_TUNNEL, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.dst = kNodeOther})},
      {"to another host", MERINO_NOT_TUNNEL, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.dst = kPeer3})},
      {"to another MAC", MERINO_NOT_TUNNEL, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.mac_dst = kOtherMac})},
      {"to the broadcast MAC", MERINO_NOT_TUNNEL, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.mac_dst = kBroadcastMac})},
      {"to a multicast MAC", MERINO_NOT_TUNNEL, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.mac_dst = kMulticastMac})},
      {"a VLAN tag in the frame", MERINO_NOT_TUNNEL, MERINO_DECAP, with_vlan(frame, 5)},
      {"a VLAN tag taken out by the device", MERINO_NOT_TUNNEL, MERINO_DECAP, frame, {.vlan = 5}},
      {"the first fragment of a tunnel packet", MERINO_NOT_TUNNEL, MERINO_DECAP, with_number(frame, kEthLen + 6, 0x2000)},
      {"a later fragment of a tunnel packet", MERINO_NOT_TUNNEL, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.fragment_offset = 8})},
      {"don't fragment", MERINO_DECAP, MERINO_NOT_TUNNEL, with_number(frame, kEthLen + 6, 0x4000)},
      {"outer IP options", MERINO_NOT_TUNNEL, MERINO_DECAP, patched(frame, kEthLen, {0x46})},
      {"outer IP version 5", MERINO_NOT_TUNNEL, MERINO_DECAP, patched(frame, kEthLen, {0x55})},
      {"TCP to the same port", MERINO_NOT_TUNNEL, MERINO_DECAP, wire(tcp_to_port)},
      {"a tunnel packet of another protocol than UDP", MERINO_NOT_TUNNEL, MERINO_DECAP, patched(frame, kEthLen + 9, {136})},
      {"ICMP", MERINO_NOT_TUNNEL, kNothing, wire(ping(kPeer2, kNode))},
      {"ARP", MERINO_NOT_TUNNEL, kNothing, arp(kWireMac, kPeer2, kNode)},
      {"this network's VNI", MERINO_DECAP, MERINO_WRONG_VNI, tunnelled(wire_to_pod_a(), {.vni = kVni, .flags = 0x08000000})},
      {"another VNI", MERINO_WRONG_VNI, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.vni = 2})},
      {"a VNI that differs in the highest byte", MERINO_WRONG_VNI, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.vni = 0x010001})},
      {"no VNI flag", MERINO_WRONG_VNI, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.flags = 0})},
      {"an unknown VXLAN flag", MERINO_WRONG_VNI, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.flags = 0x88000000})},
      {"a group policy in the VXLAN header", MERINO_WRONG_VNI, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.flags = 0x88000007})},
      {"VXLAN's reserved last byte", MERINO_WRONG_VNI, MERINO_DECAP, patched(frame, kInnerEth - 1, {1})},
      {"an outer checksum", MERINO_DECAP, kNothing, with_number(frame, kEthLen + 26, 0x1234)},
      {"outer congestion experienced", MERINO_ECN, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.tos = 3})},
      {"outer ECN-capable transport", MERINO_DECAP, MERINO_ECN, tunnelled(wire_to_pod_a(), {.tos = 2})},
      {"outer ECN-capable transport (1)", MERINO_DECAP, MERINO_ECN, tunnelled(wire_to_pod_a(), {.tos = 1})},
      {"outer DSCP", MERINO_DECAP, MERINO_ECN, tunnelled(wire_to_pod_a(), {.tos = 0xb8})},
      {"a GRO aggregate", MERINO_AGGREGATE, MERINO_DECAP, tunnelled(tcp(kPodAtPeer2, kPodA, 2800)), {.gso_size = 1400}},
      {"as large, but one packet", MERINO_DECAP, MERINO_AGGREGATE, tunnelled(tcp(kPodAtPeer2, kPodA, 2800))},
      {"a forged aggregate", MERINO_FORGED, MERINO_AGGREGATE, tunnelled(tcp(kPodAtPeer3, kPodA, 2800)), {.gso_size = 1400}},
      {"the outer length is beyond the frame's end", MERINO_MALFORMED, MERINO_DECAP,
       with_number(frame, kEthLen + 2, static_cast<uint16_t>(frame.size() - kEthLen + 1))},
      {"the outer length is shorter than the tunnel headers", MERINO_MALFORMED, MERINO_DECAP, with_number(frame, kEthLen + 2, 49)},
      {"bytes behind the outer packet", MERINO_NOT_TUNNEL, MERINO_DECAP, with_trailer(frame)},
      {"bytes behind the outer packet, which is broken as well", MERINO_MALFORMED, MERINO_NOT_TUNNEL,
       with_trailer(with_number(frame, kEthLen + 2, 49))},
      {"the UDP length is shorter", MERINO_NOT_TUNNEL, MERINO_DECAP, with_number(frame, kEthLen + 24, number_at(frame, kEthLen + 24) - 1)},
      {"the UDP length is longer", MERINO_NOT_TUNNEL, MERINO_DECAP, with_number(frame, kEthLen + 24, number_at(frame, kEthLen + 24) + 1)},
      {"bytes behind the inner packet", MERINO_DECAP, MERINO_NOT_TUNNEL, tunnelled(with_trailer(inner_frame(wire_to_pod_a())))},
      {"nothing behind the UDP header", MERINO_MALFORMED, MERINO_DECAP,
       wire(with(udp_ports(kPeer2, kNode, 50000, kTunnelPort), [](auto& ip) { ip.inner_pdu(Tins::UDP(kTunnelPort, 50000)); }))},
  };
}

std::vector<Case> wire_senders() {
  return {
      {"UDP from a peer's pod", MERINO_DECAP, MERINO_UNKNOWN_SENDER, tunnelled(wire_to_pod_a())},
      {"TCP from a peer's pod", MERINO_DECAP, MERINO_PROTOCOL, tunnelled(tcp(kPodAtPeer2, kPodA))},
      {"from the other peer's pod", MERINO_DECAP, MERINO_FORGED, tunnelled(udp(kPodAtPeer3, kPodA), {.src = kPeer3})},
      {"from the peer's own address", MERINO_DECAP, MERINO_FORGED, tunnelled(udp(kPeer2, kPodA))},
      {"from the first address of the peer's subnet", MERINO_DECAP, MERINO_FORGED, tunnelled(udp("10.244.2.0", kPodA))},
      {"from a host that is no peer", MERINO_UNKNOWN_SENDER, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.src = kStranger})},
      {"from a host that is no peer, with its own address inside", MERINO_UNKNOWN_SENDER, MERINO_DECAP,
       tunnelled(udp(kStranger, kPodA), {.src = kStranger})},
      {"in the name of this node", MERINO_UNKNOWN_SENDER, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.src = kNode})},
      {"from a pod", MERINO_UNKNOWN_SENDER, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.src = kPodB})},
      {"no IP inside, from a host that is no peer", MERINO_UNKNOWN_SENDER, MERINO_NOT_IP,
       tunnelled(arp(kVtep2Mac, kPodAtPeer2, kPodA), {.src = kStranger})},
      {"an inner source of another peer's subnet", MERINO_FORGED, MERINO_DECAP, tunnelled(udp(kPodAtPeer3, kPodA))},
      {"an inner source of this node's own subnet", MERINO_FORGED, MERINO_DECAP, tunnelled(udp(kPodB, kPodA))},
      {"an inner source of a subnet that no node has", MERINO_FORGED, MERINO_DECAP, tunnelled(udp(kNoSubnet, kPodA))},
      {"an inner source from outside", MERINO_FORGED, MERINO_DECAP, tunnelled(udp(kOutside, kPodA))},
      {"another peer's address as inner source", MERINO_FORGED, MERINO_DECAP, tunnelled(udp(kPeer3, kPodA))},
      {"this node's address as inner source", MERINO_FORGED, MERINO_DECAP, tunnelled(udp(kNode, kPodA))},
      {"forged, to another VTEP", MERINO_FORGED, MERINO_INNER_MAC, tunnelled(udp(kPodB, kPodA), {.inner_dst = kOtherMac})},
      {"forged ICMP", MERINO_FORGED, MERINO_PROTOCOL, tunnelled(ping(kPodB, kPodA))},
      {"a forged fragment", MERINO_FORGED, MERINO_FRAGMENT, tunnelled(middle_fragment(kPodB, kPodA))},
      {"forged, not to a pod", MERINO_FORGED, MERINO_NOT_POD, tunnelled(udp(kPodB, kNoPod))},
      {"forged while switched off", MERINO_FORGED, MERINO_FAST_PATH_OFF, tunnelled(udp(kPodB, kPodA)), {}, Setting::fast_path_off},
  };
}

std::vector<Case> wire_inner_packets() {
  return {
      {"to another VTEP", MERINO_INNER_MAC, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.inner_dst = kOtherMac})},
      {"to the broadcast MAC inside", MERINO_INNER_MAC, MERINO_DECAP, tunnelled(wire_to_pod_a(), {.inner_dst = kBroadcastMac})},
      {"another inner source MAC", MERINO_DECAP, MERINO_INNER_MAC, tunnelled(wire_to_pod_a(), {.inner_src = kOtherMac})},
      {"to an address of this node that is no pod", MERINO_NOT_POD, MERINO_DECAP, tunnelled(udp(kPodAtPeer2, kNoPod))},
      {"to this node", MERINO_NOT_POD, MERINO_DECAP, tunnelled(udp(kPodAtPeer2, kNode))},
      {"to another peer's pod", MERINO_NOT_POD, MERINO_DECAP, tunnelled(udp(kPodAtPeer2, kPodAtPeer3))},
      {"ARP inside", MERINO_NOT_IP, MERINO_DECAP, tunnelled(arp(kVtep2Mac, kPodAtPeer2, kPodA))},
      {"a VLAN tag inside", MERINO_NOT_IP, MERINO_DECAP, tunnelled(with_vlan(inner_frame(wire_to_pod_a()), 5))},
      {"ICMP inside", MERINO_PROTOCOL, MERINO_DECAP, tunnelled(ping(kPodAtPeer2, kPodA))},
      {"SCTP inside", MERINO_PROTOCOL, MERINO_DECAP, tunnelled(sctp(kPodAtPeer2, kPodA))},
      {"the first fragment inside", MERINO_FRAGMENT, MERINO_DECAP, tunnelled(first_fragment(kPodAtPeer2, kPodA))},
      {"a middle fragment inside", MERINO_FRAGMENT, MERINO_DECAP, tunnelled(middle_fragment(kPodAtPeer2, kPodA))},
      {"the last fragment inside", MERINO_FRAGMENT, MERINO_DECAP, tunnelled(last_fragment(kPodAtPeer2, kPodA))},
      {"IP options inside", MERINO_IP_OPTIONS, MERINO_DECAP, tunnelled(with_options(wire_to_pod_a()))},
      {"TTL 0 inside", MERINO_TTL, MERINO_DECAP, tunnelled(with_ttl(wire_to_pod_a(), 0))},
      {"TTL 1 inside", MERINO_TTL, MERINO_DECAP, tunnelled(with_ttl(wire_to_pod_a(), 1))},
      {"TTL 2 inside", MERINO_DECAP, MERINO_TTL, tunnelled(with_ttl(wire_to_pod_a(), 2))},
      {"larger than the MTU inside", MERINO_DECAP, MERINO_MTU, tunnelled(udp_of(kPodAtPeer2, kPodA, kPodMtu + 1))},
      {"switched off", MERINO_FAST_PATH_OFF, MERINO_DECAP, tunnelled(wire_to_pod_a()), {}, Setting::fast_path_off},
      {"to a pod by the stack", MERINO_BY_STACK, MERINO_DECAP, tunnelled(wire_to_pod_a()), {}, Setting::by_stack},
      {"to the pod beside it", MERINO_DECAP, MERINO_BY_STACK, tunnelled(udp(kPodAtPeer2, kPodB)), {}, Setting::by_stack},
      {"translated", MERINO_TRANSLATED, MERINO_DECAP, tunnelled(translated_udp(kPodAtPeer2, kPodA)), {}, Setting::translated},
      {"another flow than the translated one", MERINO_DECAP, MERINO_TRANSLATED, tunnelled(wire_to_pod_a()), {}, Setting::translated},
  };
}

}  // namespace

std::vector<Case> from_wire_cases() {
  std::vector<Case> cases;
  for (const auto& part : {outer_headers(), wire_senders(), wire_inner_packets()}) cases.insert(cases.end(), part.begin(), part.end());
  for (const auto& lie : ip_lies(tunnelled(wire_to_pod_a()), kInnerIp))
    cases.push_back({lie.name, MERINO_MALFORMED, MERINO_DECAP, lie.frame});
  return cases;
}

}  // namespace merino::test
