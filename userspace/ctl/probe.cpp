#include "ctl/probe.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/fd.h"

namespace merino::ctl {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr size_t kIcmpHeader = 8;
constexpr uint16_t kDiscardPort = 9;
constexpr uint8_t kEcho4 = ICMP_ECHO;
constexpr uint8_t kReply4 = ICMP_ECHOREPLY;

size_t ip_header_size(Family family) { return family == Family::v4 ? 20 : 40; }

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;
};

SocketAddress socket_address(const IpAddress& address, uint16_t port) {
  SocketAddress out;
  if (address.is_v4()) {
    auto* to = reinterpret_cast<sockaddr_in*>(&out.storage);
    to->sin_family = AF_INET;
    to->sin_port = htons(port);
    std::memcpy(&to->sin_addr, address.network_bytes(), sizeof(to->sin_addr));
    out.size = sizeof(*to);
  } else {
    auto* to = reinterpret_cast<sockaddr_in6*>(&out.storage);
    to->sin6_family = AF_INET6;
    to->sin6_port = htons(port);
    std::memcpy(&to->sin6_addr, address.network_bytes(), sizeof(to->sin6_addr));
    out.size = sizeof(*to);
  }
  return out;
}

const sockaddr* raw(const SocketAddress& address) { return reinterpret_cast<const sockaddr*>(&address.storage); }

uint16_t next_identity() {
  static std::atomic<uint16_t> next{static_cast<uint16_t>(::getpid())};
  return ++next;
}

uint16_t internet_checksum(const std::vector<uint8_t>& bytes) {
  uint32_t sum = 0;
  for (size_t i = 0; i < bytes.size(); ++i) sum += static_cast<uint32_t>(bytes[i]) << (i % 2 == 0 ? 8U : 0U);
  while (sum >> 16U != 0) sum = (sum & 0xffffU) + (sum >> 16U);
  return static_cast<uint16_t>(~sum);
}

// One run of echoes: the socket, and what is still awaited.
class Echo {
 public:
  explicit Echo(const EchoRequest& request) : request_(request), identity_(next_identity()), sent_at_(static_cast<size_t>(request.count)) {}

  Status open();
  Result<EchoResult> run();

 private:
  [[nodiscard]] std::vector<uint8_t> message(uint16_t sequence) const;
  [[nodiscard]] size_t payload() const {
    const size_t headers = ip_header_size(request_.destination.family()) + kIcmpHeader;
    return request_.packet_size > headers ? request_.packet_size - headers : 0;
  }
  Status send(int index);
  void receive_until(Clock::time_point deadline);
  void take(const std::vector<uint8_t>& packet, Clock::time_point now);

  const EchoRequest& request_;
  uint16_t identity_;
  Fd socket_;
  EchoResult result_;
  std::vector<Clock::time_point> sent_at_;  // zero: answered, or not sent
};

Status Echo::open() {
  const bool v4 = request_.destination.is_v4();
  socket_ = Fd(::socket(v4 ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, v4 ? int{IPPROTO_ICMP} : int{IPPROTO_ICMPV6}));
  if (!socket_) return fail_errno(errno, "open a socket for ICMP");
  // PROBE: "don't fragment", whatever the path was found to carry before.
  static_assert(int{IP_PMTUDISC_PROBE} == int{IPV6_PMTUDISC_PROBE});
  const int discover = IP_PMTUDISC_PROBE;
  const int option = v4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER;
  if (::setsockopt(socket_.get(), v4 ? int{IPPROTO_IP} : int{IPPROTO_IPV6}, option, &discover, sizeof(discover)) != 0)
    return fail_errno(errno, "set up a socket for ICMP");
  // Only answers from there come in.
  const SocketAddress to = socket_address(request_.destination, 0);
  if (::connect(socket_.get(), raw(to), to.size) != 0) return fail_errno(errno, "reach {}", request_.destination.to_string());
  return ok();
}

std::vector<uint8_t> Echo::message(uint16_t sequence) const {
  std::vector<uint8_t> out(kIcmpHeader + payload());
  out[0] = request_.destination.is_v4() ? kEcho4 : uint8_t{ICMP6_ECHO_REQUEST};
  out[4] = static_cast<uint8_t>(identity_ >> 8U);
  out[5] = static_cast<uint8_t>(identity_);
  out[6] = static_cast<uint8_t>(sequence >> 8U);
  out[7] = static_cast<uint8_t>(sequence);
  for (size_t i = kIcmpHeader; i < out.size(); ++i) out[i] = static_cast<uint8_t>(i * 7 + sequence);
  if (request_.destination.is_v4()) {  // the kernel fills that of ICMPv6
    const uint16_t checksum = internet_checksum(out);
    out[2] = static_cast<uint8_t>(checksum >> 8U);
    out[3] = static_cast<uint8_t>(checksum);
  }
  return out;
}

Status Echo::send(int index) {
  const std::vector<uint8_t> out = message(static_cast<uint16_t>(index));
  ++result_.sent;
  if (::send(socket_.get(), out.data(), out.size(), 0) >= 0) {
    sent_at_[static_cast<size_t>(index)] = Clock::now();
    return ok();
  }
  if (errno == EMSGSIZE) result_.too_large = true;
  // What a firewall or a route of this host refuses is lost like what the network loses.
  if (errno == EMSGSIZE || errno == EPERM || errno == EHOSTUNREACH || errno == ENETUNREACH || errno == ENOBUFS || errno == EAGAIN)
    return ok();
  return fail_errno(errno, "send to {}", request_.destination.to_string());
}

