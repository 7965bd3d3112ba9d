// One node of stock kernel parts, as flanneld makes it, and two of merino, from the same leases.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <csignal>

#include "lab/lab.h"
#include "lab/matrix.h"
#include "lab/traffic.h"

namespace merino::lab {
namespace {

void expect_full_matrix(std::initializer_list<const Pod*> pods, uint64_t bulk) {
  for (const Pod* from : pods) {
    for (const Pod* to : pods) {
      if (from != to) expect_matrix(*from, *to, to->address(), {1450, bulk});
    }
  }
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
}  // namespace merino::lab
