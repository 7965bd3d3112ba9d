// Every backend with every address family that it has: pods on merino nodes, one of them with a subnet of another length, and on a node as
// flannel makes it; on one segment and behind a router; every protocol in every size, and the fast path for what is plain.
#include "backends_fixture.h"

namespace merino::lab::backends_test {
namespace {

class Backends : public testing::TestWithParam<PodNetwork> {
 protected:
  [[nodiscard]] static Backend backend() { return GetParam().backend; }
  [[nodiscard]] static std::vector<Family> families() { return each(GetParam().families); }
  [[nodiscard]] static NodeOptions node(const std::string& top = "") {
    return {.net_conf = net_conf(GetParam(), "", top), .before_start = beside_stock(GetParam())};
  }
};
INSTANTIATE_TEST_SUITE_P(Network, Backends, kAllNetworks, network_name);

TEST_P(Backends, PodsReachEachOther) {
  Lab lab;
  Node& a = lab.add_node("a", node());
  Node& b = lab.add_node("b", node(R"("SubnetLen": 26, "IPv6SubnetLen": 72)"));
  StockNode& stock = lab.add_stock_node("stock", {GetParam()});
  Node* far = backend() == Backend::host_gw ? nullptr : &lab.add_node("far", node(), Segment::lan1);
  lab.wait_ready();
  for (const Node* one : {&a, &b}) wait_for_direct_peers(*one, GetParam(), 2);
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const Pod& on_stock = stock.add_pod("stock1");
  const Pod* on_far = far == nullptr ? nullptr : &far->add_pod("far1");

  for (const Family family : families()) {
    EXPECT_EQ(b.prefix(family).length(), family == Family::v4 ? 26 : 72);
    const auto matrix = [&](const Pod& from, const Pod& to) {
      const int mtu = &from == &on_stock ? learn_path_mtu(from, to.address(family), stock.mtu()) : a.mtu();
      expect_matrix(from, to, to.address(family), {mtu, 1'000'000});
    };
    const auto both_ways = [&](const Pod& one, const Pod& other) {
      matrix(one, other);
      matrix(other, one);
    };
    both_ways(on_a, on_b);
    both_ways(on_a, on_stock);
    both_ways(on_b, on_stock);
    expect_fast(on_a, on_b, on_b.address(family), {&a, &b}, near_way(backend()));
    expect_fast(on_a, on_stock, on_stock.address(family), {&a}, near_way(backend()));
    if (far == nullptr) continue;
    both_ways(on_far[0], on_a);
    both_ways(on_far[0], on_stock);
    expect_fast(on_far[0], on_a, on_a.address(family), {far, &a}, Way::tunnel);
  }
  for (const Node* one : {&a, &b}) EXPECT_EQ(one->counters().dropped(), 0U) << one->counters().to_string();
}

// What pods are told fits into the uplink's packets with all headers of the backend.
TEST_P(Backends, PodsGetTheMtuThatFits) {
  Lab lab;
  Node& a = lab.add_node("a", node());
  lab.wait_ready();
  const bool tunnel = backend() == Backend::vxlan || backend() == Backend::direct_routing;
  const int headers = backend() == Backend::udp ? 28 : !tunnel ? 0 : has(GetParam().families, Family::v6) ? 70 : 50;
  EXPECT_EQ(a.mtu(), 1500 - headers);
  const Pod& pod = a.add_pod("a1");
  EXPECT_THAT(pod.must("ip link show eth0"), testing::HasSubstr(fmt::format("mtu {} ", 1500 - headers)));
  for (const Family family : {Family::v4, Family::v6}) EXPECT_EQ(pod.address(family).empty(), !has(GetParam().families, family));
}

// A node's own addresses, in the underlay and in the pod network.
TEST_P(Backends, HostsAndPodsReachEachOther) {
  constexpr const char* kStrict =
      "sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1";
  Lab lab;
  NodeOptions options = node();
  options.before_start += kStrict;
  Node& a = lab.add_node("a", options);
  Node& b = lab.add_node("b", options);
  StockNode& stock = lab.add_stock_node("stock", {GetParam()});
  lab.wait_ready();
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const Pod& on_stock = stock.add_pod("stock1");
  for (const Family family : families()) {
    const auto reaches = [&](const Place& from, const Place& to, const std::string& address) {
      expect_small_matrix(from, to, address, a.mtu());
    };
    reaches(on_a, a, a.gateway(family));
    reaches(on_a, a, a.address(family));
    reaches(on_a, b, b.subnet(family));
    reaches(a, on_a, on_a.address(family));
    reaches(a, on_b, on_b.address(family));
    reaches(a, b, b.subnet(family));
    reaches(a, on_stock, on_stock.address(family));
    if (backend() != Backend::host_gw) reaches(on_a, stock, stock.subnet(family));  // a host-gw node of flannel does not have that address
    learn_path_mtu(stock, on_a.address(family), stock.mtu());
    reaches(stock, on_a, on_a.address(family));
    reaches(on_stock, a, a.subnet(family));
    reaches(on_a, b, b.address(family));
    // What b learned of the way to a's own address is not the tunnel's MTU.
    reaches(on_b, on_a, on_a.address(family));
    reaches(on_a, stock, stock.address(family));
  }
  EXPECT_EQ(a.counters().dropped(), 0U) << a.counters().to_string();
}

}  // namespace
}  // namespace merino::lab::backends_test