void Echo::take(const std::vector<uint8_t>& packet, Clock::time_point now) {
  const bool v4 = request_.destination.is_v4();
  // IPv4's raw sockets give the IP header too.
  const size_t at = v4 && !packet.empty() ? static_cast<size_t>(packet[0] & 0xfU) * 4 : 0;
  if (packet.size() < at + kIcmpHeader || packet[at] != (v4 ? kReply4 : uint8_t{ICMP6_ECHO_REPLY})) return;
  const auto word = [&](size_t offset) { return static_cast<uint16_t>(packet[at + offset] << 8U | packet[at + offset + 1]); };
  const size_t sequence = word(6);
  if (word(4) != identity_ || sequence >= sent_at_.size() || sent_at_[sequence] == Clock::time_point{}) return;
  const auto took = now - std::exchange(sent_at_[sequence], Clock::time_point{});
  result_.shortest = result_.received == 0 ? took : std::min<std::chrono::nanoseconds>(result_.shortest, took);
  result_.longest = std::max<std::chrono::nanoseconds>(result_.longest, took);
  result_.total += took;
  ++result_.received;
  const std::vector<uint8_t> expected = message(static_cast<uint16_t>(sequence));
  const bool same = packet.size() - at == expected.size() &&
                    std::equal(expected.begin() + kIcmpHeader, expected.end(), packet.begin() + static_cast<ptrdiff_t>(at + kIcmpHeader));
  if (!same) ++result_.corrupted;
}

void Echo::receive_until(Clock::time_point deadline) {
  std::vector<uint8_t> packet(65536);
  while (result_.received < result_.sent) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - Clock::now());
    pollfd readable{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || ::poll(&readable, 1, static_cast<int>(left.count())) <= 0) return;
    packet.resize(65536);
    const ssize_t size = ::recv(socket_.get(), packet.data(), packet.size(), 0);
    if (size <= 0) continue;
    packet.resize(static_cast<size_t>(size));
    take(packet, Clock::now());
  }
}

Result<EchoResult> Echo::run() {
  auto next = Clock::now();
  for (int i = 0; i < request_.count; ++i) {
    TRY(send(i));
    if (result_.too_large) return result_;
    next += request_.interval;
    if (i + 1 == request_.count) break;
    receive_until(next);
    // All were answered before it was time for the next one.
    if (const auto left = std::chrono::ceil<milliseconds>(next - Clock::now()); left.count() > 0)
      ::poll(nullptr, 0, static_cast<int>(left.count()));
  }
  receive_until(Clock::now() + request_.patience);
  return result_;
}

// How a connect() or a datagram ended.
KnockAnswer answer_of(int error) {
  if (error == 0 || error == ECONNREFUSED) return KnockAnswer::answered;
  if (error == EHOSTUNREACH || error == ENETUNREACH || error == EACCES || error == EPERM || error == ENOPROTOOPT || error == EHOSTDOWN)
    return KnockAnswer::refused_on_the_way;
  return KnockAnswer::silence;
}

Result<KnockAnswer> knock(int type, const IpAddress& destination, milliseconds patience) {
  const Fd socket(::socket(destination.is_v4() ? AF_INET : AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno(errno, "open a socket");
  const SocketAddress to = socket_address(destination, kDiscardPort);
  if (::connect(socket.get(), raw(to), to.size) != 0 && errno != EINPROGRESS) return answer_of(errno);
  const uint8_t something[16] = {};
  if (type == SOCK_DGRAM && ::send(socket.get(), something, sizeof(something), 0) < 0) return answer_of(errno);
  pollfd ready{.fd = socket.get(), .events = static_cast<short>(type == SOCK_DGRAM ? POLLIN : POLLOUT), .revents = 0};
  if (::poll(&ready, 1, static_cast<int>(patience.count())) <= 0) return KnockAnswer::silence;
  int error = 0;
  socklen_t size = sizeof(error);
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) return fail_errno(errno, "ask a socket for its error");
  return answer_of(error);
}

}  // namespace

Result<EchoResult> send_echo(const EchoRequest& request) {
  Echo echo(request);
  TRY(echo.open());
  return echo.run();
}

Result<size_t> largest_echo(const IpAddress& destination, size_t low, size_t high) {
  constexpr int kTries = 2;
  while (high - low > 1) {
    const size_t middle = low + (high - low) / 2;
    const EchoResult result = TRY(send_echo({destination, middle, kTries, milliseconds(10), milliseconds(500)}));
    (result.any() ? low : high) = middle;
  }
  return low;
}

Result<KnockAnswer> knock_tcp(const IpAddress& destination, milliseconds patience) { return knock(SOCK_STREAM, destination, patience); }
Result<KnockAnswer> knock_udp(const IpAddress& destination, milliseconds patience) { return knock(SOCK_DGRAM, destination, patience); }

}  // namespace merino::ctl
