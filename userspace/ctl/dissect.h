// What the first bytes of a frame say: addresses and ports, through the tunnel's headers if there are any.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/address.h"

namespace merino::ctl {

// What is spoken on the tunnel's port.
enum class TunnelKind { vxlan, bare_ip };

struct TunnelPort {
  uint16_t port = 0;  // 0: none
  TunnelKind kind = TunnelKind::vxlan;
};

struct IpHeaders {
  IpAddress source;
  IpAddress destination;
  uint8_t protocol = 0;
  std::optional<uint16_t> source_port;  // TCP and UDP, as far as the bytes reach
  std::optional<uint16_t> destination_port;
  std::string detail;  // "SYN", "echo request", "fragment"
};

struct Dissection {
  std::string link;                // of a frame that is not IP: "ARP who has 10.244.1.1", "ethertype 0x88cc"
  std::optional<IpHeaders> outer;  // of a tunnel
  std::optional<IpHeaders> ip;     // the packet itself; in a tunnel the inner one
};

// Hostile input: whatever is missing or makes no sense is left out.
Dissection dissect(std::span<const uint8_t> frame, const TunnelPort& tunnel);

// "10.244.1.2:40000 → 10.244.2.2:80 tcp SYN"
std::string headers_text(const IpHeaders& headers);

}  // namespace merino::ctl
