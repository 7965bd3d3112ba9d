// Packets that nobody may send: tunnel packets made by hand, and UDP with a foreign source.
#include <fmt/core.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <vector>

#include "base/address.h"
#include "traffic/arguments.h"

namespace traffic {
namespace {

constexpr std::string_view kPayload = "forged by the traffic tool";

uint16_t checksum(const std::vector<uint8_t>& data) {
  uint32_t sum = 0;
  for (size_t i = 0; i < data.size(); i++) sum += i % 2 == 0 ? data[i] << 8U : data[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return htons(static_cast<uint16_t>(~sum));
}

void append(std::vector<uint8_t>& packet, const void* data, size_t size) {
  const auto* bytes = static_cast<const uint8_t*>(data);
  packet.insert(packet.end(), bytes, bytes + size);
}

constexpr auto kUdpLength = static_cast<uint16_t>(sizeof(udphdr) + kPayload.size());

// Source and destination, in front of a checksum too.
void append_addresses(std::vector<uint8_t>& packet, const Endpoint& from, const Endpoint& to) {
  for (const Endpoint* end : {&from, &to}) {
    const merino::IpAddress address = address_of(*end);
    append(packet, address.network_bytes(), address.network_size());
  }
}

void append_udp(std::vector<uint8_t>& packet, const Endpoint& from, const Endpoint& to) {
  udphdr udp{};
  udp.source = htons(40000);
  udp.dest = to.sin6_port;
  udp.len = htons(kUdpLength);
  std::vector<uint8_t> checked;
  append_addresses(checked, from, to);
  const uint16_t rest[2] = {htons(kUdpLength), htons(IPPROTO_UDP)};
  append(checked, rest, sizeof(rest));
  append(checked, &udp, sizeof(udp));
  append(checked, kPayload.data(), kPayload.size());
  udp.check = checksum(checked);
  append(packet, &udp, sizeof(udp));
  append(packet, kPayload.data(), kPayload.size());
}

std::vector<uint8_t> udp_packet(const Endpoint& from, const Endpoint& to) {
  std::vector<uint8_t> packet;
  if (address_of(to).is_v4()) {
    iphdr ip{};
    ip.version = 4;
    ip.ihl = 5;
    ip.ttl = 64;
    ip.protocol = IPPROTO_UDP;
    ip.tot_len = htons(sizeof(ip) + kUdpLength);
    append(packet, &ip, offsetof(iphdr, saddr));
    append_addresses(packet, from, to);
    ip.check = checksum(packet);
    std::memcpy(packet.data() + offsetof(iphdr, check), &ip.check, sizeof(ip.check));
  } else {
    ip6_hdr ip{};
    ip.ip6_flow = htonl(6U << 28U);
    ip.ip6_plen = htons(kUdpLength);
    ip.ip6_nxt = IPPROTO_UDP;
    ip.ip6_hlim = 64;
    append(packet, &ip, offsetof(ip6_hdr, ip6_src));
    append_addresses(packet, from, to);
  }
  append_udp(packet, from, to);
  return packet;
}

void append_mac(std::vector<uint8_t>& packet, const std::string& text) {
  const auto mac = merino::MacAddress::parse(text);
  if (!mac) throw Failure(mac.error().message());
  append(packet, mac->bytes().data(), mac->bytes().size());
}

int send_many(const Arguments& arguments, int fd, const std::vector<uint8_t>& packet) {
  const uint64_t count = arguments.number("count", 1);
  for (uint64_t i = 0; i < count; i++) {
    while (::send(fd, packet.data(), packet.size(), 0) < 0) {
      if (errno != ECONNREFUSED) fail_errno("send");  // the answer to an earlier one; this one is not sent yet
    }
  }
  fmt::print("{{\"ok\":true,\"sent\":{}}}\n", count);
  return 0;
}

template <class SocketAddress>
void connect_to(int fd, const SocketAddress& to) {
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) fail_errno("connect");
}

// What is sent there brings its own IP header; the address only finds the way.
merino::Fd raw_socket(const Endpoint& to) {
  const merino::IpAddress address = address_of(to);
  merino::Fd fd(::socket(address.is_v4() ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW));
  if (!fd) fail_errno("raw socket");
  if (address.is_v4()) {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, address.network_bytes(), address.network_size());
    connect_to(fd.get(), v4);
  } else {
    Endpoint v6 = to;
    v6.sin6_port = 0;
    connect_to(fd.get(), v6);
  }
  return fd;
}

}  // namespace

int forge_vxlan(const Arguments& arguments) {
  const uint32_t header[2] = {htonl(0x08000000), htonl(static_cast<uint32_t>(arguments.number("vni", 1)) << 8)};
  const Endpoint inner_to = parse_endpoint(arguments.text("inner-to"));
  const uint16_t type = htons(address_of(inner_to).is_v4() ? ETHERTYPE_IP : ETHERTYPE_IPV6);
  std::vector<uint8_t> packet;
  append(packet, header, sizeof(header));
  append_mac(packet, arguments.text("target-mac"));
  append_mac(packet, arguments.text("source-mac", "02:00:00:00:00:01"));
  append(packet, &type, sizeof(type));
  const auto inner = udp_packet(parse_endpoint(arguments.text("inner-from")), inner_to);
  append(packet, inner.data(), inner.size());
  const merino::Fd fd = open_client_socket(arguments, SOCK_DGRAM);
  connect_to(fd.get(), parse_endpoint(arguments.text("to")));
  return send_many(arguments, fd.get(), packet);
}

// The udp backend's tunnel packet: the inner packet and nothing else.
int forge_udp(const Arguments& arguments) {
  const merino::Fd fd = open_client_socket(arguments, SOCK_DGRAM);
  connect_to(fd.get(), parse_endpoint(arguments.text("to")));
  return send_many(arguments, fd.get(),
                   udp_packet(parse_endpoint(arguments.text("inner-from")), parse_endpoint(arguments.text("inner-to"))));
}

int forge_source(const Arguments& arguments) {
  const Endpoint to = parse_endpoint(arguments.text("to"));
  const merino::Fd fd = raw_socket(to);
  return send_many(arguments, fd.get(), udp_packet(parse_endpoint(arguments.text("from")), to));
}

}  // namespace traffic
