// Packets, built with libtins: `from_pod_a(udp(kPodA, kPodAtPeer2))` is a whole Ethernet frame.
#pragma once

// Not tins/tins.h: it brings libpcap, whose struct bpf_insn is another than the kernel's.
#include <tins/arp.h>
#include <tins/ethernetII.h>
#include <tins/icmp.h>
#include <tins/ip.h>
#include <tins/ipv6.h>
#include <tins/rawpdu.h>
#include <tins/tcp.h>
#include <tins/udp.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "bpf/topology.h"

namespace merino::test {

using Frame = std::vector<uint8_t>;

inline constexpr size_t kEthLen = 14;
inline constexpr size_t kIpLen = 20;
inline constexpr size_t kIp6Len = 40;
inline constexpr size_t kUdpLen = 8;
inline constexpr size_t kTcpLen = 20;
inline constexpr size_t kOverhead = 50;                    // outer IP, UDP, VXLAN, inner Ethernet
inline constexpr size_t kInnerEth = kEthLen + 20 + 8 + 8;  // in a frame from the wire
inline constexpr size_t kInnerIp = kInnerEth + kEthLen;
inline constexpr size_t kInnerEth6 = kEthLen + 40 + 8 + 8;  // over the IPv6 underlay
inline constexpr uint16_t kClientPort = 40000;
inline constexpr uint16_t kServerPort = 80;

// IP packets: hop limit 64, don't fragment, from kClientPort to kServerPort, `payload` bytes after the transport header. Of IPv4, or of
// IPv6: udp<V6>(kPodA6, kPodB6).
using V6 = Tins::IPv6;
template <class Ip = Tins::IP>
Ip udp(const std::string& src, const std::string& dst, size_t payload = 32);
template <class Ip = Tins::IP>
Ip tcp(const std::string& src, const std::string& dst, size_t payload = 32);
template <class Ip = Tins::IP>
Ip ping(const std::string& src, const std::string& dst);
template <class Ip = Tins::IP>
Ip sctp(const std::string& src, const std::string& dst);
template <>
Tins::IP ping(const std::string& src, const std::string& dst);
template <>
V6 ping(const std::string& src, const std::string& dst);
template <>
Tins::IP sctp(const std::string& src, const std::string& dst);
template <>
V6 sctp(const std::string& src, const std::string& dst);
// UDP with other ports.
template <class Ip = Tins::IP>
Ip udp_ports(const std::string& src, const std::string& dst, uint16_t sport, uint16_t dport);
// A UDP or TCP packet of exactly `len` bytes, the IP header included.
template <class Ip = Tins::IP>
Ip udp_of(const std::string& src, const std::string& dst, size_t len);
template <class Ip = Tins::IP>
Ip tcp_of(const std::string& src, const std::string& dst, size_t len);
Tins::IP with_ttl(const Tins::IP& ip, uint8_t ttl);
V6 with_ttl(const V6& ip, uint8_t hop_limit);
Tins::IP one_hop_less(const Tins::IP& ip);
V6 one_hop_less(const V6& ip);

// The packet after `edit(ip)`: with(udp(...), [](auto& ip) { ip.ttl(1); })
template <class Ip, class Edit>
Ip with(Ip ip, Edit edit) {
  edit(ip);
  return ip;
}

// Frames. Without Ethernet's padding to 60 bytes: the devices in question have none.
Frame ethernet(const std::string& dst_mac, const std::string& src_mac, const Tins::PDU& packet);
Frame from_pod_a(const Tins::PDU& ip);
Frame from_pod_b(const Tins::PDU& ip);

// The outer headers of a tunnel packet: from peer 2 to this node unless said otherwise. Over IPv6 if `dst` is such an address.
struct Tunnel {
  std::string mac_dst = kUplinkMac;
  std::string mac_src = kWireMac;
  std::string src = kPeer2;
  std::string dst = kNode;
  uint16_t sport = 50000;
  uint16_t dport = kTunnelPort;
  uint32_t vni = kVni;
  uint32_t flags = 0x08000000;
  uint8_t tos = 0;
  uint16_t id = 0;
  uint16_t fragment_offset = 0;
  std::string inner_dst = kVtepMac;
  std::string inner_src = kVtep2Mac;
};
// UDP checksum zero over IPv4, no DF.
Frame tunnelled(const Frame& inner_frame, const Tunnel& tunnel = {});
Frame tunnelled(const Tins::PDU& inner, const Tunnel& tunnel = {});
// The same over the IPv6 underlay: peer 2's endpoint there to this node's.
Tunnel over_v6();
// flannel's udp backend; the VXLAN fields of `tunnel` mean nothing.
Frame in_udp(const Tins::PDU& inner, const Tunnel& tunnel = {});
// What from_wire makes of a packet of the udp backend for the VXLAN driver.
Frame udp_as_vxlan(const Frame& frame);
// What the VXLAN driver hands to merino0: the inner frame.
Frame inner_frame(const Tins::PDU& inner, const std::string& dst_mac = kVtepMac);

Frame arp(const std::string& sender_mac, const std::string& sender_ip, const std::string& target_ip,
          Tins::ARP::Flags operation = Tins::ARP::REQUEST);

// Neighbour discovery (RFC 4861), hop limit 255. `option`: of link-layer addresses, none if `mac` is empty.
struct Ndp {
  std::string src;
  std::string dst;
  uint8_t type;
  std::string target = {};
  std::string mac = {};
  uint32_t flags = 0;
};
inline constexpr uint8_t kRouterSolicitation = 133;
inline constexpr uint8_t kRouterAdvertisement = 134;
inline constexpr uint8_t kSolicitation = 135;
inline constexpr uint8_t kAdvertisement = 136;
inline constexpr uint8_t kRedirect = 137;
Frame ndp(const std::string& dst_mac, const std::string& src_mac, const Ndp& message);

// The Ethernet frame's IPv6 packet with an extension header of type `type` and these bytes, whose first becomes the next header's type.
Frame with_extension(const Frame& frame, uint8_t type, Frame extension);

// `bytes` written at `offset`.
Frame patched(Frame frame, size_t offset, const std::vector<uint8_t>& bytes);
Frame cut(Frame frame, size_t len);
// The frame with bytes behind its packet, as Ethernet's padding is.
Frame with_trailer(Frame frame);
Frame slice(const Frame& frame, size_t from, size_t to);
// The Ethernet frame's IPv4 packet (20-byte header) in two fragments, the first with `first` bytes of payload.
std::pair<Frame, Frame> in_fragments(const Frame& frame, size_t first);
// A 16-bit number in network order.
uint16_t number_at(const Frame& frame, size_t offset);
Frame with_number(const Frame& frame, size_t offset, int number);
// The frame with an 802.1Q tag in its bytes.
Frame with_vlan(const Frame& frame, uint16_t tci);
// RFC 791: zero over a header whose checksum is right.
uint16_t ip_checksum(const Frame& frame, size_t offset);
// Recomputes the checksum of the frame's ICMPv6 message right behind the IPv6 header; of an even length.
Frame with_icmp6_checksum(const Frame& frame);
// Recomputes the checksum of the 20-byte IPv4 header at `offset`.
Frame with_ip_checksum(const Frame& frame, size_t offset);

}  // namespace merino::test
