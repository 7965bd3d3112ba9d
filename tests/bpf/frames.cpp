#include "bpf/frames.h"

#include <tins/icmpv6.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <type_traits>

namespace merino::test {

namespace {

Tins::RawPDU pattern(size_t size) {
  Frame bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i * 7 + 1);
  return Tins::RawPDU(bytes.begin(), bytes.end());
}

template <class Ip>
Ip header(const std::string& src, const std::string& dst);

template <>
Tins::IP header(const std::string& src, const std::string& dst) {
  Tins::IP ip(dst, src);
  ip.ttl(64);
  ip.id(0x1234);
  ip.flags(Tins::IP::DONT_FRAGMENT);
  return ip;
}

template <>
V6 header(const std::string& src, const std::string& dst) {
  V6 ip(dst, src);
  ip.hop_limit(64);
  return ip;
}

template <class Ip>
constexpr size_t kHeaderLen = std::is_same_v<Ip, V6> ? kIp6Len : kIpLen;

bool is_v6(const std::string& address) { return address.find(':') != std::string::npos; }

Tins::RawPDU raw(const Frame& bytes) { return Tins::RawPDU(bytes.begin(), bytes.end()); }

Frame serialized(const Tins::PDU& packet) {
  const std::unique_ptr<Tins::PDU> copy(packet.clone());
  return copy->serialize();
}

// IP and UDP of the underlay around `payload`; the UDP checksum is zero over IPv4, where that is allowed.
Frame underlay(const Frame& payload, const Tunnel& tunnel, uint16_t dport) {
  const Tins::UDP udp(dport, tunnel.sport);
  if (is_v6(tunnel.dst)) {
    V6 ip(tunnel.dst, tunnel.src);
    ip.hop_limit(64);
    ip.traffic_class(tunnel.tos);
    return ethernet(tunnel.mac_dst, tunnel.mac_src, V6(ip / udp / raw(payload)));
  }
  Tins::IP ip(tunnel.dst, tunnel.src);
  ip.ttl(64);
  ip.id(tunnel.id);
  ip.tos(tunnel.tos);
  ip.fragment_offset(Tins::small_uint<13>(tunnel.fragment_offset));
  return with_number(ethernet(tunnel.mac_dst, tunnel.mac_src, Tins::IP(ip / udp / raw(payload))), kEthLen + kIpLen + 6, 0);
}

}  // namespace

template <class Ip>
Ip udp(const std::string& src, const std::string& dst, size_t payload) {
  return header<Ip>(src, dst) / Tins::UDP(kServerPort, kClientPort) / pattern(payload);
}

template <class Ip>
Ip tcp(const std::string& src, const std::string& dst, size_t payload) {
  Tins::TCP tcp(kServerPort, kClientPort);
  tcp.flags(Tins::TCP::ACK);
  return header<Ip>(src, dst) / tcp / pattern(payload);
}

template <>
Tins::IP ping(const std::string& src, const std::string& dst) {
  return header<Tins::IP>(src, dst) / Tins::ICMP() / pattern(32);
}

template <>
V6 ping(const std::string& src, const std::string& dst) {
  return header<V6>(src, dst) / Tins::ICMPv6(Tins::ICMPv6::ECHO_REQUEST) / pattern(32);
}

template <>
Tins::IP sctp(const std::string& src, const std::string& dst) {
  Tins::IP ip = header<Tins::IP>(src, dst) / pattern(32);
  ip.protocol(132);
  return ip;
}

template <>
V6 sctp(const std::string& src, const std::string& dst) {
  V6 ip = header<V6>(src, dst) / pattern(32);
  ip.next_header(132);
  return ip;
}

template <class Ip>
Ip udp_ports(const std::string& src, const std::string& dst, uint16_t sport, uint16_t dport) {
  return header<Ip>(src, dst) / Tins::UDP(dport, sport) / pattern(32);
}

template <class Ip>
Ip udp_of(const std::string& src, const std::string& dst, size_t len) {
  return udp<Ip>(src, dst, len - kHeaderLen<Ip> - kUdpLen);
}

template <class Ip>
Ip tcp_of(const std::string& src, const std::string& dst, size_t len) {
  return tcp<Ip>(src, dst, len - kHeaderLen<Ip> - kTcpLen);
}

template Tins::IP udp(const std::string&, const std::string&, size_t);
template V6 udp(const std::string&, const std::string&, size_t);
template Tins::IP tcp(const std::string&, const std::string&, size_t);
template V6 tcp(const std::string&, const std::string&, size_t);
template Tins::IP udp_ports(const std::string&, const std::string&, uint16_t, uint16_t);
template V6 udp_ports(const std::string&, const std::string&, uint16_t, uint16_t);
template Tins::IP udp_of(const std::string&, const std::string&, size_t);
template V6 udp_of(const std::string&, const std::string&, size_t);
template Tins::IP tcp_of(const std::string&, const std::string&, size_t);
template V6 tcp_of(const std::string&, const std::string&, size_t);

