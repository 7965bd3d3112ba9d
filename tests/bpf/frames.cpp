#include "bpf/frames.h"

#include <algorithm>
#include <stdexcept>

namespace merino::test {

namespace {

constexpr size_t kUdpLen = 8;
constexpr size_t kTcpLen = 20;

Tins::RawPDU pattern(size_t size) {
  Frame bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i * 7 + 1);
  return Tins::RawPDU(bytes.begin(), bytes.end());
}

Tins::IP header(const std::string& src, const std::string& dst) {
  Tins::IP ip(dst, src);
  ip.ttl(64);
  ip.id(0x1234);
  ip.flags(Tins::IP::DONT_FRAGMENT);
  return ip;
}

}  // namespace

Tins::IP udp(const std::string& src, const std::string& dst, size_t payload) {
  return header(src, dst) / Tins::UDP(kServerPort, kClientPort) / pattern(payload);
}

Tins::IP tcp(const std::string& src, const std::string& dst, size_t payload) {
  Tins::TCP tcp(kServerPort, kClientPort);
  tcp.flags(Tins::TCP::ACK);
  return header(src, dst) / tcp / pattern(payload);
}

Tins::IP ping(const std::string& src, const std::string& dst) { return header(src, dst) / Tins::ICMP() / pattern(32); }

Tins::IP sctp(const std::string& src, const std::string& dst) {
  Tins::IP ip = header(src, dst) / pattern(32);
  ip.protocol(132);
  return ip;
}

Tins::IP udp_ports(const std::string& src, const std::string& dst, uint16_t sport, uint16_t dport) {
  return header(src, dst) / Tins::UDP(dport, sport) / pattern(32);
}

Tins::IP udp_of(const std::string& src, const std::string& dst, size_t len) { return udp(src, dst, len - kIpLen - kUdpLen); }
Tins::IP tcp_of(const std::string& src, const std::string& dst, size_t len) { return tcp(src, dst, len - kIpLen - kTcpLen); }

Frame ethernet(const std::string& dst_mac, const std::string& src_mac, const Tins::PDU& packet) {
  Tins::EthernetII frame(dst_mac, src_mac);
  frame.inner_pdu(packet);
  const size_t len = kEthLen + frame.inner_pdu()->size();
  return cut(frame.serialize(), len);
}

Frame from_pod_a(const Tins::IP& ip) { return ethernet(kHostAMac, kPodAMac, ip); }
Frame from_pod_b(const Tins::IP& ip) { return ethernet(kHostBMac, kPodBMac, ip); }

Frame tunnelled(const Frame& inner_frame, const Tunnel& tunnel) {
  Frame payload = {static_cast<uint8_t>(tunnel.flags >> 24), static_cast<uint8_t>(tunnel.flags >> 16),
                   static_cast<uint8_t>(tunnel.flags >> 8),  static_cast<uint8_t>(tunnel.flags),
                   static_cast<uint8_t>(tunnel.vni >> 16),   static_cast<uint8_t>(tunnel.vni >> 8),
                   static_cast<uint8_t>(tunnel.vni),         0};
  payload.insert(payload.end(), inner_frame.begin(), inner_frame.end());
  Tins::IP ip(tunnel.dst, tunnel.src);
  ip.ttl(64);
  ip.id(tunnel.id);
  ip.tos(tunnel.tos);
  ip.fragment_offset(Tins::small_uint<13>(tunnel.fragment_offset));
  const Tins::IP packet = ip / Tins::UDP(tunnel.dport, tunnel.sport) / Tins::RawPDU(payload.begin(), payload.end());
  return with_number(ethernet(tunnel.mac_dst, tunnel.mac_src, packet), kEthLen + kIpLen + 6, 0);
}

Frame tunnelled(const Tins::IP& inner, const Tunnel& tunnel) {
  return tunnelled(ethernet(tunnel.inner_dst, tunnel.inner_src, inner), tunnel);
}

Frame inner_frame(const Tins::IP& inner, const std::string& dst_mac) { return ethernet(dst_mac, kVtep2Mac, inner); }

Frame arp(const std::string& sender_mac, const std::string& sender_ip, const std::string& target_ip, Tins::ARP::Flags operation) {
  Tins::ARP packet(target_ip, sender_ip, "00:00:00:00:00:00", sender_mac);
  packet.opcode(operation);
  return ethernet(kBroadcastMac, sender_mac, packet);
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
