// One node of stock kernel parts, as flanneld makes it, and two of merino, from the same leases.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <csignal>

#include "lab/lab.h"
#include "lab/matrix.h"
#include "lab/traffic.h"

namespace merino::lab::interop_test {
namespace {

void expect_full_matrix(std::initializer_list<const Pod*> pods, uint64_t bulk) {
  for (const Pod* from : pods) {
    for (const Pod* to : pods) {
      if (from != to) expect_matrix(*from, *to, to->address(), {1450, bulk});
    }
  }
}

// A third of what it would take in segments that fit the MTU.
void expect_large_packets(const Node& node, const Pod& from, const Pod& to, std::initializer_list<merino_reason> reasons) {
  SCOPED_TRACE(from.name() + " to " + to.name());
  constexpr uint64_t kBytes = 20'000'000;
  const TrafficServer server(to, 7400);
  const Counters before = node.counters();
  const TrafficResult sent = traffic(from, fmt::format("tcp --payload 65536 --up {} --down 1 --to {}:7400", kBytes, to.address()));
  EXPECT_TRUE(sent.ok) << sent.line;
  const Counters counted = node.counters() - before;
  EXPECT_GT(counted.sum(reasons), 0U) << counted.to_string();
  EXPECT_LT(counted.sum(reasons), kBytes / 1398 / 3) << counted.to_string();
}

TEST(Interop, ThreeNodesAndTheRestartOfEach) {
  Lab lab;
  Node& a = lab.add_node("a");
  Node& b = lab.add_node("b");
  StockNode& stock = lab.add_stock_node("stock");
  lab.wait_ready();
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const Pod& on_stock = stock.add_pod("stock1");
  // In packets of 64 KiB where the devices can.
  expect_full_matrix({&on_a, &on_b, &on_stock}, 20'000'000);

  expect_large_packets(a, on_a, on_stock, {MERINO_ENCAP});
  expect_large_packets(a, on_stock, on_a, {MERINO_AGGREGATE, MERINO_DECAP});
  expect_large_packets(a, on_a, on_b, {MERINO_ENCAP});
  expect_large_packets(a, on_b, on_a, {MERINO_AGGREGATE, MERINO_DECAP});

  const std::pair<Node&, int> restarts[] = {{a, SIGTERM}, {b, SIGKILL}};
  for (const auto& [node, signal] : restarts) {
    SCOPED_TRACE("restart of " + node.name());
    node.agent().signal(signal);
    node.agent().wait();
    node.start_agent();
    lab.wait_ready();
    expect_full_matrix({&on_a, &on_b, &on_stock}, 1'000'000);
  }
  {
    SCOPED_TRACE("flannel's device made anew");
    stock.make_device_anew();
    lab.wait_ready();
    expect_full_matrix({&on_a, &on_b, &on_stock}, 1'000'000);
  }
  EXPECT_EQ(a.counters().dropped() + b.counters().dropped(), 0U) << a.counters().to_string() << b.counters().to_string();
}

}  // namespace
}  // namespace merino::lab::interop_test
