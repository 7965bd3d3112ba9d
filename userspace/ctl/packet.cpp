#include "ctl/packet.h"

#include <linux/if_ether.h>
#include <netinet/in.h>
#include <netinet/udp.h>

#include <algorithm>
#include <cstddef>

namespace merino::ctl {

namespace {

constexpr size_t kIpv4Header = 20;
constexpr uint8_t kHopLimit = 64;

void put16(Bytes& out, unsigned value) {
  out.push_back(static_cast<uint8_t>(value >> 8U));
  out.push_back(static_cast<uint8_t>(value));
}

void put(Bytes& out, const Bytes& more) { out.insert(out.end(), more.begin(), more.end()); }
void put(Bytes& out, const IpAddress& address) {
  out.insert(out.end(), address.network_bytes(), address.network_bytes() + address.network_size());
}
void put(Bytes& out, const MacAddress& mac) { out.insert(out.end(), mac.bytes().begin(), mac.bytes().end()); }

// RFC 1071
uint32_t sum_of(const Bytes& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) sum += static_cast<uint32_t>(bytes[i]) << (i % 2 == 0 ? 8U : 0U);
  return sum;
}

unsigned fold_sum(uint32_t sum) {
  while (sum >> 16U != 0) sum = (sum & 0xffffU) + (sum >> 16U);
  return ~sum & 0xffffU;
}

void set16(Bytes& bytes, size_t at, unsigned value) {
  bytes[at] = static_cast<uint8_t>(value >> 8U);
  bytes[at + 1] = static_cast<uint8_t>(value);
}

uint8_t ip_protocol(const PacketFlow& flow) {
  switch (flow.protocol) {
    case Protocol::tcp:
      return IPPROTO_TCP;
    case Protocol::udp:
      return IPPROTO_UDP;
    case Protocol::icmp:
      break;
  }
  return static_cast<uint8_t>(flow.source.is_v4() ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6});
}

Bytes tcp_syn(const PacketFlow& flow) {
  Bytes out;
  put16(out, flow.source_port);
  put16(out, flow.destination_port);
  put(out, Bytes{0, 0, 0, 1, 0, 0, 0, 0});      // sequence, acknowledgement
  put(out, Bytes{5U << 4U, 0x02, 0xff, 0xff});  // header length, SYN, window
  put(out, Bytes{0, 0, 0, 0});                  // checksum, urgent
  return out;
}

Bytes udp_datagram(const PacketFlow& flow) {
  constexpr size_t kPayload = 8;
  Bytes out;
  put16(out, flow.source_port);
  put16(out, flow.destination_port);
  put16(out, sizeof(udphdr) + kPayload);
  put16(out, 0);
  out.resize(sizeof(udphdr) + kPayload);
  return out;
}

Bytes echo_request(const PacketFlow& flow) {
  const uint8_t type = flow.source.is_v4() ? 8 : 128;
  return {type, 0, 0, 0, 0, 1, 0, 1};
}

// ICMP over IPv4 alone does not cover the addresses.
unsigned transport_checksum(const Bytes& segment, const PacketFlow& flow) {
  Bytes covered = segment;
  if (covered.size() % 2 != 0) covered.push_back(0);
  if (flow.protocol != Protocol::icmp || !flow.source.is_v4()) {
    put(covered, flow.source);
    put(covered, flow.destination);
    put16(covered, ip_protocol(flow));
    put16(covered, static_cast<unsigned>(segment.size()));
  }
  return fold_sum(sum_of(covered));
}

Bytes transport(const PacketFlow& flow) {
  Bytes out;
  size_t checksum_at = 0;
  switch (flow.protocol) {
    case Protocol::tcp:
      out = tcp_syn(flow);
      checksum_at = 16;
      break;
    case Protocol::udp:
      out = udp_datagram(flow);
      checksum_at = 6;
      break;
    case Protocol::icmp:
      out = echo_request(flow);
      checksum_at = 2;
      break;
  }
  set16(out, checksum_at, transport_checksum(out, flow));
  return out;
}

Bytes ipv4_header(const IpAddress& source, const IpAddress& destination, uint8_t protocol, size_t payload) {
  Bytes out = {0x45, 0};
  put16(out, static_cast<unsigned>(kIpv4Header + payload));
  put(out, Bytes{0, 1, 0x40, 0, kHopLimit, protocol, 0, 0});  // identification, don't fragment, checksum
  put(out, source);
  put(out, destination);
  set16(out, 10, fold_sum(sum_of(out)));
  return out;
}

Bytes ipv6_header(const IpAddress& source, const IpAddress& destination, uint8_t protocol, size_t payload) {
  Bytes out = {0x60, 0, 0, 0};
  put16(out, static_cast<unsigned>(payload));
  put(out, Bytes{protocol, kHopLimit});
  put(out, source);
  put(out, destination);
  return out;
}

Bytes ip_header(const IpAddress& source, const IpAddress& destination, uint8_t protocol, size_t payload) {
  return source.is_v4() ? ipv4_header(source, destination, protocol, payload) : ipv6_header(source, destination, protocol, payload);
}

}  // namespace

const char* protocol_name(Protocol protocol) {
  switch (protocol) {
    case Protocol::tcp:
      return "tcp";
    case Protocol::udp:
      return "udp";
    case Protocol::icmp:
      break;
  }
  return "icmp";
}

Bytes make_ip_packet(const PacketFlow& flow) {
  const Bytes payload = transport(flow);
  Bytes out = ip_header(flow.source, flow.destination, ip_protocol(flow), payload.size());
  put(out, payload);
  return out;
}

Bytes make_frame(const MacAddress& source, const MacAddress& destination, const Bytes& ip_packet, Family family) {
  Bytes out;
  put(out, destination);
  put(out, source);
  put16(out, family == Family::v4 ? ETH_P_IP : ETH_P_IPV6);
  put(out, ip_packet);
  return out;
}

Bytes make_tunnel_packet(const Envelope& envelope, const Bytes& payload) {
  constexpr unsigned kSourcePort = 49152;
  Bytes udp;
  put16(udp, kSourcePort);
  put16(udp, envelope.port);
  put16(udp, static_cast<unsigned>(sizeof(udphdr) + payload.size()));
  put16(udp, 0);
  put(udp, payload);
  if (!envelope.source.is_v4()) set16(udp, 6, transport_checksum(udp, {envelope.source, envelope.destination, Protocol::udp}));
  Bytes out = ip_header(envelope.source, envelope.destination, IPPROTO_UDP, udp.size());
  put(out, udp);
  return out;
}

Bytes make_vxlan(uint32_t vni, const Bytes& inner_frame) {
  Bytes out = {0x08, 0, 0, 0};  // the VNI is valid
  put16(out, vni >> 8U);
  put(out, Bytes{static_cast<uint8_t>(vni), 0});
  put(out, inner_frame);
  return out;
}

}  // namespace merino::ctl
