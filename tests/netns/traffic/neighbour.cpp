// What only routers and neighbours say, said by somebody else: router advertisements, redirects, neighbour discovery, ARP.
#include <fmt/core.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "base/address.h"
#include "traffic/arguments.h"

namespace traffic {
namespace {

using Bytes = std::vector<uint8_t>;

void append(Bytes& to, const Bytes& more) { to.insert(to.end(), more.begin(), more.end()); }
void append_address(Bytes& to, const merino::IpAddress& address) {
  const auto* bytes = static_cast<const uint8_t*>(address.network_bytes());
  to.insert(to.end(), bytes, bytes + address.network_size());
}

Bytes mac_of(const Arguments& arguments, const std::string& name) {
  const auto mac = merino::MacAddress::parse(arguments.text(name));
  if (!mac) throw Failure(mac.error().message());
  return {mac->bytes().begin(), mac->bytes().end()};
}

merino::IpAddress ip_of(const Arguments& arguments, const std::string& name) { return address_of(parse_endpoint(arguments.text(name))); }

Bytes mac_option(uint8_t type, const Bytes& mac) {
  Bytes option{type, 1};
  append(option, mac);
  return option;
}

// Hop limit 7, for half an hour, MTU 1280, and 2001:db8:bad::/64 on the link with addresses of one's own making.
Bytes router_advertisement(const Bytes& mac) {
  Bytes message{ND_ROUTER_ADVERT, 0, 0, 0, 7, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0};
  append(message, mac_option(ND_OPT_SOURCE_LINKADDR, mac));
  append(message, {ND_OPT_MTU, 1, 0, 0, 0, 0, 0x05, 0x00});
  append(message, {ND_OPT_PREFIX_INFORMATION, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0});
  append(message, {0x20, 0x01, 0x0d, 0xb8, 0x0b, 0xad, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0});
  return message;
}

Bytes message_of(const std::string& kind, const Arguments& arguments, const Bytes& mac) {
  if (kind == "advertisement") return router_advertisement(mac);
  Bytes message{0, 0, 0, 0, 0, 0, 0, 0};
  if (kind == "redirect") {
    message[0] = ND_REDIRECT;
    append_address(message, ip_of(arguments, "target"));
    append_address(message, ip_of(arguments, "about"));
    append(message, mac_option(ND_OPT_TARGET_LINKADDR, mac));
  } else if (kind == "answer" || kind == "question") {
    message[0] = kind == "answer" ? ND_NEIGHBOR_ADVERT : ND_NEIGHBOR_SOLICIT;
    message[4] = kind == "answer" ? 0x60 : 0;  // solicited, and to be put in the place of what is known
    append_address(message, ip_of(arguments, "target"));
    append(message, mac_option(kind == "answer" ? ND_OPT_TARGET_LINKADDR : ND_OPT_SOURCE_LINKADDR, mac));
  } else {
    throw Failure("unknown --kind " + kind);
  }
  return message;
}

void fill_checksum(Bytes& message, const merino::IpAddress& from, const merino::IpAddress& to) {
  Bytes checked;
  append_address(checked, from);
  append_address(checked, to);
  append(checked, {0, 0, static_cast<uint8_t>(message.size() >> 8U), static_cast<uint8_t>(message.size()), 0, 0, 0, IPPROTO_ICMPV6});
  append(checked, message);
  uint32_t sum = 0;
  for (size_t i = 0; i < checked.size(); i++) sum += i % 2 == 0 ? checked[i] << 8U : checked[i];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16U);
  message[2] = static_cast<uint8_t>(~sum >> 8U);
  message[3] = static_cast<uint8_t>(~sum);
}

Bytes ipv6_frame(const Arguments& arguments, const Bytes& mac) {
  const merino::IpAddress from = ip_of(arguments, "from");
  const merino::IpAddress to = ip_of(arguments, "to");
  Bytes message = message_of(arguments.text("kind"), arguments, mac);
  fill_checksum(message, from, to);
  Bytes frame = mac_of(arguments, "target-mac");
  append(frame, mac);
  append(frame, {0x86, 0xdd, 0x60, 0, 0, 0, static_cast<uint8_t>(message.size() >> 8U), static_cast<uint8_t>(message.size()),
                 IPPROTO_ICMPV6, 255});
  append_address(frame, from);
  append_address(frame, to);
  append(frame, message);
  return frame;
}

// An answer that nobody asked for: `from` has this MAC.
Bytes arp_frame(const Arguments& arguments, const Bytes& mac) {
  const Bytes target_mac = mac_of(arguments, "target-mac");
  Bytes frame = target_mac;
  append(frame, mac);
  append(frame, {0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 2});
  append(frame, mac);
  append_address(frame, ip_of(arguments, "from"));
  append(frame, target_mac);
  append_address(frame, ip_of(arguments, "to"));
  return frame;
}

}  // namespace

int forge_neighbour(const Arguments& arguments) {
  const Bytes mac = mac_of(arguments, "source-mac");
  const Bytes frame = arguments.text("kind") == "arp" ? arp_frame(arguments, mac) : ipv6_frame(arguments, mac);
  const merino::Fd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!fd) fail_errno("packet socket");
  sockaddr_ll to{};
  to.sll_family = AF_PACKET;
  to.sll_ifindex = static_cast<int>(::if_nametoindex(arguments.text("interface", "eth0").c_str()));
  const uint64_t count = arguments.number("count", 1);
  for (uint64_t i = 0; i < count; i++) {
    if (::sendto(fd.get(), frame.data(), frame.size(), 0, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0) fail_errno("send");
  }
  fmt::print("{{\"ok\":true,\"sent\":{}}}\n", count);
  return 0;
}

}  // namespace traffic
