#include "lab/matrix.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "lab/traffic.h"

namespace merino::lab {
namespace {

constexpr int kPort = 7100;
constexpr int kIpAndIcmp = 28;
constexpr int kIpAndUdp = 28;

void expect_ping(const Place& from, const std::string& arguments) {
  const PingResult result = ping(from, "-c 3 -i 0.01 -W 2 " + arguments);
  EXPECT_TRUE(result.all()) << "ping " << arguments << "\n" << result.text;
}

void expect_traffic(const Place& from, const std::string& arguments) {
  const TrafficResult result = traffic(from, arguments);
  EXPECT_TRUE(result.ok) << arguments << "\n" << result.line;
}

}  // namespace

void expect_matrix(const Place& from, const Place& to, const std::string& address, const MatrixOptions& options) {
  SCOPED_TRACE(fmt::format("from {} to {} ({})", from.name(), to.name(), address));
  const int whole = options.mtu - kIpAndUdp;
  const int fragmented = 3 * options.mtu;
  expect_ping(from, "-s 1 " + address);
  expect_ping(from, fmt::format("-M do -s {} {}", options.mtu - kIpAndIcmp, address));
  expect_ping(from, fmt::format("-s {} {}", fragmented, address));

  const TrafficServer server(to, kPort);
  const std::string target = fmt::format("--to {}:{} ", address, kPort);
  expect_traffic(from, "udp --payload 1 --count 20 " + target);
  expect_traffic(from, fmt::format("udp --pmtu do --count 20 --payload {} {}", whole, target));
  expect_traffic(from, fmt::format("udp --count 5 --payload {} {}", fragmented, target));
  expect_traffic(from, "udp --count 3 --payload 60000 " + target);
  // At most 64 KiB in one piece, of datagrams that pass whole.
  const int segments = std::min(64000 / whole, 40);
  expect_traffic(from, fmt::format("udp --count {0} --gso {0} --payload {1} {2}", segments, whole, target));

  expect_traffic(from, "tcp --payload 1 --up 300 --down 1 " + target);
  expect_traffic(from, fmt::format("tcp --payload {} --up 200000 --down 200000 {}", options.mtu - 40, target));
  expect_traffic(from, fmt::format("tcp --payload 65536 --up {0} --down {0} {1}", options.bulk, target));
}

}  // namespace merino::lab
