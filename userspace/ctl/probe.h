// Packets that are sent to learn how the way is, and what came back. In the calling thread's network namespace; both families.
#pragma once

#include <chrono>
#include <cstdint>

#include "base/address.h"
#include "base/result.h"

namespace merino::ctl {

struct EchoRequest {
  IpAddress destination;
  size_t packet_size = 84;  // of the whole IP packet
  int count = 3;
  std::chrono::milliseconds interval{20};
  std::chrono::milliseconds patience{1000};  // for the last answer
};

struct EchoResult {
  int sent = 0;
  int received = 0;
  int corrupted = 0;       // answers whose content is not what was sent; they count as received too
  bool too_large = false;  // this host itself does not send packets of that size there
  std::chrono::nanoseconds shortest{0};
  std::chrono::nanoseconds total{0};
  std::chrono::nanoseconds longest{0};

  [[nodiscard]] bool any() const { return received > 0; }
  [[nodiscard]] bool all() const { return sent > 0 && received == sent; }
  [[nodiscard]] std::chrono::nanoseconds average() const { return received > 0 ? total / received : total; }
};

// ICMP echo with "don't fragment". An error is one of this host (no permission, no route); silence is a result.
Result<EchoResult> send_echo(const EchoRequest& request);

// The largest IP packet, from `low` (which gets through) to `high` (which does not), of which an echo comes back.
Result<size_t> largest_echo(const IpAddress& destination, size_t low, size_t high);

enum class KnockAnswer {
  answered,            // refused or accepted: the packet arrived with a right checksum, and so did the answer
  refused_on_the_way,  // an ICMP error of a router or firewall
  silence,
};

// One TCP connection, or one UDP datagram, to a port where nobody listens.
Result<KnockAnswer> knock_tcp(const IpAddress& destination, std::chrono::milliseconds patience);
Result<KnockAnswer> knock_udp(const IpAddress& destination, std::chrono::milliseconds patience);

}  // namespace merino::ctl
