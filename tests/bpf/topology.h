// The node that the programs under test run on, and who is who in the tests' packets.
//
//   pod A ── eth0 ══ vetha ──┐                                 ┌── wire: where the underlay's frames come from and go to
//                            node (namespace of the thread)    │
//   pod B ── eth0 ══ vethb ──┤                        uplink ══╯
//                         merino0
//
// Pods and wire are namespaces of their own with nothing but their interface: they are silent unless the test sends.
#pragma once

#include <linux/types.h>

#include <string>

#include "abi.h"
#include "bpf/network.h"

namespace merino::test {

// Addresses: this node (10.244.1.0/24), two peers, and a host that is none.
inline constexpr const char* kNetwork = "10.244.0.0/16";
inline constexpr const char* kSubnet = "10.244.1.0/24";
inline constexpr const char* kGateway = "10.244.1.1";
inline constexpr const char* kPodA = "10.244.1.2";
inline constexpr const char* kPodB = "10.244.1.3";
inline constexpr const char* kNoPod = "10.244.1.77";  // in this node's subnet, but nobody has it
inline constexpr const char* kNode = "192.168.50.1";
inline constexpr const char* kNodeOther = "192.168.50.101";  // a second address of this node
inline constexpr const char* kPeer2 = "192.168.50.2";
inline constexpr const char* kPeer3 = "192.168.50.3";
inline constexpr const char* kStranger = "192.168.50.99";
inline constexpr const char* kSubnet2 = "10.244.2.0/24";
inline constexpr const char* kSubnet3 = "10.244.3.0/24";
inline constexpr const char* kPodAtPeer2 = "10.244.2.9";
inline constexpr const char* kPodAtPeer3 = "10.244.3.9";
// Peers of a node that has some on its segment (LoadedPrograms::fill_direct): 2 and 3 are there, the MAC of 3 is not known; 4 is elsewhere.
inline constexpr const char* kPeer4 = "192.168.60.4";
inline constexpr const char* kSubnet4 = "10.244.4.0/24";
inline constexpr const char* kPodAtPeer4 = "10.244.4.9";
inline constexpr const char* kNoSubnet = "10.244.200.5";  // in the network, but no node has it
inline constexpr const char* kOutside = "198.51.100.7";

// The same in IPv6.
inline constexpr const char* kNetwork6 = "fd10:244::/48";
inline constexpr const char* kSubnet6 = "fd10:244:0:1::/64";
inline constexpr const char* kGateway6 = "fd10:244:0:1::1";
inline constexpr const char* kPodA6 = "fd10:244:0:1::2";
inline constexpr const char* kPodB6 = "fd10:244:0:1::3";
inline constexpr const char* kNoPod6 = "fd10:244:0:1::77";
inline constexpr const char* kNode6 = "fd50::1";
inline constexpr const char* kNodeOther6 = "fd50::101";
inline constexpr const char* kPeer2V6 = "fd50::2";
inline constexpr const char* kPeer3V6 = "fd50::3";
inline constexpr const char* kStranger6 = "fd50::99";
inline constexpr const char* kSubnet2V6 = "fd10:244:0:2::/64";
inline constexpr const char* kSubnet3V6 = "fd10:244:0:3::/64";
inline constexpr const char* kPodAtPeer2V6 = "fd10:244:0:2::9";
inline constexpr const char* kPodAtPeer3V6 = "fd10:244:0:3::9";
// Subnets of peer 2 whose endpoint is in the other family.
inline constexpr const char* kSubnetOverV6 = "10.244.6.0/24";
inline constexpr const char* kPodOverV6 = "10.244.6.9";
inline constexpr const char* kSubnetOverV4 = "fd10:244:0:6::/64";
inline constexpr const char* kPodOverV4 = "fd10:244:0:6::9";
inline constexpr const char* kNoSubnet6 = "fd10:244:0:c8::5";
inline constexpr const char* kOutside6 = "2001:db8::7";
inline constexpr const char* kLinkLocalA = "fe80::a";  // of pod A
inline constexpr const char* kAllNodes = "ff02::1";
inline constexpr const char* kNobody6 = "::";

inline constexpr const char* kPodAMac = "02:00:00:00:0a:01";
inline constexpr const char* kHostAMac = "02:00:00:00:0a:02";
inline constexpr const char* kPodBMac = "02:00:00:00:0b:01";
inline constexpr const char* kHostBMac = "02:00:00:00:0b:02";
inline constexpr const char* kUplinkMac = "02:00:00:00:ee:01";
inline constexpr const char* kWireMac = "02:00:00:00:ee:02";  // every host of the underlay
inline constexpr const char* kVtepMac = "02:00:00:00:cc:01";
inline constexpr const char* kVtep2Mac = "02:00:00:00:cc:02";
inline constexpr const char* kVtep3Mac = "02:00:00:00:cc:03";
inline constexpr const char* kVtep4Mac = "02:00:00:00:cc:04";
// The endpoints' of the IPv6 underlay.
inline constexpr const char* kVtepMac6 = "02:00:00:00:c6:01";
inline constexpr const char* kVtep2Mac6 = "02:00:00:00:c6:02";
inline constexpr const char* kVtep3Mac6 = "02:00:00:00:c6:03";
inline constexpr const char* kNoMac = "00:00:00:00:00:00";
inline constexpr const char* kOtherMac = "02:00:00:00:dd:01";
inline constexpr const char* kBroadcastMac = "ff:ff:ff:ff:ff:ff";
inline constexpr const char* kMulticastMac = "01:00:5e:00:00:fb";

inline constexpr uint32_t kVni = 1;
inline constexpr uint16_t kTunnelPort = 8472;
inline constexpr uint16_t kUdpPort = 8285;  // of flannel's udp backend
inline constexpr uint32_t kPodMtu = 1450;

class Topology {
 public:
  // Builds it and moves the calling thread into the node.
  Topology();
  // Moves the thread back to where it was.
  ~Topology();
  Topology(const Topology&) = delete;
  Topology& operator=(const Topology&) = delete;

  [[nodiscard]] const Netns& node() const { return node_; }
  [[nodiscard]] const Netns& pod_a() const { return pod_a_; }
  [[nodiscard]] const Netns& pod_b() const { return pod_b_; }
  [[nodiscard]] const Netns& wire() const { return wire_; }
  // Of an interface in the node.
  [[nodiscard]] static uint32_t ifindex(const std::string& name);
  // The programs' configuration for this node; with flannel's udp backend instead of VXLAN.
  [[nodiscard]] merino_config config() const;
  [[nodiscard]] merino_config udp_config() const;
  // Gives the node its IPv6 addresses, routes and neighbours. The devices speak (MLD) as soon as they have IPv6.
  void enable_v6() const;

 private:
  Netns before_ = Netns::current();
  Netns node_;
  Netns pod_a_;
  Netns pod_b_;
  Netns wire_;
};

}  // namespace merino::test
