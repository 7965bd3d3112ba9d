// The agent may die and come back at any time: no packet is lost and nothing changes.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "lab/lab.h"
#include "lab/load.h"
#include "lab/traffic.h"
#include "lab/two_nodes.h"

namespace merino::lab::restart_test {
namespace {

// Everything of a node that must not change.
std::string state(const Node& node) {
  return node.must(
      "cat /run/flannel/subnet.env; ip -o link show merino0; ip -o -4 addr show merino0; ip route; nft -s list table ip merino; "
      "for map in pods peers nodes network; do bpftool map show pinned /sys/fs/bpf/merino/$map | head -1; "
      "bpftool map dump pinned /sys/fs/bpf/merino/$map; done; "
      "ls /sys/fs/bpf/merino/links; for program in /sys/fs/bpf/merino/programs/*; do bpftool prog show pinned $program | head -1; done");
}

void pause() { std::this_thread::sleep_for(std::chrono::milliseconds(400)); }

class Restart : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Signal, Restart, testing::Values(SIGKILL, SIGTERM),
                         [](const auto& value) { return value.param == SIGKILL ? "Kill" : "Terminate"; });

TEST_P(Restart, LosesNothing) {
  Lab lab;
  Node& a = lab.add_node("a");
  Node& b = lab.add_node("b");
  StockNode& stock = lab.add_stock_node("stock");
  lab.wait_ready();
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const Pod& on_stock = stock.add_pod("stock1");
  ASSERT_TRUE(ping(on_a, "-c 1 " + on_b.address()).all());
  // The kernel's own events, not the agent's: IPv6 addresses of new links become usable a second or two later.
  ASSERT_TRUE(eventually([&] { return a.must("ip -6 addr show tentative").empty(); }));
  const std::string before = state(a);
  const Process monitor = a.start("exec ip -ts monitor link address route rule");
  const Process rules_monitor = a.start("exec nft monitor");

  Load load(on_a, on_b, on_b.address(), 7500, Requests::many);
  Load stock_load(on_a, on_stock, on_stock.address());
  pause();
  a.agent().signal(GetParam());
  b.agent().signal(GetParam());
  EXPECT_EQ(a.agent().wait(), GetParam() == SIGKILL ? 128 + SIGKILL : 0);
  b.agent().wait();
  EXPECT_EQ(state(a), before) << "with the agent down";
  pause();
  a.start_agent();
  b.start_agent();
  lab.wait_ready();
  pause();
  for (Load* one : {&load, &stock_load}) one->expect_whole(GetParam() == SIGKILL ? "SIGKILL" : "SIGTERM");

  EXPECT_EQ(state(a), before) << "after the restart";
  EXPECT_EQ(monitor.log(), "") << "links, addresses, routes";
  EXPECT_EQ(rules_monitor.log(), "") << "rules";
}

// Other programs take the place of those that run, and the maps stay.
TEST(Reload, OfAnotherConfigurationLosesNothing) {
  TwoNodes two_nodes;
  auto& [lab, a, b, on_a, on_b] = two_nodes;
  ASSERT_TRUE(ping(on_a, "-c 1 " + on_b.address()).all());
  Load load(on_a, on_b, on_b.address(), 7500, Requests::many);
  for (const bool fast : {false, true}) {
    for (Node* node : {&a, &b}) {
      node->write("/etc/kube-flannel/net-conf.json", net_conf({}, fmt::format(R"("FastPath": {})", fast)));
      node->agent().signal(SIGTERM);
      EXPECT_EQ(node->agent().wait(), 0);
      node->start_agent();
      node->wait_ready();
    }
    const Counters before = a.counters();
    pause();
    const uint64_t on_the_fast_path = (a.counters() - before)[MERINO_ENCAP];
    EXPECT_EQ(on_the_fast_path > 0, fast) << (a.counters() - before).to_string();
  }
  load.expect_whole("another configuration");
}

// Pods come and go while the agent is down.
TEST(AgentDown, PodsComeAndGo) {
  Lab lab;
  Node& a = lab.add_node("a");
  Node& b = lab.add_node("b");
  lab.wait_ready();
  Pod& old = a.add_pod("old");
  const Pod& on_b = b.add_pod("b1");
  a.agent().kill();
  Pod& fresh = a.add_pod("fresh");
  old.remove();
  EXPECT_TRUE(ping(fresh, "-c 2 -i 0.01 " + on_b.address()).all());
  EXPECT_TRUE(ping(on_b, "-c 2 -i 0.01 " + fresh.address()).all());
  EXPECT_FALSE(ping(on_b, "-c 1 -W 1 " + old.address()).all()) << "deleted";
  const Counters before = a.counters();
  const TrafficServer server(on_b, 7500);
  const TrafficResult tcp = traffic(fresh, "tcp --up 1000000 --down 1000000 --to " + on_b.address() + ":7500");
  EXPECT_TRUE(tcp.ok) << tcp.line;
  EXPECT_GT((a.counters() - before)[MERINO_ENCAP], 10U);
  a.start_agent();
  a.wait_ready();
  EXPECT_TRUE(ping(fresh, "-c 2 -i 0.01 " + on_b.address()).all());
}

}  // namespace
}  // namespace merino::lab::restart_test
