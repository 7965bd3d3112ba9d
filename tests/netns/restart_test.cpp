// The agent may die and come back at any time: no packet is lost and nothing changes.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <csignal>
#include <thread>

#include "lab/lab.h"
#include "lab/traffic.h"

namespace merino::lab {
namespace {

// Everything of a node that must not change.
std::string state(const Node& node) {
  return node.must(
      "cat /run/flannel/subnet.env; ip -o link show merino0; ip -o -4 addr show merino0; ip route; nft -s list table ip merino; "
      "for map in pods peers nodes network; do bpftool map show pinned /sys/fs/bpf/merino/$map | head -1; "
      "bpftool map dump pinned /sys/fs/bpf/merino/$map; done; "
      "ls /sys/fs/bpf/merino/links; for program in /sys/fs/bpf/merino/programs/*; do bpftool prog show pinned $program | head -1; done");
}

// A 1 ms ping, requests and answers over UDP at the same pace to a merino node and to a stock one, and a paced TCP stream.
class Load {
 public:
  Load(const Pod& from, const Pod& to, const Pod& stock)
      : to_server_(to, kPort),
        stock_server_(stock, kPort),
        ping_(from.start("exec ping -n -q -i 0.001 " + to.address())),
        udp_(start_traffic(from, kUdp + target(to))),
        stock_udp_(start_traffic(from, kUdp + target(stock))),
        tcp_(start_traffic(from, "tcp --until-signal 1 --interval-us 1000 --payload 1000 " + target(to))) {}

  // Ends it, prints what was lost, and fails the test if anything was.
  void expect_whole(const std::string& event) {
    for (Process* process : {&ping_, &udp_, &stock_udp_, &tcp_}) EXPECT_TRUE(process->running()) << process->log();
    ping_.signal(SIGINT);
    for (Process* process : {&udp_, &stock_udp_, &tcp_}) process->signal(SIGTERM);
    for (Process* process : {&ping_, &udp_, &stock_udp_, &tcp_}) process->wait();
    const PingResult pings = ping_result(ping_.log());
    const TrafficResult udp = traffic_result(udp_);
    const TrafficResult stock = traffic_result(stock_udp_);
    const TrafficResult tcp = traffic_result(tcp_);
    fmt::print(
        "{}: ping {} of {} lost; UDP {} of {} lost, longest gap {} us; UDP to the stock node {} of {} lost; TCP {} bytes, {}, {} "
        "retransmits\n",
        event, pings.sent - pings.received, pings.sent, udp.lost, udp.sent, udp.longest_gap_us, stock.lost, stock.sent, tcp.sent,
        tcp.ok ? "whole" : "damaged", tcp.retransmits);
    // A signal can come between a request and its answer.
    EXPECT_LE(pings.sent - pings.received, 1U) << pings.text;
    EXPECT_GT(pings.received, 100U) << pings.text;
    EXPECT_TRUE(udp.ok) << udp.line;
    EXPECT_TRUE(stock.ok) << stock.line;
    EXPECT_TRUE(tcp.ok) << tcp.line;
  }

 private:
  static constexpr int kPort = 7500;
  inline static const std::string kUdp = "udp --until-signal 1 --interval-us 1000 --payload 200 ";
  static std::string target(const Pod& pod) { return fmt::format("--to {}:{}", pod.address(), kPort); }

  TrafficServer to_server_;
  TrafficServer stock_server_;
  Process ping_;
  Process udp_;
  Process stock_udp_;
  Process tcp_;
};

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

  Load load(on_a, on_b, on_stock);
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
  load.expect_whole(GetParam() == SIGKILL ? "SIGKILL" : "SIGTERM");

  EXPECT_EQ(state(a), before) << "after the restart";
  EXPECT_EQ(monitor.log(), "") << "links, addresses, routes";
  EXPECT_EQ(rules_monitor.log(), "") << "rules";
}

// Another configuration means other programs: they are swapped under the traffic.
TEST(Reload, LosesNothing) {
  Lab lab;
  Node& a = lab.add_node("a");
  Node& b = lab.add_node("b");
  StockNode& stock = lab.add_stock_node("stock");
  lab.wait_ready();
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const Pod& on_stock = stock.add_pod("stock1");
  Load load(on_a, on_b, on_stock);
  pause();
  for (const char* fast_path : {"false", "true"}) {
    a.write("/etc/kube-flannel/net-conf.json",
            fmt::format(R"({{"Network": "10.244.0.0/16", "Backend": {{"Type": "vxlan", "FastPath": {}}}}})", fast_path));
    a.agent().signal(SIGTERM);
    a.agent().wait();
    a.start_agent();
    lab.wait_ready();
    pause();
    if (std::string(fast_path) == "false") {
      EXPECT_GT(a.counters()[MERINO_FAST_PATH_OFF], 0U);
    }
  }
  const uint64_t encapsulated = a.counters()[MERINO_ENCAP];
  EXPECT_TRUE(eventually([&] { return a.counters()[MERINO_ENCAP] > encapsulated; })) << "fast again";
  load.expect_whole("programs swapped twice");
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
