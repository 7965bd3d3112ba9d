#include "bpf/cases.h"

namespace merino::test {

namespace {

std::vector<Case> delivery() {
  return {
      {"UDP to a pod of this node", MERINO_LOCAL, MERINO_NO_ROUTE, from_pod_a(udp(kPodA, kPodB))},
      {"TCP to a pod of this node", MERINO_LOCAL, MERINO_PROTOCOL, from_pod_a(tcp(kPodA, kPodB))},
      {"larger than the MTU, to a pod of this node", MERINO_LOCAL, MERINO_MTU, from_pod_a(udp_of(kPodA, kPodB, kPodMtu + 1))},
      {"no payload", MERINO_LOCAL, MERINO_MALFORMED, from_pod_a(udp(kPodA, kPodB, 0))},
      {"padded by Ethernet", MERINO_LOCAL, MERINO_MALFORMED, with_trailer(from_pod_a(udp(kPodA, kPodB, 1)))},
      {"UDP to a peer's pod", MERINO_ENCAP, MERINO_NO_ROUTE, from_pod_a(udp(kPodA, kPodAtPeer2))},
      {"TCP to a peer's pod", MERINO_ENCAP, MERINO_PROTOCOL, from_pod_a(tcp(kPodA, kPodAtPeer2))},
      {"marked as having met congestion", MERINO_ENCAP, MERINO_ECN, from_pod_a(with(udp(kPodA, kPodAtPeer2), [](auto& ip) { ip.tos(3); }))},
      {"an address of this node's subnet that nobody has", MERINO_NO_ROUTE, MERINO_LOCAL, from_pod_a(udp(kPodA, kNoPod))},
      {"a subnet that no node has", MERINO_NO_ROUTE, MERINO_ENCAP, from_pod_a(udp(kPodA, kNoSubnet))},
      {"the outside", MERINO_NO_ROUTE, kNothing, from_pod_a(udp(kPodA, kOutside))},
      {"the address of a subnet's neighbour", MERINO_NO_ROUTE, MERINO_ENCAP, from_pod_a(udp(kPodA, "10.244.4.0"))},
      {"the last address of a peer's subnet", MERINO_ENCAP, MERINO_NO_ROUTE, from_pod_a(udp(kPodA, "10.244.3.255"))},
      {"a multicast address behind a unicast MAC", MERINO_NO_ROUTE, kNothing, from_pod_a(udp(kPodA, "224.0.0.251"))},
      {"the limited broadcast address", MERINO_NO_ROUTE, kNothing, from_pod_a(udp(kPodA, "255.255.255.255"))},
  };
}

std::vector<Case> shapes() {
  return {
      {"neither IPv4 nor IPv6", MERINO_NOT_IP, MERINO_ENCAP, with_number(from_pod_a(udp(kPodA, kPodAtPeer2)), 12, 0x88cc)},
      {"a VLAN tag in the frame", MERINO_NOT_IP, MERINO_ENCAP, with_vlan(from_pod_a(udp(kPodA, kPodAtPeer2)), 5)},
      {"a VLAN tag taken out by the device", MERINO_NOT_IP, MERINO_ENCAP, from_pod_a(udp(kPodA, kPodAtPeer2)), {.vlan = 5}},
      {"a VLAN tag on the way to a local pod", MERINO_NOT_IP, MERINO_LOCAL, from_pod_a(udp(kPodA, kPodB)), {.vlan = 5}},
      {"a VLAN tag that only carries a priority", MERINO_NOT_IP, MERINO_LOCAL, from_pod_a(udp(kPodA, kPodB)), {.vlan = 0x2000}},
      {"forged behind a VLAN tag", MERINO_SPOOFED, MERINO_NOT_IP, from_pod_a(udp(kNoPod, kPodB)), {.vlan = 0x2000}},
      {"behind two VLAN tags", MERINO_SPOOFED, MERINO_NOT_IP, with_vlan(from_pod_a(udp(kPodA, kPodB)), 0), {.vlan = 0x2000}},
      {"to the broadcast MAC", MERINO_NOT_FOR_US, MERINO_LOCAL, ethernet(kBroadcastMac, kPodAMac, udp(kPodA, kPodB))},
      {"to a multicast MAC", MERINO_NOT_FOR_US, MERINO_NO_ROUTE, ethernet(kMulticastMac, kPodAMac, udp(kPodA, "224.0.0.251"))},
      {"to another MAC", MERINO_NOT_FOR_US, MERINO_ENCAP, ethernet(kOtherMac, kPodAMac, udp(kPodA, kPodAtPeer2))},
      {"switched off, local", MERINO_FAST_PATH_OFF, MERINO_LOCAL, from_pod_a(udp(kPodA, kPodB)), {}, Setting::fast_path_off},
      {"switched off, to a peer", MERINO_FAST_PATH_OFF, MERINO_ENCAP, from_pod_a(udp(kPodA, kPodAtPeer2)), {}, Setting::fast_path_off},
      {"by the stack, local", MERINO_BY_STACK, MERINO_LOCAL, from_pod_a(udp(kPodA, kPodB)), {}, Setting::by_stack},
      {"by the stack, to a peer", MERINO_BY_STACK, MERINO_ENCAP, from_pod_a(udp(kPodA, kPodAtPeer2)), {}, Setting::by_stack},
      {"IP options", MERINO_IP_OPTIONS, MERINO_ENCAP, from_pod_a(with_options(udp(kPodA, kPodAtPeer2)))},
      {"IP options, local", MERINO_IP_OPTIONS, MERINO_LOCAL, from_pod_a(with_options(tcp(kPodA, kPodB)))},
      {"the first fragment", MERINO_FRAGMENT, MERINO_ENCAP, from_pod_a(first_fragment(kPodA, kPodAtPeer2))},
      {"a middle fragment", MERINO_FRAGMENT, MERINO_LOCAL, from_pod_a(middle_fragment(kPodA, kPodB))},
      {"the last fragment", MERINO_FRAGMENT, MERINO_ENCAP, from_pod_a(last_fragment(kPodA, kPodAtPeer2))},
      {"the flag don't fragment", MERINO_ENCAP, MERINO_FRAGMENT,
       from_pod_a(with(udp(kPodA, kPodAtPeer2), [](auto& ip) { ip.flags(Tins::IP::DONT_FRAGMENT); }))},
      {"ICMP", MERINO_PROTOCOL, MERINO_ENCAP, from_pod_a(ping(kPodA, kPodAtPeer2))},
      {"ICMP, local", MERINO_PROTOCOL, MERINO_LOCAL, from_pod_a(ping(kPodA, kPodB))},
      {"SCTP", MERINO_PROTOCOL, MERINO_ENCAP, from_pod_a(sctp(kPodA, kPodAtPeer2))},
      {"TTL 0", MERINO_TTL, MERINO_ENCAP, from_pod_a(with_ttl(udp(kPodA, kPodAtPeer2), 0))},
      {"TTL 1", MERINO_TTL, MERINO_ENCAP, from_pod_a(with_ttl(udp(kPodA, kPodAtPeer2), 1))},
      {"TTL 1, local", MERINO_TTL, MERINO_LOCAL, from_pod_a(with_ttl(udp(kPodA, kPodB), 1))},
      {"TTL 2", MERINO_ENCAP, MERINO_TTL, from_pod_a(with_ttl(udp(kPodA, kPodAtPeer2), 2))},
      {"TTL 2, local", MERINO_LOCAL, MERINO_TTL, from_pod_a(with_ttl(udp(kPodA, kPodB), 2))},
      {"translated", MERINO_TRANSLATED, MERINO_ENCAP, from_pod_a(translated_udp(kPodA, kPodAtPeer2)), {}, Setting::translated},
      {"translated, local", MERINO_TRANSLATED, MERINO_LOCAL, from_pod_a(translated_udp(kPodA, kPodB)), {}, Setting::translated},
      {"another flow than the translated one",
       MERINO_ENCAP,
       MERINO_TRANSLATED,
       from_pod_a(udp(kPodA, kPodAtPeer2)),
       {},
       Setting::translated},
  };
}

// BPF_PROG_TEST_RUN sets the size of GSO segments, but not the type: the encapsulation of a packet that passes the MTU check is refused.
std::vector<Case> sizes() {
  const auto tcp_options = [](auto& ip) { ip.template rfind_pdu<Tins::TCP>().timestamp(1, 2); };
  return {
      {"exactly the MTU", MERINO_ENCAP, MERINO_MTU, from_pod_a(udp_of(kPodA, kPodAtPeer2, kPodMtu))},
      {"one byte over the MTU", MERINO_MTU, MERINO_ENCAP, from_pod_a(udp_of(kPodA, kPodAtPeer2, kPodMtu + 1))},
      {"over the MTU with the bytes behind it", MERINO_MTU, MERINO_ENCAP, with_trailer(from_pod_a(udp_of(kPodA, kPodAtPeer2, kPodMtu)))},
      {"bytes behind a small packet", MERINO_ENCAP, MERINO_MTU, with_trailer(from_pod_a(udp(kPodA, kPodAtPeer2)))},
      {"TCP, exactly the MTU", MERINO_ENCAP, MERINO_MTU, from_pod_a(tcp_of(kPodA, kPodAtPeer2, kPodMtu))},
      {"TCP, one byte over the MTU", MERINO_MTU, MERINO_ENCAP, from_pod_a(tcp_of(kPodA, kPodAtPeer2, kPodMtu + 1))},
      {"TCP segments of exactly the MTU", MERINO_HELPER, MERINO_MTU, from_pod_a(tcp(kPodA, kPodAtPeer2, 3000)), {.gso_size = 1410}},
      {"TCP segments one byte over the MTU", MERINO_MTU, MERINO_HELPER, from_pod_a(tcp(kPodA, kPodAtPeer2, 3000)), {.gso_size = 1411}},
      {"TCP segments with options of exactly the MTU",
       MERINO_HELPER,
       MERINO_MTU,
       from_pod_a(with(tcp(kPodA, kPodAtPeer2, 3000), tcp_options)),
       {.gso_size = 1398}},
      {"TCP segments with options one byte over the MTU",
       MERINO_MTU,
       MERINO_HELPER,
       from_pod_a(with(tcp(kPodA, kPodAtPeer2, 3000), tcp_options)),
       {.gso_size = 1399}},
      {"UDP segments of exactly the MTU", MERINO_HELPER, MERINO_MTU, from_pod_a(udp(kPodA, kPodAtPeer2, 3000)), {.gso_size = 1422}},
      {"UDP segments one byte over the MTU", MERINO_MTU, MERINO_HELPER, from_pod_a(udp(kPodA, kPodAtPeer2, 3000)), {.gso_size = 1423}},
      {"a small packet without GSO", MERINO_ENCAP, MERINO_HELPER, from_pod_a(tcp(kPodA, kPodAtPeer2))},
      {"GSO segments over the MTU, local", MERINO_LOCAL, MERINO_MTU, from_pod_a(tcp(kPodA, kPodB, 3000)), {.gso_size = 2000}},
  };
}

std::vector<Case> forgeries() {
  return {
      {"a source that is no pod's", MERINO_SPOOFED, MERINO_ENCAP, from_pod_a(udp(kNoPod, kPodAtPeer2))},
      {"a source from outside", MERINO_SPOOFED, MERINO_NO_ROUTE, from_pod_a(udp(kOutside, kNode))},
      {"a source in a peer's subnet", MERINO_SPOOFED, MERINO_LOCAL, from_pod_a(udp(kPodAtPeer2, kPodB))},
      {"the address of another pod", MERINO_SPOOFED, MERINO_ENCAP, from_pod_a(udp(kPodB, kPodAtPeer2))},
      {"the address and MAC of another pod", MERINO_SPOOFED, MERINO_ENCAP, ethernet(kHostAMac, kPodBMac, udp(kPodB, kPodAtPeer2))},
      {"another MAC", MERINO_SPOOFED, MERINO_ENCAP, ethernet(kHostAMac, kOtherMac, udp(kPodA, kPodAtPeer2))},
      {"the MAC differs in the last byte only", MERINO_SPOOFED, MERINO_LOCAL, patched(from_pod_a(udp(kPodA, kPodB)), 11, {0x99})},
      {"the MAC differs in the first byte only", MERINO_SPOOFED, MERINO_LOCAL, patched(from_pod_a(udp(kPodA, kPodB)), 6, {0x0e})},
      {"on another pod's interface",
       MERINO_SPOOFED,
       MERINO_LOCAL,
       ethernet(kHostBMac, kPodAMac, udp(kPodA, kPodB)),
       {.interface = "vethb"}},
      {"on its own interface", MERINO_LOCAL, MERINO_SPOOFED, from_pod_b(udp(kPodB, kPodA)), {.interface = "vethb"}},
      {"no source", MERINO_SPOOFED, kNothing, patched(from_pod_a(udp(kPodA, kPodB)), kEthLen + 12, {0, 0, 0, 0})},
      {"the loopback address", MERINO_SPOOFED, kNothing, from_pod_a(udp("127.0.0.1", kPodB))},
      {"forged, to the broadcast MAC", MERINO_SPOOFED, MERINO_NOT_FOR_US, ethernet(kBroadcastMac, kPodAMac, udp(kNoPod, kPodB))},
      {"forged ICMP", MERINO_SPOOFED, MERINO_PROTOCOL, from_pod_a(ping(kNoPod, kPodB))},
      {"a forged fragment", MERINO_SPOOFED, MERINO_FRAGMENT, from_pod_a(middle_fragment(kNoPod, kPodB))},
      {"forged with IP options", MERINO_SPOOFED, MERINO_IP_OPTIONS, from_pod_a(with_options(udp(kNoPod, kPodB)))},
      {"forged with TTL 1", MERINO_SPOOFED, MERINO_TTL, from_pod_a(with_ttl(udp(kNoPod, kPodB), 1))},
      {"forged by who goes by the stack", MERINO_SPOOFED, MERINO_BY_STACK, from_pod_a(udp(kNoPod, kPodB)), {}, Setting::by_stack},
      {"forged while switched off", MERINO_SPOOFED, MERINO_FAST_PATH_OFF, from_pod_a(udp(kNoPod, kPodB)), {}, Setting::fast_path_off},
  };
}

Tins::IP to_tunnel_port(const std::string& dst) { return udp_ports(kPodA, dst, kClientPort, kTunnelPort); }

std::vector<Case> tunnel_port() {
  Tins::IP tcp_to_port = tcp(kPodA, kPeer2);
  tcp_to_port.rfind_pdu<Tins::TCP>().dport(kTunnelPort);
  return {
      {"to the tunnel port of its own node", MERINO_TUNNEL_PORT, MERINO_NO_ROUTE, from_pod_a(to_tunnel_port(kNode))},
      {"to the tunnel port of a peer", MERINO_TUNNEL_PORT, MERINO_NO_ROUTE, from_pod_a(to_tunnel_port(kPeer2))},
      {"to the same port of a stranger", MERINO_NO_ROUTE, MERINO_TUNNEL_PORT, from_pod_a(to_tunnel_port(kStranger))},
      {"to the same port of a peer's pod", MERINO_ENCAP, MERINO_TUNNEL_PORT, from_pod_a(to_tunnel_port(kPodAtPeer2))},
      {"to another port of a peer", MERINO_NO_ROUTE, MERINO_TUNNEL_PORT,
       from_pod_a(udp_ports(kPodA, kPeer2, kTunnelPort, kTunnelPort + 1))},
      {"to the tunnel port by TCP", MERINO_NO_ROUTE, MERINO_TUNNEL_PORT, from_pod_a(tcp_to_port)},
      {"to the tunnel port, first fragment", MERINO_TUNNEL_PORT, MERINO_FRAGMENT,
       from_pod_a(with(to_tunnel_port(kPeer2), [](auto& ip) { ip.flags(Tins::IP::MORE_FRAGMENTS); }))},
      {"a later fragment, where ports would be", MERINO_FRAGMENT, MERINO_TUNNEL_PORT,
       from_pod_a(with(to_tunnel_port(kPeer2), [](auto& ip) { ip.fragment_offset(10); }))},
      {"to the tunnel port behind IP options", MERINO_TUNNEL_PORT, MERINO_IP_OPTIONS, from_pod_a(with_options(to_tunnel_port(kPeer2)))},
      {"to the tunnel port, first fragment with IP options", MERINO_TUNNEL_PORT, MERINO_FRAGMENT,
       from_pod_a(with_options(with(to_tunnel_port(kPeer2), [](auto& ip) { ip.flags(Tins::IP::MORE_FRAGMENTS); })))},
      {"to the tunnel port with TTL 1", MERINO_TUNNEL_PORT, MERINO_TTL, from_pod_a(with_ttl(to_tunnel_port(kPeer2), 1))},
      {"to the tunnel port, broadcast MAC", MERINO_TUNNEL_PORT, MERINO_NOT_FOR_US,
       ethernet(kBroadcastMac, kPodAMac, to_tunnel_port(kPeer2))},
      {"to the tunnel port behind a VLAN tag", MERINO_TUNNEL_PORT, MERINO_NOT_IP, from_pod_a(to_tunnel_port(kPeer2)), {.vlan = 0}},
      {"to the tunnel port while switched off",
       MERINO_TUNNEL_PORT,
       MERINO_FAST_PATH_OFF,
       from_pod_a(to_tunnel_port(kPeer2)),
       {},
       Setting::fast_path_off},
  };
}

std::vector<Case> arp_questions() {
  const Frame question = arp(kPodAMac, kPodA, kGateway);
  const size_t body = kEthLen;
  return {
      {"ARP for the gateway", MERINO_ARP_REPLY, MERINO_NOT_IP, question},
      {"ARP for the gateway, by unicast", MERINO_ARP_REPLY, MERINO_NOT_FOR_US, patched(question, 0, {0x02, 0, 0, 0, 0x0a, 0x02})},
      {"ARP for another address", MERINO_NOT_IP, MERINO_ARP_REPLY, arp(kPodAMac, kPodA, kPodB)},
      {"a probe for the pod's own address", MERINO_NOT_IP, MERINO_SPOOFED_ARP, arp(kPodAMac, "0.0.0.0", kPodA)},
      {"an announcement of the pod's own address", MERINO_NOT_IP, MERINO_SPOOFED_ARP, arp(kPodAMac, kPodA, kPodA)},
      {"an ARP reply with the pod's own address", MERINO_NOT_IP, MERINO_ARP_REPLY, arp(kPodAMac, kPodA, kGateway, Tins::ARP::REPLY)},
      {"an ARP reply with another address", MERINO_SPOOFED_ARP, MERINO_NOT_IP, arp(kPodAMac, kPodB, kGateway, Tins::ARP::REPLY)},
      {"an ARP question in another pod's name", MERINO_SPOOFED_ARP, MERINO_ARP_REPLY, arp(kPodAMac, kPodB, kGateway)},
      {"an ARP question in the gateway's name", MERINO_SPOOFED_ARP, MERINO_NOT_IP, arp(kPodAMac, kGateway, kPodB)},
      {"an ARP question in nobody's name", MERINO_SPOOFED_ARP, MERINO_ARP_REPLY, arp(kPodAMac, kNoPod, kGateway)},
      {"an ARP question from another MAC", MERINO_SPOOFED_ARP, MERINO_ARP_REPLY, arp(kOtherMac, kPodA, kGateway)},
      {"ARP whose inner MAC differs", MERINO_SPOOFED_ARP, MERINO_ARP_REPLY, patched(question, body + 8 + 5, {0x77})},
      {"ARP whose Ethernet source differs", MERINO_SPOOFED_ARP, MERINO_ARP_REPLY, patched(question, 6 + 5, {0x77})},
      {"an ARP question on another pod's interface", MERINO_SPOOFED_ARP, MERINO_ARP_REPLY, question, {.interface = "vethb"}},
      {"ARP of another kind of hardware", MERINO_NOT_IP, MERINO_ARP_REPLY, with_number(question, body, 15)},
      {"ARP for another protocol", MERINO_NOT_IP, MERINO_ARP_REPLY, with_number(question, body + 2, 0x86dd)},
      {"ARP with another length of MAC addresses", MERINO_NOT_IP, MERINO_ARP_REPLY, patched(question, body + 4, {8})},
      {"ARP with another length of IP addresses", MERINO_NOT_IP, MERINO_ARP_REPLY, patched(question, body + 5, {16})},
      {"another ARP operation", MERINO_NOT_IP, MERINO_ARP_REPLY, with_number(question, body + 6, 3)},
      {"ARP cut by a byte", MERINO_MALFORMED, MERINO_ARP_REPLY, cut(question, question.size() - 1)},
      // The kernel takes both hardware types for Ethernet, so both are checked (arp_process).
      {"forged ARP of hardware type IEEE 802", MERINO_SPOOFED_ARP, MERINO_NOT_IP, with_number(arp(kPodAMac, kPodB, kGateway), body, 6)},
      {"ARP for the gateway with a VLAN tag", MERINO_NOT_IP, MERINO_ARP_REPLY, question, {.vlan = 0}},
      {"forged ARP with a VLAN tag", MERINO_SPOOFED_ARP, MERINO_NOT_IP, arp(kPodAMac, kPodB, kGateway), {.vlan = 0}},
      {"ARP of hardware type IEEE 802", MERINO_ARP_REPLY, MERINO_NOT_IP, with_number(question, body, 6)},
      {"ARP for the gateway while switched off", MERINO_ARP_REPLY, MERINO_FAST_PATH_OFF, question, {}, Setting::fast_path_off},
  };
}

}  // namespace

std::vector<Case> from_pod_cases() {
  std::vector<Case> cases;
  for (const auto& part : {delivery(), shapes(), sizes(), forgeries(), tunnel_port(), arp_questions()})
    cases.insert(cases.end(), part.begin(), part.end());
  for (const auto& lie : ip_lies(from_pod_a(udp(kPodA, kPodAtPeer2)), kEthLen))
    cases.push_back({lie.name, MERINO_MALFORMED, MERINO_ENCAP, lie.frame});
  return cases;
}

}  // namespace merino::test
