// Without a tunnel, host-gw and vxlan with DirectRouting: peers that are not on the segment, move, or get a new MAC; restarts; forgeries.
#include <csignal>

#include "backends_fixture.h"
#include "lab/load.h"

namespace merino::lab::direct_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

NodeOptions host_gw() { return {.net_conf = net_conf({Backend::host_gw})}; }

class HostGwPeersOf : public testing::TestWithParam<Families> {};
INSTANTIATE_TEST_SUITE_P(Network, HostGwPeersOf, testing::Values(Families::ipv4, Families::ipv6, Families::dual), families_name);

// What is not on the segment is that peer's matter.
TEST_P(HostGwPeersOf, OneBehindARouterIsNamedAndTheOthersWork) {
  const PodNetwork network{Backend::host_gw, GetParam()};
  const NodeOptions options{.net_conf = net_conf(network), .flags = "--iface eth0 --ip-masq --metrics-port 9477"};
  Lab lab;
  Node& a = lab.add_node("a", options);
  Node& b = lab.add_node("b", options);
  Node& far = lab.add_node("far", options, Segment::lan1);
  for (Node* node : {&a, &b, &far}) node->wait_ready();
  for (const Node* node : {&a, &b}) wait_for_direct_peers(*node, network, 1);
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const std::string metrics = a.must("curl -s http://127.0.0.1:9477/metrics");
  for (const Family family : each(GetParam())) {
    expect_fast(on_a, on_b, on_b.address(family), {&a, &b}, Way::direct);
    EXPECT_THAT(metrics, HasSubstr(fmt::format("merino_peer_off_segment{{subnet=\"{}\",address=\"{}\"}} 1\n",
                                               far.prefix(family).to_string(), far.address(family))));
    EXPECT_THAT(metrics, Not(HasSubstr(fmt::format("address=\"{}\"", b.address(family)))));
  }
  const Family first = each(GetParam()).front();
  const std::string key = fmt::format("{}-{}", far.subnet(first), far.prefix(first).length());
  const std::string router = std::string("behind the router ") + (first == Family::v4 ? "192.168.88.1" : "fd00:88::1");
  EXPECT_EQ(far.peer_count(), 0U);
  for (const std::string& text : {a.read("/run/merino/status.json"), a.agent().log(), a.run(MERINOCTL " status").out})
    EXPECT_THAT(text, AllOf(HasSubstr(key), HasSubstr(router)));
  // The report is written at most once a second, and the next pass may be some seconds away.
  const auto leases = [&] { return a.run(MERINOCTL " leases").out; };
  EXPECT_TRUE(eventually([&] { return leases().find(router) != std::string::npos; }, std::chrono::seconds(30))) << leases();
  EXPECT_THAT(leases(), HasSubstr(far.address(first)));
}

// flanneld's own routes would lead past merino0, and stay when their node has gone.
TEST(HostGwPeers, RoutesThatFlannelLeftAreRemoved) {
  Lab lab;
  Node& a = lab.add_node("a", host_gw());
  Node& b = lab.add_node("b", host_gw());
  lab.wait_ready();
  const std::string of_flannel = fmt::format("{}/24 via {} dev eth0", b.subnet(), b.address());
  const std::string of_others = fmt::format("10.244.250.0/24 via {} dev eth0", b.address());
  a.must("ip route add " + of_others + " && ip route add " + of_flannel);
  EXPECT_TRUE(eventually([&] { return a.must("ip route").find(of_flannel) == std::string::npos; })) << a.must("ip route");
  EXPECT_THAT(a.must("ip route"), HasSubstr(of_others)) << "not a peer's subnet: somebody wants it";
}

TEST(HostGwPeers, AnotherBackendsLeasesAreIgnored) {
  Lab lab;
  Node& gateway = lab.add_node("gateway", host_gw());
  Node& tunnel = lab.add_node("tunnel");
  for (Node* node : {&gateway, &tunnel}) node->wait_ready();
  for (const Node* node : {&gateway, &tunnel}) {
    EXPECT_TRUE(eventually([&] { return node->read("/run/merino/status.json").find("this node has") != std::string::npos; }))
        << node->name();
    EXPECT_EQ(node->peer_count(), 0U) << node->name();
  }
}

constexpr int kPort = 7600;
constexpr int kCount = 5;

class OneFamily : public testing::TestWithParam<Families> {
 protected:
  static Family family() { return each(GetParam()).front(); }
  static const char* raw_table() { return family() == Family::v4 ? "iptables -t raw" : "ip6tables -t raw"; }
  static uint64_t arrived(const Pod& pod) {
    return std::stoull(pod.must(fmt::format("{} -Z -L PREROUTING -nvx | awk 'NR==3 {{print $1}}'", raw_table())));
  }
  static uint64_t arrived_after(const Place& from, const std::string& source, const Pod& pod) {
    arrived(pod);
    const std::string& to = pod.address(family());
    const TrafficResult sent = traffic(from, fmt::format("spoof --from {} --to {} --count {}", source, endpoint(to, kPort), kCount));
    EXPECT_TRUE(sent.ok) << sent.line;
    ping(from, "-c 1 -W 1 " + to);
    return arrived(pod);
  }

