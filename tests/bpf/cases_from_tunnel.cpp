#include "bpf/cases.h"

namespace merino::test {

namespace {

Tins::IP to_pod_a() { return udp(kPodAtPeer2, kPodA); }

Metadata from(const std::string& sender) { return {.tunnel = Metadata::TunnelKey{.remote = sender}}; }

Metadata with_vlan_tag(uint16_t tci) {
  Metadata metadata = from(kPeer2);
  metadata.vlan = tci;
  return metadata;
}

std::vector<Case> senders() {
  return {
      {"UDP from a peer's pod", MERINO_TUNNEL, MERINO_WRONG_ENDPOINT, inner_frame(to_pod_a()), from(kPeer2)},
      {"TCP from a peer's pod", MERINO_TUNNEL, MERINO_PROTOCOL, inner_frame(tcp(kPodAtPeer2, kPodA)), from(kPeer2)},
      {"an aggregate",
       MERINO_TUNNEL,
       MERINO_AGGREGATE,
       inner_frame(tcp(kPodAtPeer2, kPodA, 2800)),
       {.gso_size = 1400, .tunnel = Metadata::TunnelKey{}}},
      {"from the peer's own address", MERINO_TUNNEL, MERINO_FORGED, inner_frame(udp(kPeer2, kPodA)), from(kPeer2)},
      {"from a host that is no peer", MERINO_UNKNOWN_SENDER, MERINO_TUNNEL, inner_frame(to_pod_a()), from(kStranger)},
      {"from a pod", MERINO_UNKNOWN_SENDER, MERINO_TUNNEL, inner_frame(to_pod_a()), from(kPodB)},
      {"no IP inside, from a host that is no peer", MERINO_UNKNOWN_SENDER, MERINO_NOT_IP, arp(kVtep2Mac, kPodAtPeer2, kPodA),
       from(kStranger)},
      {"without a tunnel", MERINO_UNKNOWN_SENDER, MERINO_TUNNEL, inner_frame(to_pod_a())},
      {"another VNI", MERINO_WRONG_VNI, MERINO_TUNNEL, inner_frame(to_pod_a()), {.tunnel = Metadata::TunnelKey{.vni = 2}}},
      {"to another address of this node",
       MERINO_WRONG_ENDPOINT,
       MERINO_TUNNEL,
       inner_frame(to_pod_a()),
       {.tunnel = Metadata::TunnelKey{.local = kNodeOther}}},
      {"an inner source of another peer's subnet", MERINO_FORGED, MERINO_TUNNEL, inner_frame(udp(kPodAtPeer3, kPodA)), from(kPeer2)},
      {"an inner source of this node's own subnet", MERINO_FORGED, MERINO_TUNNEL, inner_frame(udp(kPodB, kPodA)), from(kPeer2)},
      {"another peer's address as inner source", MERINO_FORGED, MERINO_TUNNEL, inner_frame(udp(kPeer3, kPodA)), from(kPeer2)},
      {"forged, to another VTEP", MERINO_FORGED, MERINO_INNER_MAC, inner_frame(udp(kPodB, kPodA), kOtherMac), from(kPeer2)},
      {"forged, not to a pod", MERINO_FORGED, MERINO_NOT_POD, inner_frame(udp(kPodB, kNode)), from(kPeer2)},
      {"forged ICMP", MERINO_FORGED, MERINO_PROTOCOL, inner_frame(ping(kPodB, kPodA)), from(kPeer2)},
      {"forged while switched off", MERINO_FORGED, MERINO_FAST_PATH_OFF, inner_frame(udp(kPodB, kPodA)), from(kPeer2),
       Setting::fast_path_off},
  };
}

std::vector<Case> inner_packets() {
  return {
      {"to another VTEP", MERINO_INNER_MAC, MERINO_TUNNEL, inner_frame(to_pod_a(), kOtherMac), from(kPeer2)},
      {"to an address of this node that is no pod", MERINO_NOT_POD, MERINO_TUNNEL, inner_frame(udp(kPodAtPeer2, kNoPod)), from(kPeer2)},
      {"to this node", MERINO_NOT_POD, MERINO_TUNNEL, inner_frame(udp(kPodAtPeer2, kNode)), from(kPeer2)},
      {"ARP", MERINO_NOT_IP, MERINO_TUNNEL, arp(kVtep2Mac, kPodAtPeer2, kPodA), from(kPeer2)},
      {"a VLAN tag in the frame", MERINO_NOT_IP, MERINO_TUNNEL, with_vlan(inner_frame(to_pod_a()), 5), from(kPeer2)},
      {"a VLAN tag taken out by the stack", MERINO_NOT_IP, MERINO_TUNNEL, inner_frame(to_pod_a()), with_vlan_tag(5)},
      {"forged behind a VLAN tag", MERINO_FORGED, MERINO_NOT_IP, inner_frame(udp(kPodB, kPodA)), with_vlan_tag(0)},
      {"behind two VLAN tags", MERINO_FORGED, MERINO_NOT_IP, with_vlan(inner_frame(to_pod_a()), 0), with_vlan_tag(0)},
      {"ICMP", MERINO_PROTOCOL, MERINO_TUNNEL, inner_frame(ping(kPodAtPeer2, kPodA)), from(kPeer2)},
      {"a fragment", MERINO_FRAGMENT, MERINO_TUNNEL, inner_frame(last_fragment(kPodAtPeer2, kPodA)), from(kPeer2)},
      {"IP options", MERINO_IP_OPTIONS, MERINO_TUNNEL, inner_frame(with_options(to_pod_a())), from(kPeer2)},
      {"TTL 0", MERINO_TTL, MERINO_TUNNEL, inner_frame(with_ttl(to_pod_a(), 0)), from(kPeer2)},
      {"TTL 1", MERINO_TTL, MERINO_TUNNEL, inner_frame(with_ttl(to_pod_a(), 1)), from(kPeer2)},
      {"TTL 2", MERINO_TUNNEL, MERINO_TTL, inner_frame(with_ttl(to_pod_a(), 2)), from(kPeer2)},
      {"switched off", MERINO_FAST_PATH_OFF, MERINO_TUNNEL, inner_frame(to_pod_a()), from(kPeer2), Setting::fast_path_off},
      {"to a pod by the stack", MERINO_BY_STACK, MERINO_TUNNEL, inner_frame(to_pod_a()), from(kPeer2), Setting::by_stack},
      {"translated", MERINO_TRANSLATED, MERINO_TUNNEL, inner_frame(translated_udp(kPodAtPeer2, kPodA)), from(kPeer2), Setting::translated},
  };
}

}  // namespace

std::vector<Case> from_tunnel_cases() {
  std::vector<Case> cases;
  for (const auto& part : {senders(), inner_packets()}) cases.insert(cases.end(), part.begin(), part.end());
  for (const auto& lie : ip_lies(inner_frame(to_pod_a()), kEthLen))
    cases.push_back({lie.name, MERINO_MALFORMED, MERINO_TUNNEL, lie.frame, from(kPeer2)});
  return cases;
}

}  // namespace merino::test
