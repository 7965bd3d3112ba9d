// Packets that nobody may send: a VXLAN packet made by hand, and UDP with a foreign source.
#include <arpa/inet.h>
#include <fmt/core.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cstring>
#include <vector>

#include "base/address.h"
#include "traffic/arguments.h"

namespace traffic {
namespace {

constexpr std::string_view kPayload = "forged by the traffic tool";

uint16_t ip_checksum(const void* data, size_t size) {
  uint32_t sum = 0;
  for (size_t i = 0; i + 1 < size; i += 2) {
    uint16_t word = 0;
    std::memcpy(&word, static_cast<const uint8_t*>(data) + i, sizeof(word));
    sum += word;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

void append(std::vector<uint8_t>& packet, const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  packet.insert(packet.end(), bytes, bytes + size);
}

// An IPv4 UDP datagram without UDP checksum.
std::vector<uint8_t> udp_packet(const sockaddr_in& from, const sockaddr_in& to) {
  udphdr udp{};
  udp.source = htons(40000);
  udp.dest = to.sin_port;
  udp.len = htons(static_cast<uint16_t>(sizeof(udp) + kPayload.size()));
  iphdr ip{};
  ip.version = 4;
  ip.ihl = 5;
  ip.ttl = 64;
  ip.protocol = IPPROTO_UDP;
  ip.tot_len = htons(static_cast<uint16_t>(sizeof(ip) + sizeof(udp) + kPayload.size()));
  ip.saddr = from.sin_addr.s_addr;
  ip.daddr = to.sin_addr.s_addr;
  ip.check = ip_checksum(&ip, sizeof(ip));
  std::vector<uint8_t> packet;
  append(packet, &ip, sizeof(ip));
  append(packet, &udp, sizeof(udp));
  append(packet, kPayload.data(), kPayload.size());
  return packet;
}

void append_mac(std::vector<uint8_t>& packet, const std::string& text) {
  const auto mac = merino::MacAddress::parse(text);
  if (!mac) throw Failure(mac.error().message());
  append(packet, mac->bytes().data(), mac->bytes().size());
}

int send_many(const Arguments& arguments, int fd, const sockaddr_in& to, const std::vector<uint8_t>& packet) {
  const uint64_t count = arguments.number("count", 1);
  for (uint64_t i = 0; i < count; i++) {
    if (::sendto(fd, packet.data(), packet.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0)
      fail_errno("send to " + to_text(to));
  }
  fmt::print("{{\"ok\":true,\"sent\":{}}}\n", count);
  return 0;
}

}  // namespace

int forge_vxlan(const Arguments& arguments) {
  const uint32_t header[2] = {htonl(0x08000000), htonl(static_cast<uint32_t>(arguments.number("vni", 1)) << 8)};
  const uint16_t type = htons(ETHERTYPE_IP);
  std::vector<uint8_t> packet;
  append(packet, header, sizeof(header));
  append_mac(packet, arguments.text("target-mac"));
  append_mac(packet, arguments.text("source-mac", "02:00:00:00:00:01"));
  append(packet, &type, sizeof(type));
  const auto inner = udp_packet(parse_endpoint(arguments.text("inner-from")), parse_endpoint(arguments.text("inner-to")));
  append(packet, inner.data(), inner.size());
  const merino::Fd fd = open_socket(arguments, SOCK_DGRAM);
  return send_many(arguments, fd.get(), parse_endpoint(arguments.text("to")), packet);
}

int forge_source(const Arguments& arguments) {
  const sockaddr_in to = parse_endpoint(arguments.text("to"));
  const merino::Fd fd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  if (!fd) fail_errno("raw socket");
  return send_many(arguments, fd.get(), to, udp_packet(parse_endpoint(arguments.text("from")), to));
}

}  // namespace traffic