  const PodNetwork network_{Backend::host_gw, GetParam()};
  Lab lab_;
  Node& a_ = lab_.add_node("a", {.net_conf = net_conf(network_)});
  Node& b_ = lab_.add_node("b", {.net_conf = net_conf(network_)});
};

class HostGwSecurity : public OneFamily {};
INSTANTIATE_TEST_SUITE_P(Network, HostGwSecurity, testing::Values(Families::ipv4, Families::ipv6), families_name);

TEST_P(HostGwSecurity, ASourceOfAPeersPodFromAnotherHostIsDropped) {
  const Machine& stranger = lab_.add_host("stranger");
  lab_.wait_ready();
  for (const Node* node : {&a_, &b_}) wait_for_direct_peers(*node, network_, 1);
  const Pod& peer = a_.add_pod("a1");
  const Pod& victim = b_.add_pod("victim");
  victim.must(fmt::format("{} -A PREROUTING -p udp --dport {}", raw_table(), kPort));
  stranger.must(fmt::format("ip route add {} via {}", b_.prefix(family()).to_string(), b_.address(family())));
  EXPECT_EQ(arrived_after(a_, peer.address(family()), victim), kCount) << "its own node may";
  EXPECT_EQ(arrived_after(stranger, stranger.address(family()), victim), kCount) << "a host outside may, in its own name";
  const Counters before = b_.counters();
  EXPECT_EQ(arrived_after(stranger, peer.address(family()), victim), 0U);
  EXPECT_EQ((b_.counters() - before)[MERINO_WRONG_NEIGHBOUR], kCount) << b_.counters().to_string();
}

class HostGwNeighbours : public OneFamily {};
INSTANTIATE_TEST_SUITE_P(Network, HostGwNeighbours, testing::Values(Families::ipv4, Families::ipv6), families_name);

TEST_P(HostGwNeighbours, ANewNetworkCardIsFollowed) {
  lab_.wait_ready();
  for (const Node* node : {&a_, &b_}) wait_for_direct_peers(*node, network_, 1);
  const Pod& on_a = a_.add_pod("a1");
  const Pod& on_b = b_.add_pod("b1");
  expect_fast(on_a, on_b, on_b.address(family()), {&a_, &b_}, Way::direct);
  // Without this, a node with IPv6 asks for its neighbours from its link-local address: they learn that one's MAC, and find out about the
  // other when they doubt it, within a minute.
  b_.must("sysctl -qw net.ipv6.conf.eth0.ndisc_notify=1");
  b_.must("ip link set eth0 address 02:00:00:00:77:01");
  EXPECT_TRUE(eventually([&] { return ping(on_b, "-c 1 -W 1 " + on_a.address(family())).all(); }));
  EXPECT_TRUE(eventually([&] {
    return a_.must("bpftool map dump pinned /sys/fs/bpf/merino/peers").find("2,0,0,0,119,1") != std::string::npos;
  })) << a_.must("bpftool map dump pinned /sys/fs/bpf/merino/peers; ip neigh");
  expect_fast(on_a, on_b, on_b.address(family()), {&a_, &b_}, Way::direct);
}

// One load for each family.
std::vector<std::unique_ptr<Load>> start_loads(const Pod& from, const Pod& to, Families families) {
  std::vector<std::unique_ptr<Load>> loads;
  for (const Family family : each(families)) {
    EXPECT_TRUE(ping(from, "-c 1 " + to.address(family)).all());
    loads.push_back(std::make_unique<Load>(from, to, to.address(family), family == Family::v4 ? 7500 : 7502));
  }
  return loads;
}

class DirectRestart : public testing::TestWithParam<PodNetwork> {};
INSTANTIATE_TEST_SUITE_P(Network, DirectRestart,
                         testing::Values(PodNetwork{Backend::host_gw, Families::ipv4}, PodNetwork{Backend::host_gw, Families::ipv6},
                                         PodNetwork{Backend::host_gw, Families::dual}, PodNetwork{Backend::direct_routing, Families::dual}),
                         network_name);

TEST_P(DirectRestart, LosesNothing) {
  const NodeOptions options{.net_conf = net_conf(GetParam())};
  Lab lab;
  Node& a = lab.add_node("a", options);
  Node& b = lab.add_node("b", options);
  lab.wait_ready();
  for (const Node* node : {&a, &b}) wait_for_direct_peers(*node, GetParam(), 1);
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const std::string peers = a.must("bpftool map dump pinned /sys/fs/bpf/merino/peers");
  const Counters before = a.counters();
  const auto loads = start_loads(on_a, on_b, GetParam().families);
  for (Node* node : {&a, &b}) {
    node->agent().signal(SIGKILL);
    node->agent().wait();
    node->start_agent();
    node->wait_ready();
  }
  for (const auto& load : loads) load->expect_whole(to_string(GetParam()));
  EXPECT_EQ(a.must("bpftool map dump pinned /sys/fs/bpf/merino/peers"), peers);
  const Counters counted = a.counters() - before;
  EXPECT_EQ(counted[MERINO_NEIGHBOUR] + counted.dropped(), 0U) << counted.to_string();
}

