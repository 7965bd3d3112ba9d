// ICMP echo at a rate, sleeping in between: ping(8) asks without end below 10 ms, and takes a processor for that.
#include <fmt/core.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <vector>

#include "traffic/arguments.h"

namespace traffic {
namespace {

// The same eight bytes in both families.
struct Echo {
  uint8_t type;
  uint8_t code;
  uint16_t checksum;
  uint16_t id;
  uint16_t sequence;
};

uint16_t checksum_of(const Echo& echo) {
  uint16_t words[sizeof(echo) / 2];
  std::memcpy(words, &echo, sizeof(echo));
  uint32_t sum = 0;
  for (const uint16_t word : words) sum += word;
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~(sum + (sum >> 16)));
}

class Pinger {
 public:
  explicit Pinger(const Arguments& arguments)
      : to_(parse_endpoint(arguments.text("to"))),
        count_(arguments.number("count", 1)),
        until_signal_(arguments.number("until-signal", 0) != 0),
        interval_(arguments.microseconds("interval-us", 1000)),
        timeout_(arguments.milliseconds("timeout", 1000)),
        v4_(address_of(to_).is_v4()),
        socket_(::socket(v4_ ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC,
                         v4_ ? static_cast<int>(IPPROTO_ICMP) : static_cast<int>(IPPROTO_ICMPV6))) {
    if (!socket_) fail_errno("socket");
    connect_socket();
  }

  void run() {
    auto due = Clock::now();
    for (uint64_t index = 0; until_signal_ ? !stop_requested() : index < count_; index++) {
      send(static_cast<uint16_t>(index));
      // A process that was held up sends no burst after it: nobody would take the answers, and the socket's buffer lose them.
      due = std::max(due + interval_, Clock::now());
      receive_until(due);
    }
    const auto end = Clock::now() + timeout_;
    while (!waiting_.empty() && Clock::now() < end) receive_once(end - Clock::now());
  }

  [[nodiscard]] uint64_t sent() const { return sent_; }
  [[nodiscard]] uint64_t received() const { return received_; }

 private:
  void connect_socket() const {
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    std::memcpy(&v4.sin_addr, to_.sin6_addr.s6_addr + 12, sizeof(v4.sin_addr));
    const int failed = v4_ ? ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&v4), sizeof(v4))
                           : ::connect(socket_.get(), reinterpret_cast<const sockaddr*>(&to_), sizeof(to_));
    if (failed != 0) fail_errno("connect to " + to_text(to_));
  }

  void send(uint16_t sequence) {
    Echo echo{v4_ ? static_cast<uint8_t>(ICMP_ECHO) : static_cast<uint8_t>(ICMP6_ECHO_REQUEST), 0, 0, id_, sequence};
    if (v4_) echo.checksum = checksum_of(echo);  // of IPv6 the kernel fills it in
    sent_++;
    if (::send(socket_.get(), &echo, sizeof(echo), 0) == sizeof(echo)) waiting_.insert(sequence);
  }

  // And what is there already, however late it is.
  void receive_until(Clock::time_point end) {
    while (receive_once(std::max(end - Clock::now(), Clock::duration{})) || Clock::now() < end) continue;
  }

  // False: nothing came.
  bool receive_once(Clock::duration wait) {
    pollfd socket{socket_.get(), POLLIN, 0};
    const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(wait).count();
    const timespec limit{static_cast<time_t>(nanoseconds / 1'000'000'000), static_cast<long>(nanoseconds % 1'000'000'000)};
    if (::ppoll(&socket, 1, &limit, nullptr) <= 0) return false;
    uint8_t packet[1500];
    const ssize_t size = ::recv(socket_.get(), packet, sizeof(packet), MSG_DONTWAIT);
    const ssize_t header = v4_ && size > 0 ? (packet[0] & 0x0f) * 4 : 0;  // only IPv4's raw sockets hand it out
    Echo echo{};
    if (size < header + static_cast<ssize_t>(sizeof(echo))) return true;
    std::memcpy(&echo, packet + header, sizeof(echo));
    const uint8_t reply = v4_ ? static_cast<uint8_t>(ICMP_ECHOREPLY) : static_cast<uint8_t>(ICMP6_ECHO_REPLY);
    if (echo.type == reply && echo.id == id_) received_ += waiting_.erase(echo.sequence);
    return true;
  }

  const Endpoint to_;
  const uint64_t count_;
  const bool until_signal_;
  const std::chrono::microseconds interval_;
  const std::chrono::milliseconds timeout_;
  const bool v4_;
  const merino::Fd socket_;
  const uint16_t id_ = static_cast<uint16_t>(::getpid());
  std::set<uint16_t> waiting_;
  uint64_t sent_ = 0;
  uint64_t received_ = 0;
};

}  // namespace

int ping(const Arguments& arguments) {
  const auto start = Clock::now();
  Pinger pinger(arguments);
  pinger.run();
  const uint64_t lost = pinger.sent() - pinger.received();
  fmt::print("{{\"ok\":{},\"sent\":{},\"received\":{},\"lost\":{},\"seconds\":{:.3f},\"error\":\"\"}}\n", lost == 0, pinger.sent(),
             pinger.received(), lost, seconds_since(start));
  return lost == 0 ? 0 : 1;
}

}  // namespace traffic
