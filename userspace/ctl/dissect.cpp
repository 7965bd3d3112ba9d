#include "ctl/dissect.h"

#include <fmt/format.h>
#include <linux/if_ether.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>

namespace merino::ctl {

namespace {

using Frame = std::span<const uint8_t>;

constexpr size_t kIpv6Header = 40;
constexpr size_t kVxlanHeader = 8;

unsigned word(Frame bytes, size_t at) { return static_cast<unsigned>(bytes[at]) << 8U | bytes[at + 1]; }

// The rest behind `size` bytes; empty if there are not so many.
Frame behind(Frame bytes, size_t size) { return bytes.size() >= size ? bytes.subspan(size) : Frame(); }

std::string tcp_flags(uint8_t flags) {
  std::string text;
  const std::pair<uint8_t, const char*> names[] = {{0x02, "SYN"}, {0x01, "FIN"}, {0x04, "RST"}};
  for (const auto& [bit, name] : names) {
    if ((flags & bit) != 0) text += std::string(text.empty() ? "" : "+") + name;
  }
  return text;
}

std::string icmp_name(Family family, uint8_t type) {
  const bool v4 = family == Family::v4;
  if (type == (v4 ? uint8_t{ICMP_ECHO} : uint8_t{ICMP6_ECHO_REQUEST})) return "echo request";
  if (type == (v4 ? uint8_t{ICMP_ECHOREPLY} : uint8_t{ICMP6_ECHO_REPLY})) return "echo reply";
  if (v4 && type == ICMP_DEST_UNREACH) return "unreachable";
  if (v4 && type == ICMP_TIME_EXCEEDED) return "time exceeded";
  if (!v4 && type == ND_NEIGHBOR_SOLICIT) return "neighbour solicitation";
  if (!v4 && type == ND_NEIGHBOR_ADVERT) return "neighbour advertisement";
  if (!v4 && type == ND_ROUTER_ADVERT) return "router advertisement";
  return fmt::format("type {}", type);
}

struct Parsed {
  IpHeaders headers;
  Frame payload;  // behind the IP header
};

void read_transport(Parsed& parsed, Family family) {
  IpHeaders& headers = parsed.headers;
  const Frame bytes = parsed.payload;
  const bool is_icmp = headers.protocol == (family == Family::v4 ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6});
  if (is_icmp && !bytes.empty()) headers.detail = icmp_name(family, bytes[0]);
  if ((headers.protocol != IPPROTO_TCP && headers.protocol != IPPROTO_UDP) || bytes.size() < 4) return;
  headers.source_port = static_cast<uint16_t>(word(bytes, 0));
  headers.destination_port = static_cast<uint16_t>(word(bytes, 2));
  if (headers.protocol == IPPROTO_TCP && bytes.size() > 13) headers.detail = tcp_flags(bytes[13]);
}

std::optional<Parsed> read_v4(Frame bytes) {
  if (bytes.size() < 20 || bytes[0] >> 4U != 4 || (bytes[0] & 0xfU) < 5) return std::nullopt;
  Parsed parsed;
  parsed.headers.source = IpAddress::from_network(Family::v4, bytes.data() + 12);
  parsed.headers.destination = IpAddress::from_network(Family::v4, bytes.data() + 16);
  parsed.headers.protocol = bytes[9];
  parsed.payload = behind(bytes, static_cast<size_t>(bytes[0] & 0xfU) * 4);
  const bool later_fragment = (word(bytes, 6) & 0x1fffU) != 0;
  if (!later_fragment) read_transport(parsed, Family::v4);
  if ((word(bytes, 6) & 0x3fffU) != 0) parsed.headers.detail = "fragment";
  return parsed;
}

std::optional<Parsed> read_v6(Frame bytes) {
  if (bytes.size() < kIpv6Header || bytes[0] >> 4U != 6) return std::nullopt;
  Parsed parsed;
  parsed.headers.source = IpAddress::from_network(Family::v6, bytes.data() + 8);
  parsed.headers.destination = IpAddress::from_network(Family::v6, bytes.data() + 24);
  parsed.headers.protocol = bytes[6];
  parsed.payload = behind(bytes, kIpv6Header);
  read_transport(parsed, Family::v6);
  return parsed;
}

std::optional<Parsed> read_ip(Frame bytes) {
  if (bytes.empty()) return std::nullopt;
  return bytes[0] >> 4U == 4 ? read_v4(bytes) : read_v6(bytes);
}

std::string arp_text(Frame bytes) {
  if (bytes.size() < 28) return "ARP";
  const auto sender = IpAddress::from_network(Family::v4, bytes.data() + 14).to_string();
  const auto target = IpAddress::from_network(Family::v4, bytes.data() + 24).to_string();
  if (word(bytes, 6) == ARPOP_REQUEST) return fmt::format("ARP {} asks who has {}", sender, target);
  return fmt::format("ARP {} tells {}", sender, target);
}

struct Ethernet {
  unsigned type = 0;
  Frame payload;
};

std::optional<Ethernet> read_ethernet(Frame frame) {
  if (frame.size() < ETH_HLEN) return std::nullopt;
  Ethernet out{word(frame, 12), frame.subspan(ETH_HLEN)};
  if ((out.type == ETH_P_8021Q || out.type == ETH_P_8021AD) && out.payload.size() >= 4)
    out = {word(out.payload, 2), out.payload.subspan(4)};
  return out;
}

bool is_ip(unsigned ethertype) { return ethertype == ETH_P_IP || ethertype == ETH_P_IPV6; }

// The packet in the tunnel, if this is a tunnel's.
std::optional<Parsed> read_inner(const Parsed& outer, const TunnelPort& tunnel) {
  if (tunnel.port == 0 || outer.headers.protocol != IPPROTO_UDP || outer.headers.destination_port != tunnel.port) return std::nullopt;
  const Frame payload = behind(outer.payload, sizeof(udphdr));
  if (tunnel.kind == TunnelKind::bare_ip) return read_ip(payload);
  const auto inner = read_ethernet(behind(payload, kVxlanHeader));
  return inner && is_ip(inner->type) ? read_ip(inner->payload) : std::nullopt;
}

std::string protocol_text(const IpHeaders& headers) {
  switch (headers.protocol) {
    case IPPROTO_TCP:
      return "tcp";
    case IPPROTO_UDP:
      return "udp";
    case IPPROTO_ICMP:
      return "icmp";
    case IPPROTO_ICMPV6:
      return "icmp6";
    case IPPROTO_SCTP:
      return "sctp";
    default:
      return fmt::format("protocol {}", headers.protocol);
  }
}

std::string endpoint_text(const IpAddress& address, const std::optional<uint16_t>& port) {
  if (!port) return address.to_string();
  return address.is_v4() ? fmt::format("{}:{}", address.to_string(), *port) : fmt::format("[{}]:{}", address.to_string(), *port);
}

}  // namespace

Dissection dissect(std::span<const uint8_t> frame, const TunnelPort& tunnel) {
  Dissection out;
  const auto ethernet = read_ethernet(frame);
  if (!ethernet) {
    out.link = "a frame without a header";
    return out;
  }
  const auto packet = is_ip(ethernet->type) ? read_ip(ethernet->payload) : std::nullopt;
  if (!packet) {
    out.link = ethernet->type == ETH_P_ARP ? arp_text(ethernet->payload) : fmt::format("ethertype {:#06x}", ethernet->type);
    return out;
  }
  out.ip = packet->headers;
  if (const auto inner = read_inner(*packet, tunnel)) {
    out.outer = packet->headers;
    out.ip = inner->headers;
  }
  return out;
}

std::string headers_text(const IpHeaders& headers) {
  return fmt::format("{} → {} {}{}{}", endpoint_text(headers.source, headers.source_port),
                     endpoint_text(headers.destination, headers.destination_port), protocol_text(headers),
                     headers.detail.empty() ? "" : " ", headers.detail);
}

}  // namespace merino::ctl
