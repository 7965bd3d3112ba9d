// The configuration changes while pods go on: the fast path off and on, and one backend for another.
#include <csignal>

#include "backends_fixture.h"
#include "lab/load.h"

namespace merino::lab::backends_change_test {
namespace {

using testing::HasSubstr;
using testing::Not;

// Each node's agent again, with another configuration.
void restart(Lab& lab, const std::vector<Node*>& nodes, const std::string& net_conf) {
  for (Node* node : nodes) {
    node->write("/etc/kube-flannel/net-conf.json", net_conf);
    node->agent().signal(SIGTERM);
    EXPECT_EQ(node->agent().wait(std::chrono::seconds(60)), 0) << node->agent().log();
    node->start_agent();
  }
  lab.wait_ready();
}

class FastPath : public testing::TestWithParam<PodNetwork> {};
INSTANTIATE_TEST_SUITE_P(Network, FastPath, kEachBackend, network_name);

// Switched under traffic, at one end and then at both; nothing is lost.
TEST_P(FastPath, IsSwitchedUnderTraffic) {
  Lab lab;
  const NodeOptions node{.net_conf = net_conf(GetParam()), .before_start = beside_stock(GetParam())};
  Node& a = lab.add_node("a", node);
  Node& b = lab.add_node("b", node);
  StockNode& stock = lab.add_stock_node("stock", {GetParam()});
  lab.wait_ready();
  for (const Node* one : {&a, &b}) wait_for_direct_peers(*one, GetParam(), 2);
  const Pod& on_a = a.add_pod("a1");
  const Pod& beside = a.add_pod("a2");
  const Pod& on_b = b.add_pod("b1");
  const Pod& on_stock = stock.add_pod("stock1");
  std::vector<std::unique_ptr<Load>> loads;
  for (const Family family : each(GetParam().families)) {
    const int port = family == Family::v4 ? 7504 : 7506;
    ASSERT_TRUE(ping(on_a, "-c 1 " + on_b.address(family)).all());
    loads.push_back(std::make_unique<Load>(on_a, on_b, on_b.address(family), port));
    loads.push_back(std::make_unique<Load>(on_a, on_stock, on_stock.address(family), port));
  }
  const std::string off = net_conf(GetParam(), R"("FastPath": false)");
  restart(lab, {&a}, off);
  restart(lab, {&b}, off);
  for (const Node* one : {&a, &b}) wait_for_direct_peers(*one, GetParam(), 2);
  const Counters before = a.counters();
  for (const Family family : each(GetParam().families)) {
    SCOPED_TRACE("through the stack");
    expect_small_matrix(on_a, on_b, on_b.address(family), a.mtu());
    expect_small_matrix(on_a, beside, beside.address(family), a.mtu());
    expect_small_matrix(on_a, on_stock, on_stock.address(family), a.mtu());
    learn_path_mtu(on_stock, on_a.address(family), stock.mtu());
    expect_small_matrix(on_stock, on_a, on_a.address(family), a.mtu());
  }
  const Counters counted = a.counters() - before;
  EXPECT_EQ(counted.fast_for_pods() + counted.dropped(), 0U) << counted.to_string();
  EXPECT_GT(counted[MERINO_FAST_PATH_OFF], 100U) << counted.to_string();
  restart(lab, {&a, &b}, net_conf(GetParam()));
  for (const Node* one : {&a, &b}) wait_for_direct_peers(*one, GetParam(), 2);
  for (const auto& load : loads) load->expect_whole("fast path off and on");
  for (const Family family : each(GetParam().families)) {
    expect_fast(on_a, on_b, on_b.address(family), {&a, &b}, near_way(GetParam().backend));
  }
}

// What the network knows of the node, and the node of its peers, says one backend and nothing of another.
void expect_only(const Lab& lab, const Node& node, const PodNetwork& network) {
  std::string key;
  for (const Family family : each(network.families)) {
    key += fmt::format("{}{}-{}", key.empty() ? "" : "&", node.subnet(family), node.prefix(family).length());
  }
  const std::string lease = node.read(lab.lease_dir() + "/subnets/" + key);
  const bool vxlan = network.backend == Backend::vxlan || network.backend == Backend::direct_routing;
  EXPECT_EQ(lease.find("VtepMAC") != std::string::npos, vxlan) << lease;
  EXPECT_EQ(lease.find("\"host-gw\"") != std::string::npos, network.backend == Backend::host_gw) << lease;
  const std::string peers =
      node.must("bpftool -j map dump pinned /sys/fs/bpf/merino/peers | jq -c '[.[] | (.formatted // .).value.kind] | unique'");
  const int kind = near_way(network.backend) == Way::direct ? 2 : network.backend == Backend::udp ? 3 : 1;
  EXPECT_EQ(peers, fmt::format("[{}]\n", kind));
  // The IPv6 tunnel's own routes: with it only.
  const bool own_routes = vxlan && network.families != Families::ipv4;
  EXPECT_EQ(node.must("ip -6 rule").find("lookup 8472") != std::string::npos, own_routes) << node.must("ip -6 rule");
  EXPECT_EQ(!node.must("ip -6 route show table 8472 2>/dev/null || true").empty(), own_routes);
}

// Everything that a backend makes on a node.
std::string state(const Node& node) {
  return node.must(
      "cat /run/flannel/subnet.env; ip -d -o link show merino0; ip -o addr show merino0 scope global; ip route; ip -6 route show dev "
      "merino0; "
      "ip rule; ip -6 rule; ip -6 route show table 8472 2>/dev/null; nft -s list ruleset; bpftool map dump pinned "
      "/sys/fs/bpf/merino/peers; ls /sys/fs/bpf/merino /sys/fs/bpf/merino/links; "
      "ss -Hulna");
}

class Change : public testing::TestWithParam<Families> {};
INSTANTIATE_TEST_SUITE_P(Network, Change, testing::Values(Families::ipv4, Families::ipv6, Families::dual), families_name);

TEST_P(Change, OneBackendForAnother) {
  std::vector<Backend> backends = {Backend::direct_routing, Backend::host_gw, Backend::vxlan};
  if (GetParam() == Families::ipv4) backends = {Backend::direct_routing, Backend::host_gw, Backend::udp, Backend::vxlan};
  Lab lab;
  const NodeOptions start{.net_conf = net_conf({Backend::vxlan, GetParam()})};
  const std::vector<Node*> nodes = {&lab.add_node("a", start), &lab.add_node("b", start)};
  lab.wait_ready();
  Node& a = *nodes[0];
  Node& b = *nodes[1];
  const std::string subnet = a.subnet(each(GetParam()).front());
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const int old_mtu = a.mtu();
  const std::string at_first = state(a);
  for (const Backend backend : backends) {
    SCOPED_TRACE(to_string(backend));
    const PodNetwork network{backend, GetParam()};
    restart(lab, nodes, net_conf(network));
    for (const Node* node : nodes) wait_for_direct_peers(*node, network, 1);
    EXPECT_EQ(a.subnet(each(GetParam()).front()), subnet) << "its pods have addresses of it";
    for (const Node* node : nodes) {
      EXPECT_TRUE(eventually([&] { return node->peer_count() == each(GetParam()).size(); }));
      expect_only(lab, *node, network);
    }
    Pod& fresh = b.add_pod("fresh-" + to_string(backend));
    for (const Family family : each(GetParam())) {
      expect_small_matrix(on_a, on_b, on_b.address(family), old_mtu);
      expect_fast(on_a, on_b, on_b.address(family), {&a, &b}, near_way(backend));
      expect_fast(on_a, fresh, fresh.address(family), {&a, &b}, near_way(backend));
    }
  }
  EXPECT_EQ(state(a), at_first) << "back at vxlan: nothing of the others is left";
}

}  // namespace
}  // namespace merino::lab::backends_change_test
