#include "bpf/cases.h"

namespace merino::test {

namespace {

Case direct(const char* name, merino_reason reason, merino_reason beside, const Frame& frame, const Metadata& metadata = {}) {
  return {name, reason, beside, frame, metadata, Setting::direct};
}

std::vector<Case> from_pod() {
  const auto to = [](const Tins::IP& ip) { return from_pod_a(ip); };
  return {
      direct("UDP to a node of the segment", MERINO_DIRECT, MERINO_ENCAP, to(udp(kPodA, kPodAtPeer2))),
      direct("TCP to a node of the segment", MERINO_DIRECT, MERINO_ENCAP, to(tcp(kPodA, kPodAtPeer2))),
      direct("to a node of the segment whose MAC is not known", MERINO_NEIGHBOUR, MERINO_DIRECT, to(udp(kPodA, kPodAtPeer3))),
      direct("to a node elsewhere", MERINO_ENCAP, MERINO_DIRECT, to(udp(kPodA, kPodAtPeer4))),
      direct("of the MTU", MERINO_DIRECT, MERINO_MTU, to(udp_of(kPodA, kPodAtPeer2, kPodMtu))),
      direct("over the MTU", MERINO_MTU, MERINO_DIRECT, to(udp_of(kPodA, kPodAtPeer2, kPodMtu + 1))),
      direct("TTL 1", MERINO_TTL, MERINO_DIRECT, to(with_ttl(udp(kPodA, kPodAtPeer2), 1))),
      direct("TTL 2", MERINO_DIRECT, MERINO_TTL, to(with_ttl(udp(kPodA, kPodAtPeer2), 2))),
      direct("ICMP", MERINO_PROTOCOL, MERINO_DIRECT, to(ping(kPodA, kPodAtPeer2))),
      direct("a fragment", MERINO_FRAGMENT, MERINO_DIRECT, to(middle_fragment(kPodA, kPodAtPeer2))),
      direct("translated", MERINO_TRANSLATED, MERINO_DIRECT, to(translated_udp(kPodA, kPodAtPeer2))),
      direct("another pod's source", MERINO_SPOOFED, MERINO_DIRECT, to(udp(kPodB, kPodAtPeer2))),
  };
}

std::vector<Case> from_host() {
  const auto routed = [](const Tins::IP& ip) { return ethernet(kNoMac, kVtepMac, ip); };
  return {
      direct("to a node of the segment", MERINO_HOST_DIRECT, MERINO_HOST_ENCAP, routed(udp(kNode, kPodAtPeer2))),
      direct("ICMP to a node of the segment", MERINO_HOST_DIRECT, MERINO_HOST_ENCAP, routed(ping(kNode, kPodAtPeer2))),
      direct("an aggregate to a node of the segment", MERINO_HOST_DIRECT, MERINO_HOST_DRIVER, routed(tcp(kNode, kPodAtPeer2, 2800)),
             {.gso_size = 1400}),
      direct("to a node of the segment whose MAC is not known", MERINO_HOST_DIRECT, MERINO_NEIGHBOUR, routed(udp(kNode, kPodAtPeer3))),
      direct("to a node elsewhere", MERINO_HOST_ENCAP, MERINO_HOST_DIRECT, routed(udp(kNode, kPodAtPeer4))),
      direct("to no node", MERINO_NO_PEER, MERINO_HOST_DIRECT, routed(udp(kNode, kNoSubnet))),
  };
}

std::vector<Case> from_wire() {
  const auto plain = [](const Tins::IP& ip, const char* mac = kWireMac) { return ethernet(kUplinkMac, mac, ip); };
  const Tins::IP honest = udp(kPodAtPeer2, kPodA);
  const Frame frame = plain(honest);
  std::vector<Case> cases = {
      direct("UDP from a pod of the segment", MERINO_DIRECT_IN, MERINO_WRONG_NEIGHBOUR, frame),
      direct("TCP from a pod of the segment", MERINO_DIRECT_IN, MERINO_PROTOCOL, plain(tcp(kPodAtPeer2, kPodA))),
      direct("an aggregate", MERINO_DIRECT_IN, MERINO_AGGREGATE, plain(tcp(kPodAtPeer2, kPodA, 2800)), {.gso_size = 1400}),
      direct("an aggregate of packets over the MTU", MERINO_MTU, MERINO_DIRECT_IN, plain(tcp(kPodAtPeer2, kPodA, 2822)),
             {.gso_size = 1411}),
      direct("from another MAC", MERINO_WRONG_NEIGHBOUR, MERINO_DIRECT_IN, plain(honest, kOtherMac)),
      direct("ICMP from another MAC", MERINO_WRONG_NEIGHBOUR, MERINO_PROTOCOL, plain(ping(kPodAtPeer2, kPodA), kOtherMac)),
      direct("a fragment from another MAC", MERINO_WRONG_NEIGHBOUR, MERINO_FRAGMENT, plain(middle_fragment(kPodAtPeer2, kPodA), kOtherMac)),
      direct("from another MAC, not to a pod", MERINO_WRONG_NEIGHBOUR, MERINO_NOT_POD, plain(udp(kPodAtPeer2, kNoPod), kOtherMac)),
      direct("from another MAC, with the tag of VLAN 0", MERINO_WRONG_NEIGHBOUR, MERINO_NOT_IP, plain(honest, kOtherMac), {.vlan = 0}),
      direct("with the tag of VLAN 0", MERINO_NOT_IP, MERINO_WRONG_NEIGHBOUR, frame, {.vlan = 0}),
      direct("with two tags of VLAN 0", MERINO_FORGED, MERINO_NOT_TUNNEL, with_vlan(frame, 0), {.vlan = 0}),
      direct("with a tag of VLAN 0 and another", MERINO_NOT_TUNNEL, MERINO_FORGED, with_vlan(frame, 5), {.vlan = 0}),
      direct("of another VLAN", MERINO_NOT_TUNNEL, MERINO_DIRECT_IN, plain(honest, kOtherMac), {.vlan = 5}),
      direct("from a peer whose MAC is not known", MERINO_NEIGHBOUR, MERINO_DIRECT_IN, plain(udp(kPodAtPeer3, kPodA))),
      direct("from a peer that is elsewhere", MERINO_PLAIN, MERINO_DIRECT_IN, plain(udp(kPodAtPeer4, kPodA))),
      direct("from a host outside", MERINO_PLAIN, MERINO_DIRECT_IN, plain(udp(kOutside, kPodA))),
      direct("from the peer itself: the answers go through the stack", MERINO_PLAIN, MERINO_DIRECT_IN, plain(udp(kPeer2, kPodA))),
      direct("from a subnet that no node has", MERINO_PLAIN, MERINO_DIRECT_IN, plain(udp(kNoSubnet, kPodA))),
      direct("to an address that is no pod", MERINO_NOT_POD, MERINO_DIRECT_IN, plain(udp(kPodAtPeer2, kNoPod))),
      direct("to another node's pod", MERINO_NOT_POD, MERINO_DIRECT_IN, plain(udp(kPodAtPeer2, kPodAtPeer4))),
      direct("to the node", MERINO_NOT_TUNNEL, MERINO_PLAIN, plain(udp(kPodAtPeer2, kNode))),
      direct("to somewhere else", MERINO_NOT_TUNNEL, MERINO_PLAIN, plain(udp(kPodAtPeer2, kOutside))),
      direct("to another MAC", MERINO_NOT_TUNNEL, MERINO_DIRECT_IN, ethernet(kOtherMac, kWireMac, honest)),
      direct("to the broadcast MAC", MERINO_NOT_TUNNEL, MERINO_DIRECT_IN, ethernet(kBroadcastMac, kWireMac, honest)),
      direct("ARP", MERINO_NOT_TUNNEL, kNothing, arp(kWireMac, kPeer2, kNode)),
      direct("ICMP", MERINO_PROTOCOL, MERINO_DIRECT_IN, plain(ping(kPodAtPeer2, kPodA))),
      direct("a fragment", MERINO_FRAGMENT, MERINO_DIRECT_IN, plain(first_fragment(kPodAtPeer2, kPodA))),
      direct("IP options", MERINO_IP_OPTIONS, MERINO_DIRECT_IN, plain(with_options(honest))),
      direct("TTL 1", MERINO_TTL, MERINO_DIRECT_IN, plain(with_ttl(honest, 1))),
      direct("TTL 2", MERINO_DIRECT_IN, MERINO_TTL, plain(with_ttl(honest, 2))),
      direct("of the MTU", MERINO_DIRECT_IN, MERINO_MTU, plain(udp_of(kPodAtPeer2, kPodA, kPodMtu))),
      direct("over the MTU", MERINO_MTU, MERINO_DIRECT_IN, plain(udp_of(kPodAtPeer2, kPodA, kPodMtu + 1))),
      direct("translated", MERINO_TRANSLATED, MERINO_DIRECT_IN, plain(translated_udp(kPodAtPeer2, kPodA))),
      direct("in a tunnel, from a peer of the segment", MERINO_DECAP, MERINO_DIRECT_IN, tunnelled(honest)),
      direct("in a tunnel, from a peer elsewhere", MERINO_DECAP, MERINO_PLAIN,
             tunnelled(udp(kPodAtPeer4, kPodA), {.src = kPeer4, .inner_src = kVtep4Mac})),
      {"without peers on the segment", MERINO_NOT_TUNNEL, MERINO_DIRECT_IN, frame},
      direct("a length beyond the frame's end", MERINO_MALFORMED, MERINO_DIRECT_IN, with_number(frame, kEthLen + 2, 0xffff)),
      direct("a header length below the minimum", MERINO_MALFORMED, MERINO_DIRECT_IN, patched(frame, kEthLen, {0x44})),
  };
  return cases;
}

}  // namespace

std::vector<Case> direct_cases(Program program) {
  switch (program) {
    case Program::from_pod:
      return from_pod();
    case Program::from_wire:
      return from_wire();
    case Program::from_host:
      return from_host();
    case Program::from_tunnel:
    case Program::wire_xdp:
      break;
  }
  return {};
}

}  // namespace merino::test
