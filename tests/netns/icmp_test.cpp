// What the network says on the way reaches the pod: traceroute shows every hop, path MTU discovery works, congestion marks come through.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "lab/kube_proxy.h"
#include "lab/lab.h"
#include "lab/matrix.h"
#include "lab/traffic.h"

namespace merino::lab {
namespace {

using testing::HasSubstr;

std::vector<std::string> hops(const Place& from, const std::string& arguments) {
  std::istringstream lines(from.must("traceroute -n -q 1 -w 2 -m 6 " + arguments));
  std::vector<std::string> found;
  std::string line;
  std::getline(lines, line);  // the heading
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string number;
    std::string address;
    words >> number >> address;
    found.push_back(address);
  }
  return found;
}

void expect_route(const Pod& from, const Machine& near, const Machine& far, const Pod& to) {
  const TrafficServer server(to, 7300);  // for TCP: the last hop answers a SYN
  for (const std::string kind : {"-U", "-I", "-T -p 7300"}) {
    SCOPED_TRACE(fmt::format("traceroute {} from {} to {}", kind, from.name(), to.name()));
    const auto found = hops(from, kind + " " + to.address());
    ASSERT_EQ(found.size(), 3U) << testing::PrintToString(found);
    EXPECT_THAT(near.must("ip -o -4 addr"), HasSubstr(" " + found[0] + "/"));
    EXPECT_THAT(far.must("ip -o -4 addr"), HasSubstr(" " + found[1] + "/"));
    EXPECT_EQ(found[2], to.address());
  }
}

TEST(TimeExceeded, ShowsBothNodes) {
  Lab lab;
  Node& a = lab.add_node("a");
  Node& b = lab.add_node("b");
  lab.wait_ready();
  expect_route(a.add_pod("a1"), a, b, b.add_pod("b1"));
}

TEST(TimeExceeded, ShowsBothNodesBesideAStockNode) {
  Lab lab;
  Node& ours = lab.add_node("ours");
  StockNode& stock = lab.add_stock_node("stock");
  lab.wait_ready();
  const Pod& on_ours = ours.add_pod("ours1");
  const Pod& on_stock = stock.add_pod("stock1");
  expect_route(on_ours, ours, stock, on_stock);
  expect_route(on_stock, stock, ours, on_ours);
}

TEST(FragmentationNeeded, FromTheOutsideReachesThePod) {
  Lab lab;
  Node& a = lab.add_node("a");
  const Machine& outside = lab.add_host("outside", Segment::lan1);
  lab.underlay().ip_batch("link set lan1 mtu 1300\n");
  lab.wait_ready();
  const Pod& pod = a.add_pod("a1");
  const Output big = pod.run("ping -n -c 2 -i 0.05 -W 1 -M do -s 1400 " + outside.address());
  EXPECT_THAT(big.out + big.err, HasSubstr("1300"));
  EXPECT_THAT(pod.must("ip route get " + outside.address()), HasSubstr("mtu 1300"));

  const TrafficServer server(outside, 7300);
  const TrafficResult tcp = traffic(pod, "tcp --up 2000000 --down 2000000 --to " + outside.address() + ":7300");
  EXPECT_TRUE(tcp.ok) << tcp.line;
  EXPECT_LE(tcp.mss, 1300U - 40U) << tcp.line;
}

// A pod whose MTU is set higher than the network's learns from its node what fits.
TEST(FragmentationNeeded, FromTheNodeReachesThePod) {
  Lab lab;
  Node& a = lab.add_node("a");
  Node& b = lab.add_node("b");
  lab.wait_ready();
  const Pod& pod = a.add_pod("a1");
  const Pod& remote = b.add_pod("b1");
  a.must("for link in $(ip -o link show type veth | grep -o 'mr[0-9a-f]*'); do ip link set $link mtu 1500; done");
  pod.must("ip link set eth0 mtu 1500");
  const Output big = pod.run("ping -n -c 2 -i 0.05 -W 1 -M do -s 1450 " + remote.address());
  EXPECT_THAT(big.out + big.err, HasSubstr("1450"));
  EXPECT_THAT(pod.must("ip route get " + remote.address()), HasSubstr("mtu 1450"));

  pod.must("ip route flush cache");
  const TrafficServer server(remote, 7300);
  const TrafficResult refused = traffic(pod, "udp --pmtu do --payload 1472 --count 2 --timeout 300 --to " + remote.address() + ":7300");
  EXPECT_THAT(refused.line, HasSubstr("Message too long"));
  EXPECT_GT(a.counters()[MERINO_MTU], 0U);
  const TrafficResult cut = traffic(pod, "udp --payload 1472 --count 5 --to " + remote.address() + ":7300");
  EXPECT_TRUE(cut.ok) << "without DF the stack cuts it: " << cut.line;
}

// A router between the nodes with a smaller MTU cuts the tunnel packets (they carry no DF); the stack puts them together again.
TEST(Underlay, SmallerMtuBetweenNodes) {
  Lab lab;
  Node& a = lab.add_node("a");
  Node& b = lab.add_node("b", {}, Segment::lan1);
  StockNode& stock = lab.add_stock_node("stock", Segment::lan1);
  lab.underlay().ip_batch("link set lan1 mtu 1300\n");
  for (const Machine* machine : {static_cast<const Machine*>(&b), static_cast<const Machine*>(&stock)}) {
    machine->must("ip route replace default via 192.168.89.1 dev eth0 mtu lock 1300");
  }
  lab.wait_ready();
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const Pod& on_stock = stock.add_pod("stock1");
  const MatrixOptions options{1450, 1'000'000};
  expect_matrix(on_a, on_b, on_b.address(), options);
  expect_matrix(on_b, on_a, on_a.address(), options);
  expect_matrix(on_a, on_stock, on_stock.address(), options);
  expect_matrix(on_stock, on_a, on_a.address(), options);
}

// The underlay marks congestion in the outer header of some packets; the pod sees it in its own, and no packet is lost for it, although a
// host with kube-proxy drops what conntrack finds invalid.
TEST(Underlay, CongestionMarksReachThePod) {
  for (const char* offloads : {"", "tso off gso off gro on"}) {
    Lab lab({1500, offloads});
    Node& a = lab.add_node("a");
    Node& b = lab.add_node("b");
    lab.wait_ready();
    const Pod& on_a = a.add_pod("a1");
    const Pod& on_b = b.add_pod("b1");
    for (const Pod* pod : {&on_a, &on_b}) pod->must("sysctl -qw net.ipv4.tcp_ecn=1");
    for (const Node* node : {&a, &b}) install_kube_proxy(*node, {});
    lab.underlay().must("nft -f -",
                        "table bridge marking {\n chain forward {\n  type filter hook forward priority 0;\n"
                        "  ip protocol udp ip ecn ect0 numgen inc mod 5 == 0 ip ecn set ce\n }\n}\n");
    const TrafficServer server(on_b, 7300);
    const TrafficResult tcp = traffic(on_a, "tcp --up 5000000 --down 5000000 --to " + on_b.address() + ":7300");
    lab.underlay().must("nft delete table bridge marking");
    EXPECT_TRUE(tcp.ok) << tcp.line;
    for (const Pod* pod : {&on_a, &on_b}) {
      EXPECT_GT(std::stoull("0" + pod->must("nstat -asz IpExtInCEPkts | awk '/CEPkts/ {print $2}'")), 5U) << pod->name() << " " << offloads;
    }
    EXPECT_GT(b.counters()[MERINO_ECN], 0U) << b.counters().to_string();
    EXPECT_EQ(b.must("iptables -nvxL KUBE-FORWARD | awk '/INVALID/ {print $1}'"), "0\n") << b.counters().to_string();
  }
}

}  // namespace
}  // namespace merino::lab
