#include "lab/matrix.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include "lab/traffic.h"

namespace merino::lab {
namespace {

constexpr int kPort = 7100;
constexpr int kIcmpOrUdp = 8;  // bytes of the header
constexpr int kTcp = 20;

bool is_v6(const std::string& address) { return address.find(':') != std::string::npos; }

int ip_header(const std::string& address) { return is_v6(address) ? 40 : 20; }

void expect_ping(const Place& from, const std::string& arguments) {
  // One at a time: of several, ping waits two round trips for the last ones, whatever -W says.
  for (int i = 0; i < 3; i++) {
    const PingResult result = ping(from, "-c 1 -W 10 " + arguments);
    EXPECT_TRUE(result.all()) << "ping " << arguments << "\n" << result.text;
  }
}

void expect_traffic(const Place& from, const std::string& arguments) {
  const TrafficResult result = traffic(from, arguments);
  EXPECT_TRUE(result.ok) << arguments << "\n" << result.line;
}

}  // namespace

int learn_path_mtu(const Place& from, const std::string& address, int mtu) {
  ping(from, fmt::format("-c 2 -i 0.05 -W 0.3 -M do -s {} {}", mtu - ip_header(address) - kIcmpOrUdp, address));
  const std::string route = from.must("ip route get " + address);
  const size_t learned = route.find(" mtu ");
  return learned == std::string::npos ? mtu : std::stoi(route.substr(learned + 5));
}

void let_the_other_side_learn(const Place& from, const std::string& target, int size) {
  if (!target.starts_with('[')) return;
  // The first ones may be lost where neighbours are not known yet, and then nothing is learned from them.
  const std::string datagrams = fmt::format("udp --count 2 --timeout 200 --payload {} --to {}", size, target);
  for (int i = 0; i < 5 && !traffic(from, datagrams).ok; i++) {
  }
}

void expect_matrix(const Place& from, const Place& to, const std::string& address, const MatrixOptions& options) {
  SCOPED_TRACE(fmt::format("from {} to {} ({})", from.name(), to.name(), address));
  const int ip = ip_header(address);
  const int whole = options.mtu - ip - kIcmpOrUdp;
  const int fragmented = 3 * options.mtu;
  const TrafficServer server(to, kPort);
  let_the_other_side_learn(from, endpoint(address, kPort), fragmented);
  expect_ping(from, "-s 1 " + address);
  expect_ping(from, fmt::format("-M do -s {} {}", whole, address));
  expect_ping(from, fmt::format("-s {} {}", fragmented, address));

  const std::string target = "--to " + endpoint(address, kPort) + " ";
  expect_traffic(from, "udp --payload 1 --count 20 " + target);
  expect_traffic(from, fmt::format("udp --pmtu do --count 20 --payload {} {}", whole, target));
  expect_traffic(from, fmt::format("udp --count 5 --payload {} {}", fragmented, target));
  expect_traffic(from, "udp --count 3 --payload 60000 " + target);
  // At most 64 KiB in one piece, of datagrams that pass whole.
  const int segments = std::min(64000 / whole, 40);
  expect_traffic(from, fmt::format("udp --count {0} --gso {0} --payload {1} {2}", segments, whole, target));

  expect_traffic(from, "tcp --payload 1 --up 300 --down 1 " + target);
  expect_traffic(from, fmt::format("tcp --payload {} --up 200000 --down 200000 {}", options.mtu - ip - kTcp, target));
  expect_traffic(from, fmt::format("tcp --payload 65536 --up {0} --down {0} {1}", options.bulk, target));
}

void expect_small_matrix(const Place& from, const Place& to, const std::string& address, int mtu) {
  SCOPED_TRACE(fmt::format("from {} to {} ({})", from.name(), to.name(), address));
  const TrafficServer server(to, kPort);
  let_the_other_side_learn(from, endpoint(address, kPort), 3 * mtu);
  expect_ping(from, fmt::format("-M do -s {} {}", mtu - ip_header(address) - kIcmpOrUdp, address));
  const std::string target = "--to " + endpoint(address, kPort) + " ";
  expect_traffic(from, fmt::format("udp --count 3 --payload {} {}", 3 * mtu, target));
  expect_traffic(from, "tcp --payload 65536 --up 300000 --down 300000 " + target);
}

}  // namespace merino::lab
