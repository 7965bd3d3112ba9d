// Underlays that are not the usual one: merino nodes and a stock one; every protocol, every size, and what is plain goes the fast way. And
// pods of one node.
#include "backends_fixture.h"
#include "lab/two_nodes.h"

namespace merino::lab::connectivity_test {
namespace {

struct Case {
  const char* name;
  PodNetwork network;
  Underlay underlay;
  std::string keys{};  // more of the backend's
};

// GoogleTest prints a parameter by this.
void PrintTo(const Case& parameter, std::ostream* out) { *out << parameter.name; }

const Underlay kJumbo{9000, ""};
const Underlay kSmall{1400, ""};
const Underlay kNoSegmentation{1500, "tso off gso off gro on"};

class Underlays : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Of, Underlays,
                         testing::Values(Case{"JumboVxlan", {Backend::vxlan, Families::dual}, kJumbo},
                                         Case{"SmallVxlan", {Backend::vxlan, Families::ipv4}, kSmall},
                                         Case{"NoSegmentationVxlan", {Backend::vxlan, Families::dual}, kNoSegmentation},
                                         Case{"JumboHostGw", {Backend::host_gw, Families::ipv4}, kJumbo},
                                         Case{"NoSegmentationHostGw", {Backend::host_gw, Families::dual}, kNoSegmentation},
                                         Case{"JumboUdp", {Backend::udp, Families::ipv4}, kJumbo},
                                         Case{"NoSegmentationUdp", {Backend::udp, Families::ipv4}, kNoSegmentation}),
                         [](const auto& value) { return value.param.name; });

TEST_P(Underlays, PodsReachEachOther) {
  const PodNetwork network = GetParam().network;
  Lab lab(GetParam().underlay);
  const NodeOptions node{.net_conf = net_conf(network), .before_start = beside_stock(network)};
  Node& a = lab.add_node("a", node);
  Node& b = lab.add_node("b", node);
  StockNode& stock = lab.add_stock_node("stock", {network});
  lab.wait_ready();
  for (const Node* one : {&a, &b}) wait_for_direct_peers(*one, network, 2);
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const Pod& on_stock = stock.add_pod("stock1");
  for (const Family family : each(network.families)) {
    const uint64_t bulk = 10'000'000;
    expect_matrix(on_a, on_b, on_b.address(family), {a.mtu(), bulk});
    expect_matrix(on_a, on_stock, on_stock.address(family), {a.mtu(), bulk});
    expect_matrix(on_stock, on_a, on_a.address(family), {learn_path_mtu(on_stock, on_a.address(family), stock.mtu()), bulk});
    expect_fast(on_a, on_b, on_b.address(family), {&a, &b}, near_way(network.backend));
    expect_fast(on_a, on_stock, on_stock.address(family), {&a}, near_way(network.backend));
  }
}

// The programs know who is on the segment; what the operator says of one of them holds all the same.
TEST(UnderlayRoutes, AreFollowedAsTheyChange) {
  TwoNodes two_nodes;
  auto& [lab, a, b, on_a, on_b] = two_nodes;
  const std::string router = "192.168.88.1";
  const auto passes_router = [&] {
    lab.underlay().must("nft -f -",
                        "table ip seen\ndelete table ip seen\ntable ip seen { chain forward { type filter hook forward priority 0; "
                        "udp dport 8472 counter; }; }");
    on_a.must("ping -c 1 -W 5 " + on_b.address());
    return lab.underlay().must("nft list table ip seen").find("packets 0 ") == std::string::npos;
  };
  const auto expect_router = [&](bool wanted) {
    EXPECT_TRUE(eventually([&] { return passes_router() == wanted; })) << a.must("ip route; ip rule");
    expect_fast(on_a, on_b, on_b.address(), {&a, &b}, Way::tunnel);
  };
  expect_router(false);
  a.must("ip route add " + b.address() + " via " + router);
  expect_router(true);
  a.must("ip route del " + b.address());
  expect_router(false);
  a.must("ip route add default via " + router + " table 77 && ip rule add to " + b.address() + " lookup 77");
  expect_router(true);
  a.must("ip rule del to " + b.address() + " lookup 77");
  expect_router(false);
}

// The kernel keeps a packet until it knows the neighbour's MAC address, and then sends it by the packet's own route, if it has one.
TEST(FirstPacket, OfTheHostWaitsForTheNeighbour) {
  for (const Backend backend : {Backend::vxlan, Backend::host_gw, Backend::udp}) {
    SCOPED_TRACE(to_string(backend));
    const PodNetwork network{backend, Families::ipv4};
    Lab lab;
    Node& a = lab.add_node("a", {.net_conf = net_conf(network)});
    Node& b = lab.add_node("b", {.net_conf = net_conf(network)});
    lab.wait_ready();
    wait_for_direct_peers(a, network, 1);
    const Pod& on_b = b.add_pod("b1");
    for (int round = 0; round < 3; ++round) {
      a.must("ip neigh flush to " + b.address() + " dev eth0");
      EXPECT_TRUE(a.run("ping -c 1 -W 3 " + on_b.address()).ok()) << round;
    }
  }
}

TEST(VniAndPort, AreThoseOfTheConfiguration) {
  Lab lab;
  const NodeOptions node{.net_conf = net_conf({}, R"("VNI": 4242, "Port": 4789)")};
  Node& a = lab.add_node("a", node);
  Node& b = lab.add_node("b", node);
  lab.wait_ready();
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  expect_matrix(on_a, on_b, on_b.address(), {a.mtu()});
  expect_fast(on_a, on_b, on_b.address(), {&a, &b}, Way::tunnel);
  EXPECT_THAT(a.must("ip -d link show merino0"), testing::HasSubstr("dstport 4789"));
}

TEST(SameNode, PodsReachEachOther) {
  Lab lab;
  const PodNetwork network{Backend::vxlan, Families::dual};
  Node& a = lab.add_node("a", {.net_conf = net_conf(network)});
  lab.wait_ready();
  const Pod& one = a.add_pod("a1");
  const Pod& two = a.add_pod("a2");
  for (const Family family : each(network.families)) {
    ASSERT_NE(one.address(family), two.address(family));
    const Counters before = a.counters();
    expect_matrix(one, two, two.address(family), {a.mtu()});
    const Counters counted = a.counters() - before;
    EXPECT_GT(counted[MERINO_LOCAL], 100U) << counted.to_string();
    EXPECT_EQ(counted.fast_for_pods() - counted[MERINO_LOCAL] + counted.dropped(), 0U) << counted.to_string();
  }
}

}  // namespace
}  // namespace merino::lab::connectivity_test
