// The harness itself, and what the other tests take for granted: two nodes of stock kernel parts reach each other.
#include "lab/lab.h"

#include <gtest/gtest.h>

#include "lab/traffic.h"

namespace merino::lab {
namespace {

TEST(Harness, StockNodesReachEachOther) {
  Lab lab;
  StockNode& a = lab.add_stock_node("a");
  StockNode& b = lab.add_stock_node("b");
  lab.wait_ready();
  Pod& on_a = a.add_pod("a1");
  Pod& on_b = b.add_pod("b1");
  EXPECT_EQ(on_a.address(), "10.244.200.2");

  const TrafficServer server(on_b, 7000);
  EXPECT_TRUE(ping(on_a, "-c 2 -i 0.01 " + on_b.address()).all());
  const TrafficResult tcp = traffic(on_a, "tcp --to " + on_b.address() + ":7000 --up 5000000 --down 5000000");
  EXPECT_TRUE(tcp.ok) << tcp.line;
  EXPECT_EQ(tcp.seen_as, on_a.address());
  const TrafficResult udp = traffic(on_a, "udp --to " + on_b.address() + ":7000 --payload 5000 --count 10");
  EXPECT_TRUE(udp.ok) << udp.line;
}

TEST(Harness, MachinesAreApart) {
  Lab lab;
  Machine& a = lab.add_host("a");
  Machine& b = lab.add_host("b", Segment::lan1);
  a.write("/etc/kube-flannel/net-conf.json", "of a");
  a.write("/run/flannel/subnet.env", "of a");
  EXPECT_EQ(a.read("/etc/kube-flannel/net-conf.json"), "of a");
  EXPECT_FALSE(b.run("cat /etc/kube-flannel/net-conf.json").ok());
  EXPECT_FALSE(b.run("cat /run/flannel/subnet.env").ok());
  EXPECT_FALSE(lab.underlay().run("cat /etc/kube-flannel/net-conf.json").ok());
  EXPECT_TRUE(ping(a, "-c 1 " + b.address()).all()) << "the two segments are routed";
}

TEST(Harness, TrafficSeesWhatIsWrong) {
  Lab lab;
  Machine& a = lab.add_host("a");
  Machine& b = lab.add_host("b");
  EXPECT_FALSE(traffic(a, "tcp --to " + b.address() + ":7000 --timeout 300").ok) << "nobody listens";
  const TrafficServer server(b, 7000);
  EXPECT_TRUE(traffic(a, "tcp --to " + b.address() + ":7000").ok);
  EXPECT_TRUE(traffic(a, "udp --to " + b.address() + ":7000 --payload 1 --count 3").ok);
  EXPECT_TRUE(traffic(a, "udp --to " + b.address() + ":7000 --payload 1400 --count 40 --gso 40").ok);
  b.must("iptables -A INPUT -p udp -m statistic --mode nth --every 2 --packet 0 -j DROP");
  const TrafficResult lossy = traffic(a, "udp --to " + b.address() + ":7000 --payload 100 --count 4 --timeout 50");
  EXPECT_FALSE(lossy.ok);
  EXPECT_EQ(lossy.lost, 2U) << lossy.line;
}

TEST(Harness, FailuresSayWhatWasPrinted) {
  Lab lab;
  Machine& a = lab.add_host("a");
  try {
    a.must("echo the cause >&2; exit 3");
    FAIL() << "no failure";
  } catch (const Failure& failure) {
    EXPECT_NE(std::string(failure.what()).find("the cause"), std::string::npos) << failure.what();
  }
  EXPECT_THROW((void)a.run("sleep 5", "", std::chrono::milliseconds(50)), Failure);
}

}  // namespace
}  // namespace merino::lab
