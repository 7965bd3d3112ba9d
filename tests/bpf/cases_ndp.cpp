// IPv6 neighbour discovery from pods.
#include "bpf/cases.h"

namespace merino::test {

namespace {

constexpr const char* kSolicitedNode = "ff02::1:ff00:1";  // of the gateway
constexpr const char* kSolicitedMac = "33:33:ff:00:00:01";
constexpr const char* kAllNodesMac = "33:33:00:00:00:01";

Frame from_a(const Ndp& message, const char* dst_mac = kAllNodesMac) { return ndp(dst_mac, kPodAMac, message); }

Frame question_of(const std::string& src, const std::string& target = kGateway6) {
  return from_a({src, kSolicitedNode, kSolicitation, target, kPodAMac}, kSolicitedMac);
}

Frame probe_of(const std::string& src, const std::string& target = kGateway6) {
  return from_a({src, target, kSolicitation, target}, kHostAMac);
}

Frame claim_of(const std::string& src, const std::string& target) {
  return from_a({src, kAllNodes, kAdvertisement, target, kPodAMac, 0x20000000});
}

Frame advertisement(const std::string& src) { return from_a({src, kAllNodes, kRouterAdvertisement, kNobody6}); }

Frame with_hop_limit(const Frame& frame, uint8_t hop_limit) { return patched(frame, kEthLen + 7, {hop_limit}); }

}  // namespace

std::vector<Case> ndp_cases() {
  const Frame question = question_of(kPodA6);
  const Frame hop_by_hop_advertisement = with_extension(advertisement(kLinkLocalA), 0, {0, 0, 1, 4, 0, 0, 0, 0});
  return {
      {"a question for the gateway", MERINO_ARP_REPLY, MERINO_NOT_FOR_US, question},
      {"a question for the gateway without the asker's MAC", MERINO_ARP_REPLY, MERINO_NOT_FOR_US, probe_of(kPodA6)},
      {"a probe of the gateway from the link-local address", MERINO_ARP_REPLY, MERINO_LINK_LOCAL, probe_of(kLinkLocalA)},
      {"a probe of a link-local address", MERINO_LINK_LOCAL, MERINO_ARP_REPLY, probe_of(kLinkLocalA, "fe80::1")},
      {"a probe of an address outside of the network", MERINO_LINK_LOCAL, MERINO_ARP_REPLY, probe_of(kLinkLocalA, kNode6)},
      {"a question from the link-local address to all", MERINO_LINK_LOCAL, MERINO_ARP_REPLY, question_of(kLinkLocalA)},
      {"a question for another address", MERINO_NOT_FOR_US, MERINO_ARP_REPLY, question_of(kPodA6, kPodB6)},
      {"detection of duplicates", MERINO_LINK_LOCAL, MERINO_SPOOFED_ARP, from_a({kNobody6, kSolicitedNode, kSolicitation, kPodA6})},
      {"detection of duplicates of another pod's address", MERINO_LINK_LOCAL, MERINO_SPOOFED_ARP,
       from_a({kNobody6, kSolicitedNode, kSolicitation, kPodB6})},
      {"a question in another pod's name", MERINO_SPOOFED_ARP, MERINO_ARP_REPLY, question_of(kPodB6)},
      {"a question in the gateway's name", MERINO_SPOOFED_ARP, MERINO_NOT_FOR_US, question_of(kGateway6, kPodB6)},
      {"a question from another MAC", MERINO_SPOOFED_ARP, MERINO_ARP_REPLY,
       ndp(kSolicitedMac, kOtherMac, {kPodA6, kSolicitedNode, kSolicitation, kGateway6})},
      {"a question on another pod's interface", MERINO_SPOOFED_ARP, MERINO_ARP_REPLY, question, {.interface = "vethb"}},
      {"a question with a VLAN tag", MERINO_NOT_IP, MERINO_ARP_REPLY, question, {.vlan = 0}},
      {"a question while switched off", MERINO_ARP_REPLY, MERINO_FAST_PATH_OFF, question, {}, Setting::fast_path_off},
      {"a question that no kernel takes", MERINO_NOT_FOR_US, MERINO_ARP_REPLY, with_hop_limit(question, 254)},
      {"a question cut before its end", MERINO_MALFORMED, MERINO_ARP_REPLY,
       with_number(cut(question, kEthLen + kIp6Len + 23), kEthLen + 4, 23)},
      {"a claim of the pod's own address", MERINO_NOT_FOR_US, MERINO_SPOOFED_ARP, claim_of(kPodA6, kPodA6)},
      {"a claim of the pod's own address from its link-local one", MERINO_LINK_LOCAL, MERINO_SPOOFED_ARP, claim_of(kLinkLocalA, kPodA6)},
      {"a claim of a link-local address", MERINO_LINK_LOCAL, MERINO_SPOOFED_ARP, claim_of(kLinkLocalA, kLinkLocalA)},
      {"a claim of another pod's address", MERINO_SPOOFED_ARP, MERINO_NOT_FOR_US, claim_of(kPodA6, kPodB6)},
      {"a claim of the gateway's address", MERINO_SPOOFED_ARP, MERINO_NOT_FOR_US, claim_of(kPodA6, kGateway6)},
      {"a claim of the gateway's address from the link-local one", MERINO_SPOOFED_ARP, MERINO_LINK_LOCAL, claim_of(kLinkLocalA, kGateway6)},
      {"a claim of an address that nobody has", MERINO_SPOOFED_ARP, MERINO_LINK_LOCAL, claim_of(kLinkLocalA, kNoPod6)},
      {"a claim from another MAC", MERINO_SPOOFED_ARP, MERINO_LINK_LOCAL,
       ndp(kAllNodesMac, kOtherMac, {kLinkLocalA, kAllNodes, kAdvertisement, kPodA6})},
      {"a claim with another hop limit", MERINO_LINK_LOCAL, MERINO_SPOOFED_ARP, with_hop_limit(claim_of(kLinkLocalA, kPodB6), 64)},
      {"a router advertisement", MERINO_ROGUE_ROUTER, MERINO_LINK_LOCAL, advertisement(kLinkLocalA)},
      {"a router advertisement from the pod's address", MERINO_ROGUE_ROUTER, MERINO_NOT_FOR_US, advertisement(kPodA6)},
      {"a router advertisement from no address", MERINO_ROGUE_ROUTER, MERINO_LINK_LOCAL, advertisement(kNobody6)},
      {"a router advertisement with a VLAN tag", MERINO_ROGUE_ROUTER, MERINO_NOT_IP, advertisement(kLinkLocalA), {.vlan = 0}},
      {"a router advertisement that no kernel takes", MERINO_LINK_LOCAL, MERINO_ROGUE_ROUTER,
       with_hop_limit(advertisement(kLinkLocalA), 64)},
      {"a router advertisement behind options", MERINO_ROGUE_ROUTER, MERINO_LINK_LOCAL, hop_by_hop_advertisement},
      {"as far behind options, but of another hop limit", MERINO_LINK_LOCAL, MERINO_ROGUE_ROUTER,
       with_hop_limit(hop_by_hop_advertisement, 1)},
      {"a redirect", MERINO_ROGUE_ROUTER, MERINO_LINK_LOCAL, from_a({kLinkLocalA, kPodB6, kRedirect, kOutside6})},
      {"a question for routers", MERINO_LINK_LOCAL, MERINO_ROGUE_ROUTER, from_a({kLinkLocalA, "ff02::2", kRouterSolicitation})},
      {"a ping with hop limit 255", MERINO_PROTOCOL, MERINO_ROGUE_ROUTER, from_pod_a(with_ttl(ping<V6>(kPodA6, kPodB6), 255))},
  };
}

}  // namespace merino::test
