#include "bpf/packet_socket.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace merino::test {

namespace {

// VIRTIO_NET_HDR_*
constexpr uint8_t kNeedsChecksum = 1;
constexpr uint8_t kGsoTcpV4 = 1;
constexpr uint8_t kGsoUdpL4 = 5;
constexpr size_t kLargestFrame = 1U << 18U;

[[noreturn]] void raise(const std::string& what) { throw std::runtime_error(fmt::format("{}: {}", what, std::strerror(errno))); }

Offload segments(uint8_t type, size_t transport, size_t header_len, uint16_t checksum_offset, uint16_t gso_size) {
  Offload header{};
  header.flags = kNeedsChecksum;
  header.gso_type = type;
  header.hdr_len = static_cast<uint16_t>(transport + header_len);
  header.gso_size = gso_size;
  header.csum_start = static_cast<uint16_t>(transport);
  header.csum_offset = checksum_offset;
  return header;
}

}  // namespace

PacketSocket::PacketSocket(const Netns& netns, const std::string& interface) {
  const InNetns there(netns);
  fd_.reset(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!fd_) raise("packet socket");
  const int on = 1;
  if (::setsockopt(fd_.get(), SOL_PACKET, PACKET_VNET_HDR, &on, sizeof(on)) != 0) raise("PACKET_VNET_HDR");
  sockaddr_ll where{};
  where.sll_family = AF_PACKET;
  where.sll_protocol = htons(ETH_P_ALL);
  where.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
  if (where.sll_ifindex == 0 || ::bind(fd_.get(), reinterpret_cast<sockaddr*>(&where), sizeof(where)) != 0)
    raise("packet socket on " + interface);
}

void PacketSocket::send(const Frame& frame, const Offload& offload) {
  Offload header = offload;
  Frame bytes = frame;
  const iovec parts[] = {{&header, sizeof(header)}, {bytes.data(), bytes.size()}};
  const ssize_t sent = ::writev(fd_.get(), parts, 2);
  if (sent != static_cast<ssize_t>(sizeof(header) + bytes.size()) && errno != ENOBUFS) raise(fmt::format("send {} bytes", frame.size()));
}

void PacketSocket::send_scattered(const Frame& frame, unsigned linear) {
  if (frame.size() < 4096) throw std::logic_error("the kernel scatters only frames of a page or more");
  Offload header{};
  header.hdr_len = static_cast<uint16_t>(linear);
  send(frame, header);
}

std::optional<Received> PacketSocket::receive(std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd ready{fd_.get(), POLLIN, 0};
    const int count = ::poll(&ready, 1, static_cast<int>(std::max<long>(left.count(), 0)));
    if (count < 0 && errno != EINTR) raise("poll a packet socket");
    if (count == 0) return std::nullopt;
    Received received;
    received.frame.resize(kLargestFrame);
    sockaddr_ll from{};
    iovec parts[] = {{&received.offload, sizeof(received.offload)}, {received.frame.data(), received.frame.size()}};
    msghdr message{};
    message.msg_name = &from;
    message.msg_namelen = sizeof(from);
    message.msg_iov = parts;
    message.msg_iovlen = 2;
    const ssize_t len = ::recvmsg(fd_.get(), &message, MSG_DONTWAIT);
    if (len < static_cast<ssize_t>(sizeof(received.offload))) {
      if (errno == EAGAIN || errno == EINTR) continue;
      raise("receive a frame");
    }
    if (from.sll_pkttype == PACKET_OUTGOING) continue;
    received.frame.resize(static_cast<size_t>(len) - sizeof(received.offload));
    return received;
  }
}

std::optional<Received> PacketSocket::receive_with(const Frame& content, size_t offset) {
  while (auto received = receive()) {
    const Frame& frame = received->frame;
    if (frame.size() >= offset + content.size() &&
        std::equal(content.begin(), content.end(), frame.begin() + static_cast<std::ptrdiff_t>(offset)))
      return received;
  }
  return std::nullopt;
}

Offload tcp_segments(size_t transport, uint16_t gso_size) { return segments(kGsoTcpV4, transport, 20, 16, gso_size); }
Offload udp_segments(size_t transport, uint16_t gso_size) { return segments(kGsoUdpL4, transport, 8, 6, gso_size); }

}  // namespace merino::test
