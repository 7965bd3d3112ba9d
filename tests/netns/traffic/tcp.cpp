// TCP: the client says what it will send and wants; the server compares what it got, answers what it saw, and sends its own stream.
#include <fmt/core.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include "traffic/arguments.h"
#include "traffic/stream.h"

namespace traffic {
namespace {

constexpr uint64_t kMagic = 0x6d6572696e6f7463;

constexpr uint64_t kOpenEnd = UINT64_MAX;  // the client shuts its side when it has sent enough

struct Request {
  uint64_t magic;
  uint64_t seed;
  uint64_t up;  // bytes, or kOpenEnd
  uint64_t down;
};

struct Reply {
  uint64_t magic;
  uint64_t received;
  uint64_t first_wrong;  // offset of the first wrong byte, or `received` if all are right
  uint64_t longest_gap_us;
  Endpoint client;  // as the server saw it
};

void send_all(int fd, const void* data, size_t size) {
  const auto* at = static_cast<const uint8_t*>(data);
  while (size > 0) {
    const ssize_t sent = ::send(fd, at, size, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) fail_errno("send");
    at += sent;
    size -= static_cast<size_t>(sent);
  }
}

void receive_all(int fd, void* data, size_t size) {
  auto* at = static_cast<uint8_t*>(data);
  while (size > 0) {
    const ssize_t got = ::recv(fd, at, size, 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_errno("receive");
    if (got == 0) throw Failure("the other side closed the connection early");
    at += got;
    size -= static_cast<size_t>(got);
  }
}

// In writes of `payload` bytes, one per `interval`; says how many bytes that were.
uint64_t send_stream(int fd, uint64_t seed, uint64_t size, size_t payload, std::chrono::microseconds interval) {
  Stream stream(seed);
  std::vector<uint8_t> buffer(payload);
  auto due = Clock::now();
  uint64_t sent = 0;
  while (sent < size && !stop_requested()) {
    const size_t take = size - sent < payload ? static_cast<size_t>(size - sent) : payload;
    stream.fill(buffer.data(), take);
    send_all(fd, buffer.data(), take);
    sent += take;
    due += interval;
    if (interval.count() > 0) std::this_thread::sleep_until(due);
  }
  if (size == kOpenEnd) ::shutdown(fd, SHUT_WR);
  return sent;
}

struct Received {
  uint64_t size = 0;
  uint64_t first_wrong = kOpenEnd;
  std::chrono::microseconds longest_gap{0};
  [[nodiscard]] bool right() const { return first_wrong == size; }
};

Received receive_stream(int fd, uint64_t seed, uint64_t size) {
  Stream stream(seed);
  std::vector<uint8_t> got(262144);
  std::vector<uint8_t> wanted(got.size());
  Received received;
  auto last = Clock::now();
  for (uint64_t at = 0; at < size;) {
    const size_t room = size - at < got.size() ? static_cast<size_t>(size - at) : got.size();
    const ssize_t count = ::recv(fd, got.data(), room, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_errno(fmt::format("receive after {} of {} bytes", at, size));
    if (count == 0 && size == kOpenEnd) break;
    if (count == 0) throw Failure(fmt::format("the other side closed the connection after {} of {} bytes", at, size));
    const auto now = Clock::now();
    received.longest_gap = std::max(received.longest_gap, std::chrono::duration_cast<std::chrono::microseconds>(now - last));
    last = now;
    stream.fill(wanted.data(), static_cast<size_t>(count));
    if (received.first_wrong == kOpenEnd && std::memcmp(got.data(), wanted.data(), static_cast<size_t>(count)) != 0) {
      size_t i = 0;
      while (got[i] == wanted[i]) i++;
      received.first_wrong = at + i;
    }
    at += static_cast<uint64_t>(count);
    received.size = at;
  }
  if (received.first_wrong == kOpenEnd) received.first_wrong = received.size;
  return received;
}

struct Outcome {
  uint64_t sent = 0;
  uint64_t wrong = 0;
  uint64_t longest_gap_us = 0;
  uint32_t retransmits = 0;
  uint32_t mss = 0;
  std::string client;
};

void connect_within(int fd, const Endpoint& to) {
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) != 0) {
    if (errno == EINPROGRESS) errno = ETIMEDOUT;
    fail_errno("connect to " + to_text(to));
  }
}

Outcome one_connection(const Arguments& arguments, uint64_t seed) {
  const merino::Fd fd = open_client_socket(arguments, SOCK_STREAM);
  set_timeout(fd.get(), arguments.milliseconds("timeout", 5000));
  connect_within(fd.get(), parse_endpoint(arguments.text("to")));
  const int on = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

  const bool until_signal = arguments.number("until-signal", 0) != 0;
  const Request request{kMagic, seed, until_signal ? kOpenEnd : arguments.number("up", 1000), arguments.number("down", 1000)};
  send_all(fd.get(), &request, sizeof(request));
  const uint64_t sent =
      send_stream(fd.get(), seed, request.up, arguments.number("payload", 65536), arguments.microseconds("interval-us", 0));
  Reply reply{};
  receive_all(fd.get(), &reply, sizeof(reply));
  if (reply.magic != kMagic) throw Failure("the answer is not that of a traffic server");
  const Received received = receive_stream(fd.get(), seed + 1, request.down);

  Outcome outcome;
  if (reply.received != sent || reply.first_wrong != sent) outcome.wrong++;
  if (!received.right()) outcome.wrong++;
  outcome.sent = sent;
  outcome.longest_gap_us = reply.longest_gap_us;
  tcp_info info{};
  socklen_t size = sizeof(info);
  if (::getsockopt(fd.get(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0) {
    outcome.retransmits = info.tcpi_total_retrans;
    outcome.mss = info.tcpi_snd_mss;
  }
  outcome.client = address_of(reply.client).to_string();
  return outcome;
}

}  // namespace

void serve_tcp(merino::Fd connection) {
  set_timeout(connection.get(), std::chrono::seconds(60));
  const int on = 1;
  ::setsockopt(connection.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  Request request{};
  receive_all(connection.get(), &request, sizeof(request));
  if (request.magic != kMagic) throw Failure("not a request of the traffic tool");
  const Received received = receive_stream(connection.get(), request.seed, request.up);
  Reply reply{kMagic, received.size, received.first_wrong, static_cast<uint64_t>(received.longest_gap.count()), {}};
  socklen_t size = sizeof(reply.client);
  ::getpeername(connection.get(), reinterpret_cast<sockaddr*>(&reply.client), &size);
  send_all(connection.get(), &reply, sizeof(reply));
  send_stream(connection.get(), request.seed + 1, request.down, 65536, std::chrono::microseconds(0));
}

int tcp_client(const Arguments& arguments) {
  const auto connections = arguments.number("connections", 1);
  const auto start = Clock::now();
  Outcome total;
  uint64_t failed = 0;
  std::string error;
  for (uint64_t i = 0; i < connections; i++) {
    try {
      const Outcome outcome = one_connection(arguments, arguments.number("seed", 1) + 2 * i);
      total.wrong += outcome.wrong;
      total.sent += outcome.sent;
      total.retransmits += outcome.retransmits;
      total.longest_gap_us = std::max(total.longest_gap_us, outcome.longest_gap_us);
      total.mss = outcome.mss;
      total.client = outcome.client;
    } catch (const Failure& failure) {
      failed++;
      error = failure.what();
    }
  }
  const bool fine = failed == 0 && total.wrong == 0;
  fmt::print(
      "{{\"ok\":{},\"connections\":{},\"failed\":{},\"sent\":{},\"corrupt\":{},\"seen_as\":\"{}\",\"longest_gap_us\":{},\"retransmits\":{},"
      "\"mss\":{},"
      "\"seconds\":{:.3f},\"error\":\"{}\"}}\n",
      fine, connections, failed, total.sent, total.wrong, total.client, total.longest_gap_us, total.retransmits, total.mss,
      seconds_since(start), error);
  return fine ? 0 : 1;
}

}  // namespace traffic
