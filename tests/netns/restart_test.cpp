// The agent may die and come back at any time: no packet is lost and nothing changes.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "lab/lab.h"
#include "lab/traffic.h"

namespace merino::lab {
namespace {

constexpr const char* kPingCount = "3000";

// Everything of a node that must not change.
std::string state(const Node& node) {
  return node.must(
      "cat /run/flannel/subnet.env; ip -o link show merino0; ip -o -4 addr show merino0; ip route; nft -s list table ip merino; "
      "for map in pods peers nodes network; do bpftool map show pinned /sys/fs/bpf/merino/$map | head -1; "
      "bpftool map dump pinned /sys/fs/bpf/merino/$map; done; "
      "ls /sys/fs/bpf/merino/links; for program in /sys/fs/bpf/merino/programs/*; do bpftool prog show pinned $program | head -1; done");
}

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
  const TrafficServer server(on_b, 7500);
  const TrafficServer stock_server(on_stock, 7500);
  ASSERT_TRUE(ping(on_a, "-c 1 " + on_b.address()).all());
  const std::string before = state(a);
  const Process monitor = a.start("exec ip -ts monitor link address route rule");
  const Process rules_monitor = a.start("exec nft monitor");

  Process pings = on_a.start(fmt::format("exec ping -n -q -i 0.001 -c {} {}", kPingCount, on_b.address()));
  Process udp = start_traffic(on_a, fmt::format("udp --interval-us 1000 --count {} --payload 200 --to {}:7500", kPingCount, on_b.address()));
  Process stock_udp = start_traffic(on_a, fmt::format("udp --interval-us 1000 --count {} --payload 200 --to {}:7500", kPingCount, on_stock.address()));
  Process tcp = start_traffic(on_a, fmt::format("tcp --interval-us 1000 --payload 1000 --up 3000000 --to {}:7500", on_b.address()));

  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  a.agent().signal(GetParam());
  b.agent().signal(GetParam());
  EXPECT_EQ(a.agent().wait(), GetParam() == SIGKILL ? 128 + SIGKILL : 0);
  b.agent().wait();
  EXPECT_EQ(state(a), before) << "with the agent down";
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  a.start_agent();
  b.start_agent();
  lab.wait_ready();

  pings.wait();
  udp.wait();
  stock_udp.wait();
  tcp.wait();
  const PingResult ping_loss = ping_result(pings.log());
  const TrafficResult udp_loss = traffic_result(udp);
  const TrafficResult stock_loss = traffic_result(stock_udp);
  const TrafficResult stream = traffic_result(tcp);
  fmt::print("signal {}: ping {} of {} lost; UDP {} of {} lost, longest gap {} us; to the stock node {} of {} lost; TCP stream whole: {}, {} retransmits\n",
             GetParam(), ping_loss.sent - ping_loss.received, ping_loss.sent, udp_loss.lost, udp_loss.sent, udp_loss.longest_gap_us, stock_loss.lost,
             stock_loss.sent, stream.ok, stream.retransmits);
  EXPECT_TRUE(ping_loss.all()) << ping_loss.text;
  EXPECT_TRUE(udp_loss.ok) << udp_loss.line;
  EXPECT_TRUE(stock_loss.ok) << stock_loss.line;
  EXPECT_TRUE(stream.ok) << stream.line;

  EXPECT_EQ(state(a), before) << "after the restart";
  EXPECT_EQ(monitor.log(), "") << "links, addresses, routes";
  EXPECT_EQ(rules_monitor.log(), "") << "rules";
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
}  // namespace merino::lab
