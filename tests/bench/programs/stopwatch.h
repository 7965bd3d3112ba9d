// How long a program takes on a packet, measured on a fresh copy of the packet each time: the programs rewrite what they see.
#pragma once

#include <cstdint>
#include <memory>

#include "bpf/frames.h"

struct yardstick_bpf;

namespace merino::bench {

// Tunnel metadata, as the VXLAN driver gives it to from_tunnel.
struct TunnelKey {
  uint32_t vni = 0;
  uint32_t remote = 0;  // host order
  uint32_t local = 0;
};

struct Packet {
  test::Frame frame;
  uint32_t ifindex = 0;
  uint32_t gso_size = 0;
  const TunnelKey* tunnel = nullptr;
};

class Stopwatch {
 public:
  explicit Stopwatch(int runs);
  ~Stopwatch();
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

  // Nanoseconds for a packet, beyond those of a program that does nothing: the packets are taken in turn. Throws std::runtime_error, as all
  // here.
  double measure(int program_fd, const std::vector<Packet>& packets);

 private:
  std::vector<double> durations(int program_fd, const std::vector<Packet>& packets);
  int entry(int program_fd, const Packet& packet);

  int runs_;
  yardstick_bpf* yardstick_ = nullptr;
};

}  // namespace merino::bench
