// What the network says on the way reaches the pod: traceroute shows every hop, path MTU discovery works, congestion marks come through.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "lab/kube_proxy.h"
#include "lab/lab.h"
#include "lab/matrix.h"
#include "lab/traffic.h"

namespace merino::lab::icmp_test {
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

// A router between the nodes with a smaller MTU cuts the tunnel packets (they carry no DF); the stack puts them together again.
TEST(Underlay, SmallerMtuBetweenNodes) {
  Lab lab;
  Node& a = lab.add_node("a");
  Node& b = lab.add_node("b", {}, Segment::lan1);
  StockNode& stock = lab.add_stock_node("stock", {}, Segment::lan1);
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
}  // namespace merino::lab::icmp_test
