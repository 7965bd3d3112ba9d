// Frames onto an interface and off it again (AF_PACKET), with what a device says besides the bytes.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "base/fd.h"
#include "bpf/frames.h"
#include "bpf/network.h"

namespace merino::test {

// struct virtio_net_hdr: the kernel's header with it is no C++.
struct Offload {
  uint8_t flags = 0;
  uint8_t gso_type = 0;
  uint16_t hdr_len = 0;
  uint16_t gso_size = 0;
  uint16_t csum_start = 0;
  uint16_t csum_offset = 0;
};
static_assert(sizeof(Offload) == 10);

struct Received {
  Frame frame;
  Offload offload{};
};

class PacketSocket {
 public:
  // Sends into and hears from `interface` of `netns`. Throws std::runtime_error, as all here.
  PacketSocket(const Netns& netns, const std::string& interface);

  // A program at the interface's egress may drop the frame.
  void send(const Frame& frame, const Offload& offload = {});
  // As send(), but only the first `linear` bytes lie in the linear part of the skb; only for frames of a page or more.
  void send_scattered(const Frame& frame, unsigned linear);
  // The next frame that came in, not one that was sent; nullopt after the timeout.
  std::optional<Received> receive(std::chrono::milliseconds timeout = std::chrono::seconds(5));
  // The next frame whose bytes from `offset` on are `content`; others are thrown away.
  std::optional<Received> receive_with(const Frame& content, size_t offset);

 private:
  Fd fd_;
};

// Offload headers of a packet that the device is to cut: TCP and UDP over IPv4, the transport header at `transport`, checksum left to the
// device as the stack leaves it.
Offload tcp_segments(size_t transport, uint16_t gso_size);
Offload udp_segments(size_t transport, uint16_t gso_size);

}  // namespace merino::test
