#include "bpf/cases.h"

namespace merino::test {

namespace {

// What the stack hands to merino0, a device without neighbours.
Frame routed(const Tins::IP& ip) { return ethernet("00:00:00:00:00:00", kVtepMac, ip); }

}  // namespace

std::vector<Case> from_host_cases() {
  std::vector<Case> cases = {
      {"UDP to a peer's pod", MERINO_HOST_ENCAP, MERINO_NO_PEER, routed(udp(kNode, kPodAtPeer2))},
      {"TCP to a peer's pod", MERINO_HOST_ENCAP, MERINO_NO_PEER, routed(tcp(kNode, kPodAtPeer2))},
      {"ICMP", MERINO_HOST_ENCAP, MERINO_PROTOCOL, routed(ping(kNode, kPodAtPeer2))},
      {"SCTP", MERINO_HOST_ENCAP, MERINO_PROTOCOL, routed(sctp(kNode, kPodAtPeer2))},
      {"a fragment", MERINO_HOST_ENCAP, MERINO_FRAGMENT, routed(middle_fragment(kNode, kPodAtPeer2))},
      {"IP options", MERINO_HOST_ENCAP, MERINO_IP_OPTIONS, routed(with_options(udp(kNode, kPodAtPeer2)))},
      {"TTL 1: the stack has counted this hop", MERINO_HOST_ENCAP, MERINO_TTL, routed(with_ttl(udp(kNode, kPodAtPeer2), 1))},
      {"what the stack has translated",
       MERINO_HOST_ENCAP,
       MERINO_TRANSLATED,
       routed(translated_udp(kNode, kPodAtPeer2)),
       {},
       Setting::translated},
      {"while switched off", MERINO_HOST_ENCAP, MERINO_FAST_PATH_OFF, routed(udp(kNode, kPodAtPeer2)), {}, Setting::fast_path_off},
      // Without a GSO type the kernel refuses to encapsulate, as it does for what is encapsulated already.
      {"what cannot be encapsulated here",
       MERINO_HOST_DRIVER,
       MERINO_HOST_ENCAP,
       routed(tcp(kNode, kPodAtPeer2, 2800)),
       {.gso_size = 1400}},
      {"as large, but one packet", MERINO_HOST_ENCAP, MERINO_HOST_DRIVER, routed(tcp(kNode, kPodAtPeer2, 2800))},
      {"a subnet that no node has", MERINO_NO_PEER, MERINO_HOST_ENCAP, routed(udp(kNode, kNoSubnet))},
      {"this node's own subnet", MERINO_NO_PEER, MERINO_HOST_ENCAP, routed(udp(kNode, kNoPod))},
      {"the network's broadcast address", MERINO_NO_PEER, MERINO_HOST_ENCAP, routed(udp(kNode, "10.244.255.255"))},
      {"ARP", MERINO_NOT_IP, MERINO_HOST_ENCAP, arp(kVtepMac, kNode, kPodAtPeer2)},
      {"a VLAN tag in the frame", MERINO_NOT_IP, MERINO_HOST_ENCAP, with_vlan(routed(udp(kNode, kPodAtPeer2)), 5)},
      {"a VLAN tag beside the frame", MERINO_NOT_IP, MERINO_HOST_ENCAP, routed(udp(kNode, kPodAtPeer2)), {.vlan = 5}},
  };
  for (const auto& lie : ip_lies(routed(udp(kNode, kPodAtPeer2)), kEthLen))
    cases.push_back({lie.name, MERINO_MALFORMED, MERINO_HOST_ENCAP, lie.frame});
  return cases;
}

}  // namespace merino::test