Tins::IP with_ttl(const Tins::IP& ip, uint8_t ttl) {
  return with(ip, [ttl](Tins::IP& changed) { changed.ttl(ttl); });
}
V6 with_ttl(const V6& ip, uint8_t hop_limit) {
  return with(ip, [hop_limit](V6& changed) { changed.hop_limit(hop_limit); });
}
Tins::IP one_hop_less(const Tins::IP& ip) { return with_ttl(ip, static_cast<uint8_t>(ip.ttl() - 1)); }
V6 one_hop_less(const V6& ip) { return with_ttl(ip, static_cast<uint8_t>(ip.hop_limit() - 1)); }

Frame ethernet(const std::string& dst_mac, const std::string& src_mac, const Tins::PDU& packet) {
  Tins::EthernetII frame(dst_mac, src_mac);
  frame.inner_pdu(packet);
  const size_t len = kEthLen + frame.inner_pdu()->size();
  return cut(frame.serialize(), len);
}

Frame from_pod_a(const Tins::PDU& ip) { return ethernet(kHostAMac, kPodAMac, ip); }
Frame from_pod_b(const Tins::PDU& ip) { return ethernet(kHostBMac, kPodBMac, ip); }

Frame tunnelled(const Frame& inner_frame, const Tunnel& tunnel) {
  Frame payload = {static_cast<uint8_t>(tunnel.flags >> 24), static_cast<uint8_t>(tunnel.flags >> 16),
                   static_cast<uint8_t>(tunnel.flags >> 8),  static_cast<uint8_t>(tunnel.flags),
                   static_cast<uint8_t>(tunnel.vni >> 16),   static_cast<uint8_t>(tunnel.vni >> 8),
                   static_cast<uint8_t>(tunnel.vni),         0};
  payload.insert(payload.end(), inner_frame.begin(), inner_frame.end());
  return underlay(payload, tunnel, tunnel.dport);
}

Frame tunnelled(const Tins::PDU& inner, const Tunnel& tunnel) {
  return tunnelled(ethernet(tunnel.inner_dst, tunnel.inner_src, inner), tunnel);
}

Tunnel over_v6() { return {.src = kPeer2V6, .dst = kNode6, .inner_dst = kVtepMac6, .inner_src = kVtep2Mac6}; }

Frame in_udp(const Tins::PDU& inner, const Tunnel& tunnel) {
  return underlay(serialized(inner), tunnel, tunnel.dport == kTunnelPort ? kUdpPort : tunnel.dport);
}

Frame udp_as_vxlan(const Frame& frame) {
  constexpr size_t kUdp = kEthLen + kIpLen;
  constexpr int kGrown = 8 + kEthLen;
  Frame out = frame;
  const Frame headers = {8, 0, 0, 0, 0, 0, kVni, 0, 0x02, 0, 0, 0, 0xcc, 0x01, 0x02, 0, 0, 0, 0, 0, 0x08, 0};
  out.insert(out.begin() + kUdp + kUdpLen, headers.begin(), headers.end());
  out = with_number(out, kUdp + 2, kTunnelPort);
  out = with_number(out, kUdp + 4, number_at(frame, kUdp + 4) + kGrown);
  out = with_number(out, kUdp + 6, 0);
  return with_ip_checksum(with_number(out, kEthLen + 2, number_at(frame, kEthLen + 2) + kGrown), kEthLen);
}

Frame inner_frame(const Tins::PDU& inner, const std::string& dst_mac) { return ethernet(dst_mac, kVtep2Mac, inner); }

// Over the pseudo header (RFC 8200, 8.1) and the message.
Frame with_icmp6_checksum(const Frame& frame) {
  constexpr size_t kMessage = kEthLen + kIp6Len;
  const Frame zeroed = with_number(frame, kMessage + 2, 0);
  uint32_t sum = static_cast<uint32_t>(zeroed.size() - kMessage) + 58;
  for (size_t i = kEthLen + 8; i + 1 < zeroed.size(); i += 2) sum += number_at(zeroed, i);
  while (sum > 0xffff) sum = (sum & 0xffffU) + (sum >> 16U);
  return with_number(zeroed, kMessage + 2, static_cast<uint16_t>(~sum));
}

Frame arp(const std::string& sender_mac, const std::string& sender_ip, const std::string& target_ip, Tins::ARP::Flags operation) {
  Tins::ARP packet(target_ip, sender_ip, "00:00:00:00:00:00", sender_mac);
  packet.opcode(operation);
  return ethernet(kBroadcastMac, sender_mac, packet);
}

