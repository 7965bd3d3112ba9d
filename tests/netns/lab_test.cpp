// The harness itself, and what the other tests take for granted: nodes of stock kernel parts reach each other.
#include "lab/lab.h"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "lab/matrix.h"
#include "lab/traffic.h"

namespace merino::lab::lab_test {
namespace {

using testing::HasSubstr;

class StockNodes : public testing::TestWithParam<PodNetwork> {};
INSTANTIATE_TEST_SUITE_P(Network, StockNodes,
                         testing::Values(PodNetwork{Backend::vxlan, Families::ipv4}, PodNetwork{Backend::vxlan, Families::ipv6},
                                         PodNetwork{Backend::vxlan, Families::dual}, PodNetwork{Backend::direct_routing, Families::dual},
                                         PodNetwork{Backend::host_gw, Families::dual}, PodNetwork{Backend::udp, Families::ipv4}),
                         [](const auto& value) { return to_string(value.param); });

TEST_P(StockNodes, ReachEachOther) {
  Lab lab;
  StockNode& a = lab.add_stock_node("a", {GetParam()});
  StockNode& b = lab.add_stock_node("b", {GetParam()});
  StockNode& far = lab.add_stock_node("far", {GetParam()}, Segment::lan1);
  lab.wait_ready();
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const Pod& on_far = far.add_pod("far1");
  for (const Family family : each(GetParam().families)) {
    EXPECT_EQ(on_a.address(family), family == Family::v4 ? "10.244.200.2" : "fd10:244:0:c8::2");
    expect_matrix(on_a, on_b, on_b.address(family), {learn_path_mtu(on_a, on_b.address(family), a.mtu()), 1'000'000});
    if (GetParam().backend == Backend::host_gw) continue;  // not without a tunnel
    expect_matrix(on_far, on_a, on_a.address(family), {learn_path_mtu(on_far, on_a.address(family), a.mtu()), 1'000'000});
    const TrafficServer server(on_far, 7000);
    EXPECT_EQ(traffic(on_a, "tcp --to " + endpoint(on_far.address(family), 7000)).seen_as, on_a.address(family));
  }
}

// The way is what the backend says, and not another that happens to work.
TEST(StockNodesWay, IsThatOfTheBackend) {
  Lab lab;
  StockNode& near = lab.add_stock_node("near", {{Backend::direct_routing, Families::dual}});
  StockNode& a = lab.add_stock_node("a", {{Backend::direct_routing, Families::dual}});
  StockNode& far = lab.add_stock_node("far", {{Backend::direct_routing, Families::dual}}, Segment::lan1);
  lab.wait_ready();
  for (const Family family : {Family::v4, Family::v6}) {
    EXPECT_THAT(a.must("ip route get " + near.add_pod(std::string("near") + to_string(family)).address(family)), HasSubstr("dev eth0"));
    EXPECT_THAT(a.must("ip route get " + far.add_pod(std::string("far") + to_string(family)).address(family)), HasSubstr("dev flannel"));
  }
  EXPECT_THAT(a.read("/run/flannel/subnet.env"),
              HasSubstr("FLANNEL_IPV6_NETWORK=fd10:244::/48\nFLANNEL_IPV6_SUBNET=fd10:244:0:c9::1/64\n"));
  EXPECT_THAT(
      a.read(lab.lease_dir() + "/subnets/10.244.201.0-24&fd10:244:0:c9::-64"),
      HasSubstr(R"({"PublicIP":"192.168.88.12","PublicIPv6":"fd00:88::12","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":")"));
}

TEST(StockUdp, TakesFromTheTtlAtBothEndsAndRefusesWhatHasNoRoute) {
  Lab lab;
  StockNode& a = lab.add_stock_node("a", {{Backend::udp}});
  StockNode& b = lab.add_stock_node("b", {{Backend::udp}});
  lab.wait_ready();
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  // Node, proxy, proxy, node: four hops to the pod, and nobody says so of the two proxies.
  EXPECT_TRUE(ping(on_a, "-c 1 -t 5 " + on_b.address()).all());
  EXPECT_FALSE(ping(on_a, "-c 1 -W 0.3 -t 4 " + on_b.address()).all());
  const auto refused = [&] { return std::stoi(a.read("/sys/class/net/flannel0/statistics/rx_packets")); };
  const int before = refused();
  ping(on_a, "-c 1 -W 0.1 10.244.77.1");
  EXPECT_TRUE(eventually([&] { return refused() == before + 1; })) << "the kernel takes no answer that claims its own address";
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
  for (const Family family : {Family::v4, Family::v6}) EXPECT_TRUE(ping(a, "-c 1 " + b.address(family)).all()) << "routed segments";
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
  EXPECT_TRUE(traffic(a, "udp --to " + endpoint(b.address(Family::v6), 7000) + " --payload 1400 --count 40 --gso 40").ok);
  b.must("iptables -A INPUT -p udp -m statistic --mode nth --every 2 --packet 0 -j DROP");
  const TrafficResult lossy = traffic(a, "udp --to " + b.address() + ":7000 --payload 100 --count 4 --timeout 50");
  EXPECT_FALSE(lossy.ok);
  EXPECT_EQ(lossy.lost, 2U) << lossy.line;
}

// Traffic whose process stands still for a while.
TrafficResult held_up(const Place& where, const std::string& arguments) {
  Process traffic = start_traffic(where, arguments);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  traffic.signal(SIGSTOP);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  traffic.signal(SIGCONT);
  std::this_thread::sleep_for(std::chrono::milliseconds(800));
  traffic.signal(SIGTERM);
  traffic.wait();
  return traffic_result(traffic);
}

TEST(Harness, TrafficThatWasHeldUpLosesNothing) {
  Lab lab;
  Machine& a = lab.add_host("a");
  Machine& b = lab.add_host("b");
  const TrafficServer server(b, 7000);
  for (const Family family : {Family::v4, Family::v6}) {
    ASSERT_TRUE(ping(a, "-c 1 " + b.address(family)).all());
    const std::string udp = fmt::format("udp --until-signal 1 --interval-us 1 --payload 1000 --to {}", endpoint(b.address(family), 7000));
    for (const std::string& arguments : {"ping --until-signal 1 --interval-us 100 --to " + b.address(family), udp}) {
      const TrafficResult result = held_up(a, arguments);
      EXPECT_TRUE(result.ok) << arguments << ": " << result.line;
      EXPECT_GT(result.sent, 1U) << arguments << ": " << result.line;
    }
  }
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
}  // namespace merino::lab::lab_test
