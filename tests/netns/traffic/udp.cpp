// UDP: requests whose content follows from seed and index; each answer is compared byte by byte.
#include <fmt/core.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "traffic/arguments.h"
#include "traffic/stream.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

namespace traffic {
namespace {

// So many requests may follow each other at once to keep to a rate.
constexpr int kMostBehind = 100;

struct Tally {
  uint64_t sent = 0;
  uint64_t received = 0;
  uint64_t corrupt = 0;
  uint64_t refused = 0;  // errors of send and receive: ICMP errors, local MTU
  std::string error;
  Clock::duration longest_gap{};
};

class Client {
 public:
  explicit Client(const Arguments& arguments)
      : arguments_(arguments),
        payload_(arguments.number("payload", 100)),
        count_(arguments.number("count", 1)),
        gso_(arguments.number("gso", 0)),
        until_signal_(arguments.number("until-signal", 0) != 0),
        interval_(arguments.microseconds("interval-us", 0)),
        timeout_(arguments.milliseconds("timeout", 1000)) {
    if (interval_.count() > 0 && payload_ < sizeof(uint32_t)) throw Failure("--interval-us needs a --payload of 4 or more");
  }

  Tally run() {
    const uint64_t sockets = arguments_.number("sockets", 1);
    for (uint64_t i = 0; i < sockets; i++) {
      const merino::Fd fd = connected_socket();
      if (interval_.count() > 0) {
        at_a_rate(fd.get());
      } else {
        one_by_one(fd.get());
      }
    }
    return tally_;
  }

 private:
  merino::Fd connected_socket() {
    merino::Fd fd = open_client_socket(arguments_, SOCK_DGRAM);
    const int size = kSocketBuffer;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
    const std::string pmtu = arguments_.text("pmtu", "");
    const int discover = pmtu == "do" ? IP_PMTUDISC_DO : pmtu == "dont" ? IP_PMTUDISC_DONT : IP_PMTUDISC_WANT;
    if (!pmtu.empty()) {
      ::setsockopt(fd.get(), IPPROTO_IP, IP_MTU_DISCOVER, &discover, sizeof(discover));
      ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_MTU_DISCOVER, &discover, sizeof(discover));  // the same values
    }
    const Endpoint to = parse_endpoint(arguments_.text("to"));
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) fail_errno("connect to " + to_text(to));
    return fd;
  }

  // The index stands in front if there is room for it: answers may come in any order.
  void fill(std::vector<uint8_t>& data, uint32_t index) const {
    Stream(arguments_.number("seed", 1) + index).fill(data.data(), data.size());
    if (data.size() >= sizeof(index)) std::memcpy(data.data(), &index, sizeof(index));
  }

  // False: nothing came within the timeout.
  bool receive(int fd, uint32_t expected_index, std::chrono::microseconds wait) {
    pollfd socket{fd, POLLIN, 0};
    const timespec limit{static_cast<time_t>(wait.count() / 1000000), static_cast<long>(wait.count() % 1000000 * 1000)};
    if (::ppoll(&socket, 1, &limit, nullptr) <= 0) return false;
    answer_.resize(65536);
    const ssize_t got = ::recv(fd, answer_.data(), answer_.size(), MSG_DONTWAIT);
    if (got < 0) {
      note_error();
      return true;
    }
    answer_.resize(static_cast<size_t>(got));
    for (uint8_t& byte : answer_) byte ^= kEchoMask;
    uint32_t index = expected_index;
    if (answer_.size() >= sizeof(index)) std::memcpy(&index, answer_.data(), sizeof(index));
    wanted_.resize(payload_);
    fill(wanted_, index);
    if (answer_ != wanted_) tally_.corrupt++;
    const auto now = Clock::now();
    if (tally_.received++ > 0) tally_.longest_gap = std::max(tally_.longest_gap, now - last_);
    last_ = now;
    return true;
  }

  void note_error() {
    tally_.refused++;
    tally_.error = std::strerror(errno);
  }

  // `segments` requests in one buffer; the kernel cuts it (GSO) where segments > 1. False: the kernel refused.
  bool send(int fd, uint32_t first_index, uint32_t segments) {
    std::vector<uint8_t> one(payload_);
    std::vector<uint8_t> all;
    for (uint32_t i = 0; i < segments; i++) {
      fill(one, first_index + i);
      all.insert(all.end(), one.begin(), one.end());
    }
    if (segments > 1) {
      const int segment = static_cast<int>(payload_);
      if (::setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)) != 0) fail_errno("UDP_SEGMENT");
    }
    tally_.sent += segments;
    if (::send(fd, all.data(), all.size(), 0) >= 0) return true;
    note_error();
    return false;
  }

  void one_by_one(int fd) {
    const auto batch = static_cast<uint32_t>(std::max<uint64_t>(gso_, 1));
    for (uint32_t index = 0; index < count_; index += batch) {
      if (!send(fd, index, batch)) continue;
      for (uint32_t i = 0; i < batch; i++) {
        if (!receive(fd, index + i, timeout_)) break;
      }
    }
  }

  // It takes the answers that are there before it sends, and what it could not send because it was not run for long stays unsent: all of it
  // at once would overflow queues.
  void at_a_rate(int fd) {
    auto due = Clock::now();
    for (uint32_t index = 0; until_signal_ ? !stop_requested() : index < count_; index++) {
      send(fd, index, 1);
      due = std::max(due, Clock::now() - kMostBehind * interval_) + interval_;
      const auto left = [due] { return std::chrono::duration_cast<std::chrono::microseconds>(due - Clock::now()); };
      while (receive(fd, index, std::max(left(), std::chrono::microseconds(0))) || Clock::now() < due) continue;
    }
    while (tally_.received < tally_.sent && receive(fd, 0, timeout_)) continue;
  }

  const Arguments& arguments_;
  const size_t payload_;
  const uint64_t count_;
  const uint64_t gso_;
  const bool until_signal_;
  const std::chrono::microseconds interval_;
  const std::chrono::milliseconds timeout_;
  std::vector<uint8_t> answer_;
  std::vector<uint8_t> wanted_;
  Clock::time_point last_;
  Tally tally_;
};

}  // namespace

int udp_client(const Arguments& arguments) {
  const auto start = Clock::now();
  const Tally tally = Client(arguments).run();
  const uint64_t lost = tally.sent - std::min(tally.received, tally.sent);
  const bool fine = lost == 0 && tally.corrupt == 0 && tally.received == tally.sent;
  const auto gap = std::chrono::duration_cast<std::chrono::microseconds>(tally.longest_gap).count();
  fmt::print(
      "{{\"ok\":{},\"sent\":{},\"received\":{},\"lost\":{},\"corrupt\":{},\"errors\":{},\"longest_gap_us\":{},\"seconds\":{:.3f},\"error\":"
      "\"{}\"}}\n",
      fine, tally.sent, tally.received, lost, tally.corrupt, tally.refused, gap, seconds_since(start), tally.error);
  return fine ? 0 : 1;
}

}  // namespace traffic