Frame ndp(const std::string& dst_mac, const std::string& src_mac, const Ndp& message) {
  Frame body(4);
  for (const unsigned shift : {24U, 16U, 8U, 0U}) body[3 - shift / 8] = static_cast<uint8_t>(message.flags >> shift);
  if (!message.target.empty()) {
    for (const uint8_t byte : Tins::IPv6Address(message.target)) body.push_back(byte);
  }
  if (!message.mac.empty()) {
    body.push_back(message.type == kSolicitation ? 1 : 2);
    body.push_back(1);
    for (const uint8_t byte : Tins::HWAddress<6>(message.mac)) body.push_back(byte);
  }
  Frame icmp = {message.type, 0, 0, 0};
  icmp.insert(icmp.end(), body.begin(), body.end());
  V6 ip = header<V6>(message.src, message.dst) / raw(icmp);
  ip.hop_limit(255);
  ip.next_header(58);
  return with_icmp6_checksum(ethernet(dst_mac, src_mac, ip));
}

Frame with_extension(const Frame& frame, uint8_t type, Frame extension) {
  constexpr size_t kNextHeader = kEthLen + 6;
  extension.at(0) = frame.at(kNextHeader);
  Frame out = patched(frame, kNextHeader, {type});
  out.insert(out.begin() + kEthLen + kIp6Len, extension.begin(), extension.end());
  return with_number(out, kEthLen + 4, number_at(frame, kEthLen + 4) + static_cast<int>(extension.size()));
}

Frame patched(Frame frame, size_t offset, const std::vector<uint8_t>& bytes) {
  if (offset + bytes.size() > frame.size()) throw std::out_of_range("the patch lies outside of the frame");
  std::copy(bytes.begin(), bytes.end(), frame.begin() + static_cast<std::ptrdiff_t>(offset));
  return frame;
}

Frame cut(Frame frame, size_t len) {
  if (len > frame.size()) throw std::out_of_range("the frame is shorter than what it is to be cut to");
  frame.resize(len);
  return frame;
}

Frame with_trailer(Frame frame) {
  frame.insert(frame.end(), 18, 0);
  return frame;
}

Frame slice(const Frame& frame, size_t from, size_t to) {
  if (from > to || to > frame.size()) throw std::out_of_range("the slice lies outside of the frame");
  return {frame.begin() + static_cast<std::ptrdiff_t>(from), frame.begin() + static_cast<std::ptrdiff_t>(to)};
}

std::pair<Frame, Frame> in_fragments(const Frame& frame, size_t first) {
  constexpr size_t kHeaders = kEthLen + kIpLen;
  const auto fragment = [&](size_t from, size_t to, int flags_and_offset) {
    Frame part = slice(frame, 0, kHeaders);
    for (const uint8_t byte : slice(frame, from, to)) part.push_back(byte);
    part = with_number(part, kEthLen + 2, static_cast<int>(part.size() - kEthLen));
    return with_ip_checksum(with_number(part, kEthLen + 6, flags_and_offset), kEthLen);
  };
  return {fragment(kHeaders, kHeaders + first, 0x2000), fragment(kHeaders + first, frame.size(), static_cast<int>(first / 8))};
}

uint16_t number_at(const Frame& frame, size_t offset) {
  return static_cast<uint16_t>(static_cast<unsigned>(frame.at(offset)) << 8U | frame.at(offset + 1));
}

Frame with_number(const Frame& frame, size_t offset, int number) {
  return patched(frame, offset, {static_cast<uint8_t>(number >> 8), static_cast<uint8_t>(number)});
}

Frame with_vlan(const Frame& frame, uint16_t tci) {
  Frame tagged = frame;
  const Frame tag = {0x81, 0x00, static_cast<uint8_t>(tci >> 8U), static_cast<uint8_t>(tci)};
  tagged.insert(tagged.begin() + 12, tag.begin(), tag.end());
  return tagged;
}

uint16_t ip_checksum(const Frame& frame, size_t offset) {
  const size_t len = (frame.at(offset) & 0xfU) * 4U;
  uint32_t sum = 0;
  for (size_t i = 0; i < len; i += 2) sum += number_at(frame, offset + i);
  while (sum > 0xffff) sum = (sum & 0xffffU) + (sum >> 16U);
  return static_cast<uint16_t>(~sum);
}

Frame with_ip_checksum(const Frame& frame, size_t offset) {
  const Frame zeroed = with_number(frame, offset + 10, 0);
  return with_number(zeroed, offset + 10, ip_checksum(zeroed, offset));
}

}  // namespace merino::test