class DirectRouting : public testing::TestWithParam<Families> {};
INSTANTIATE_TEST_SUITE_P(Network, DirectRouting, testing::Values(Families::ipv4, Families::ipv6, Families::dual), families_name);

// The way to a peer changes under traffic: to behind a router and back, at one end, at both, and back at one end.
TEST_P(DirectRouting, APeerMovesWithoutLoss) {
  const PodNetwork network{Backend::direct_routing, GetParam()};
  Lab lab;
  lab.underlay().must("sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.lan0.send_redirects=0");
  Node& a = lab.add_node("a", {.net_conf = net_conf(network)});
  Node& b = lab.add_node("b", {.net_conf = net_conf(network)});
  lab.wait_ready();
  for (const Node* node : {&a, &b}) wait_for_direct_peers(*node, network, 1);
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  // What the router loses while it looks for a neighbour is not what is asked here.
  for (const Node* node : {&a, &b}) {
    for (const Family family : each(GetParam()))
      EXPECT_TRUE(eventually([&] { return ping(lab.underlay(), "-c 1 -W 1 " + node->address(family)).all(); }));
  }
  const auto loads = start_loads(on_a, on_b, GetParam());
  const auto move = [&](const Node& node, const Node& other, const char* action, size_t neighbours) {
    for (const Family family : each(GetParam()))
      node.must(fmt::format("ip route {} {} via {}", action, other.address(family), family == Family::v4 ? "192.168.88.1" : "fd00:88::1"));
    wait_for_direct_peers(node, network, neighbours);
  };
  move(a, b, "add", 0);
  move(b, a, "add", 0);
  move(a, b, "del", 1);
  move(b, a, "del", 1);
  for (const auto& load : loads) load->expect_whole("moves");
  for (const Family family : each(GetParam())) expect_fast(on_a, on_b, on_b.address(family), {&a, &b}, Way::direct);
}

TEST(Alloc, LeasesAndWritesTheFile) {
  Lab lab;
  Node& node = lab.add_node("node", {.net_conf = R"({"Network": "10.244.0.0/16", "Backend": {"Type": "alloc"}})"});
  node.wait_ready();
  EXPECT_THAT(node.read("/run/flannel/subnet.env"), HasSubstr("FLANNEL_MTU=1500\nFLANNEL_IPMASQ=true\n"));
  EXPECT_EQ(node.read(fmt::format("{}/subnets/{}-24", lab.lease_dir(), node.subnet())),
            fmt::format(R"({{"PublicIP":"{}","PublicIPv6":null}})", node.address()));
  EXPECT_FALSE(node.run("ip link show merino0").ok()) << "something else moves the packets";
}

TEST(Alloc, TakesBackWhatAnotherBackendMade) {
  Lab lab;
  Node& node = lab.add_node("node");
  node.wait_ready();
  EXPECT_TRUE(node.run("ip link show merino0").ok());
  const std::string subnet = node.subnet();
  node.agent().signal(SIGTERM);
  node.agent().wait();
  // What an IPv6 tunnel has left.
  node.must(
      "ip -6 rule add priority 8472 iif lo ipproto udp dport 8472 lookup 8472; ip -6 route add 2001:db8::/64 dev eth0 table 8472 mtu lock "
      "1400");
  node.write("/etc/kube-flannel/net-conf.json", R"({"Network": "10.244.0.0/16", "Backend": {"Type": "alloc"}})");
  node.start_agent();
  node.wait_ready();
  EXPECT_EQ(node.must("ip -6 rule").find("8472"), std::string::npos);
  EXPECT_EQ(node.must("ip -6 route show table 8472 2>/dev/null || true"), "");
  EXPECT_EQ(node.subnet(), subnet);
  EXPECT_FALSE(node.run("ip link show merino0").ok());
  EXPECT_FALSE(node.run("test -e " MERINO_PIN_ROOT).ok());
}

TEST(HostGwErrors, APublicAddressThatIsNotTheUplinks) {
  Lab lab;
  NodeOptions options = host_gw();
  options.flags = "--iface eth0 --public-ip 203.0.113.7";
  Node& node = lab.add_node("node", options);
  EXPECT_EQ(node.agent().wait(), 1);
  EXPECT_THAT(node.agent().log(), HasSubstr("host-gw: the public address 203.0.113.7 is not that of eth0"));
  EXPECT_THAT(node.agent().log(), HasSubstr("leave --public-ip out"));
}

}  // namespace
}  // namespace merino::lab::direct_test
