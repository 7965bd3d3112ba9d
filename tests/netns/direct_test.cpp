// Without a tunnel: host-gw, and vxlan with DirectRouting, among merino nodes and beside nodes of the kernel's routes.
#include <gmock/gmock.h>

#include <csignal>

#include "direct_fixture.h"
#include "lab/kube_proxy.h"

namespace merino::lab {
namespace {

using testing::HasSubstr;

constexpr const char* kStrict = "sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1 net.ipv4.conf.eth0.rp_filter=1";

struct Case {
  const char* name;
  Underlay underlay;
  std::string before_start{};
};
void PrintTo(const Case& parameter, std::ostream* out) { *out << parameter.name; }

class HostGw : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Underlay, HostGw,
                         testing::Values(Case{"Plain", {}}, Case{"Jumbo", {9000, ""}},
                                         Case{"NoSegmentation", {1500, "tso off gso off gro on"}}, Case{"Strict", {}, kStrict}),
                         [](const auto& value) { return value.param.name; });

TEST_P(HostGw, PodsReachEachOther) {
  Lab lab(GetParam().underlay);
  Node& a = lab.add_node("a", host_gw(GetParam().before_start));
  Node& b = lab.add_node("b", host_gw(GetParam().before_start));
  lab.wait_ready();
  for (const Node* node : {&a, &b}) wait_for_neighbours(*node, 1);
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const MatrixOptions options{GetParam().underlay.mtu};
  expect_matrix(on_a, on_b, on_b.address(), options);
  expect_matrix(on_b, on_a, on_a.address(), options);
  expect_direct(on_a, on_b, {&a, &b});
}

TEST_P(HostGw, PodsReachThoseOfAStockNode) {
  Lab lab(GetParam().underlay);
  Node& ours = lab.add_node("ours", host_gw(GetParam().before_start));
  const StockGateway stock(lab, lab.add_host("stock"), "10.244.200.0", GetParam().underlay.mtu);
  ours.wait_ready();
  stock.add_peer(ours);
  wait_for_neighbours(ours, 1);
  const Pod& on_ours = ours.add_pod("ours1");
  const Pod& on_stock = stock.add_pod("stock1");
  const MatrixOptions options{GetParam().underlay.mtu};
  expect_matrix(on_ours, on_stock, on_stock.address(), options);
  expect_matrix(on_stock, on_ours, on_ours.address(), options);
  expect_direct(on_ours, on_stock, {&ours});
}

TEST(HostGwHosts, NodesAndPodsReachEachOther) {
  Lab lab;
  Node& a = lab.add_node("a", host_gw(kStrict));
  Node& b = lab.add_node("b", host_gw(kStrict));
  Machine& host = lab.add_host("stock");
  const StockGateway stock(lab, host, "10.244.200.0", 1500);
  for (Node* node : {&a, &b}) {
    node->wait_ready();
    stock.add_peer(*node);
    wait_for_neighbours(*node, 2);
  }
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const Pod& on_stock = stock.add_pod("stock1");
  const MatrixOptions options{1500, 1'000'000};
  expect_matrix(a, on_b, on_b.address(), options);
  expect_matrix(on_a, b, b.subnet(), options);
  expect_matrix(on_a, b, b.address(), options);
  expect_matrix(host, on_a, on_a.address(), options);
  expect_matrix(a, on_stock, on_stock.address(), options);
  EXPECT_EQ(a.counters().dropped(), 0U) << a.counters().to_string();
}

// Services, masquerade and path MTU discovery: what only the stack can do.
class HostGwStack : public testing::Test {
 protected:
  void SetUp() override {
    lab_.wait_ready();
    for (const Node* node : {&a_, &b_}) wait_for_neighbours(*node, 1);
    client_ = &a_.add_pod("client");
    backend_ = &b_.add_pod("backend");
  }
  static void expect_served(const Place& from, const std::string& target) {
    for (const char* kind : {"tcp --connections 30 --up 3000 --down 3000 --to ", "tcp --up 3000000 --down 3000000 --to ",
                             "udp --sockets 20 --payload 200 --count 2 --to ", "udp --payload 4000 --count 3 --to "}) {
      const TrafficResult result = traffic(from, kind + target);
      EXPECT_TRUE(result.ok) << from.name() << ": " << kind << target << "\n" << result.line;
    }
  }

  Lab lab_;
  Node& a_ = lab_.add_node("a", host_gw(kStrict));
  Node& b_ = lab_.add_node("b", host_gw(kStrict));
  Pod* client_ = nullptr;
  Pod* backend_ = nullptr;
};

TEST_F(HostGwStack, ClusterIpWithRemoteBackend) {
  for (const Node* node : {&a_, &b_}) {
    const std::vector<std::string> backends = {backend_->address() + ":8080"};
    install_kube_proxy(*node, {{"WEB", "tcp", "10.96.0.10", 80, backends, 30080}, {"DNS", "udp", "10.96.0.10", 80, backends, 30080}});
  }
  const Machine& outside = lab_.add_host("outside");
  const TrafficServer server(*backend_, 8080);
  expect_served(*client_, "10.96.0.10:80");
  EXPECT_GT(a_.counters()[MERINO_TRANSLATED], 0U) << "the answers look like plain pod traffic and are not";
  expect_served(a_, "10.96.0.10:80");
  expect_served(outside, a_.address() + ":30080");
  expect_served(outside, b_.address() + ":30080");
  expect_direct(*client_, *backend_, {&a_, &b_});
}

TEST_F(HostGwStack, MasqueradeAndPathMtu) {
  const Machine& outside = lab_.add_host("outside", Segment::lan1);
  lab_.underlay().ip_batch("link set lan1 mtu 1300\n");
  const TrafficServer server(outside, 9000);
  expect_served(*client_, outside.address() + ":9000");
  const TrafficResult tcp = traffic(*client_, "tcp --up 100000 --down 1 --to " + outside.address() + ":9000");
  EXPECT_EQ(tcp.seen_as, a_.address());
  const Output big = client_->run("ping -n -c 2 -i 0.05 -W 1 -M do -s 1400 " + outside.address());
  EXPECT_THAT(big.out + big.err, HasSubstr("1300"));
  // A pod whose own MTU is larger than the network's hears of it from its node.
  b_.must("for link in $(ip -o link show type veth | grep -o 'mr[0-9a-f]*'); do ip link set $link mtu 1600; done");
  backend_->must("ip link set eth0 mtu 1600");
  const Output larger = backend_->run("ping -n -c 2 -i 0.05 -W 1 -M do -s 1520 " + client_->address());
  EXPECT_THAT(larger.out + larger.err, HasSubstr("1500"));
}

// What is not on the segment is that peer's matter.
TEST(HostGwPeers, OneBehindARouterIsNamedAndTheOthersWork) {
  Lab lab;
  Node& a = lab.add_node("a", host_gw());
  Node& b = lab.add_node("b", host_gw());
  Node& far = lab.add_node("far", host_gw(), Segment::lan1);
  for (Node* node : {&a, &b, &far}) node->wait_ready();
  wait_for_neighbours(a, 1);
  wait_for_neighbours(b, 1);
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  expect_direct(on_a, on_b, {&a, &b});
  const std::string status = a.read("/run/merino/status.json");
  EXPECT_THAT(status, HasSubstr(far.subnet() + "-24"));
  EXPECT_THAT(status, HasSubstr("behind the router 192.168.88.1"));
  EXPECT_THAT(a.agent().log(), HasSubstr("behind the router 192.168.88.1"));
  EXPECT_EQ(far.peer_count(), 0U);
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

uint64_t arrived(const Pod& pod) { return std::stoull(pod.must("iptables -t raw -Z -L PREROUTING -nvx | awk 'NR==3 {print $1}'")); }

uint64_t arrived_after(const Place& from, const std::string& source, const Pod& pod) {
  arrived(pod);
  const TrafficResult sent = traffic(from, fmt::format("spoof --from {} --to {}:{} --count {}", source, pod.address(), kPort, kCount));
  EXPECT_TRUE(sent.ok) << sent.line;
  ping(from, "-c 1 -W 1 " + pod.address());
  return arrived(pod);
}

TEST(HostGwSecurity, ASourceOfAPeersPodFromAnotherHostIsDropped) {
  Lab lab;
  Node& a = lab.add_node("a", host_gw());
  Node& b = lab.add_node("b", host_gw());
  const Machine& stranger = lab.add_host("stranger");
  lab.wait_ready();
  for (const Node* node : {&a, &b}) wait_for_neighbours(*node, 1);
  const Pod& peer = a.add_pod("a1");
  const Pod& victim = b.add_pod("victim");
  victim.must(fmt::format("iptables -t raw -A PREROUTING -p udp --dport {}", kPort));
  stranger.must(fmt::format("ip route add {}/24 via {}", b.subnet(), b.address()));
  EXPECT_EQ(arrived_after(a, peer.address(), victim), kCount) << "its own node may";
  EXPECT_EQ(arrived_after(stranger, stranger.address(), victim), kCount) << "a host outside may, in its own name";
  const Counters before = b.counters();
  EXPECT_EQ(arrived_after(stranger, peer.address(), victim), 0U);
  EXPECT_EQ((b.counters() - before)[MERINO_WRONG_NEIGHBOUR], kCount) << b.counters().to_string();
}

TEST(HostGwNeighbours, ANewNetworkCardIsFollowed) {
  Lab lab;
  Node& a = lab.add_node("a", host_gw());
  Node& b = lab.add_node("b", host_gw());
  lab.wait_ready();
  for (const Node* node : {&a, &b}) wait_for_neighbours(*node, 1);
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  expect_direct(on_a, on_b, {&a, &b});
  b.must("ip link set eth0 address 02:00:00:00:77:01");
  EXPECT_TRUE(eventually([&] { return ping(on_b, "-c 1 -W 1 " + on_a.address()).all(); }));
  EXPECT_TRUE(eventually([&] {
    return a.must("bpftool map dump pinned /sys/fs/bpf/merino/peers").find("2,0,0,0,119,1") != std::string::npos;
  })) << a.must("bpftool map dump pinned /sys/fs/bpf/merino/peers; ip neigh");
  expect_direct(on_a, on_b, {&a, &b});
}

TEST(DirectRouting, TwoOnASegmentAndOneBehindARouter) {
  Lab lab;
  Node& a = lab.add_node("a", direct_routing());
  Node& b = lab.add_node("b", direct_routing());
  Node& far = lab.add_node("far", direct_routing(), Segment::lan1);
  StockNode& stock = lab.add_stock_node("stock");
  lab.wait_ready();
  for (const Node* node : {&a, &b}) {
    stock.must(fmt::format("ip route replace {}/24 via {} dev eth0", node->subnet(), node->address()));
    wait_for_neighbours(*node, 2);
  }
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const Pod& on_far = far.add_pod("far1");
  const Pod& on_stock = stock.add_pod("stock1");
  const MatrixOptions options{1450, 3'000'000};
  expect_matrix(on_a, on_b, on_b.address(), options);
  expect_matrix(on_a, on_stock, on_stock.address(), options);
  expect_matrix(on_stock, on_a, on_a.address(), options);
  expect_direct(on_a, on_b, {&a, &b});
  expect_direct(on_a, on_stock, {&a});
  const Counters before = far.counters();
  expect_matrix(on_a, on_far, on_far.address(), options);
  expect_matrix(on_far, on_a, on_a.address(), options);
  const Counters counted = far.counters() - before;
  EXPECT_GT(counted[MERINO_ENCAP], 40U) << counted.to_string();
  EXPECT_GT(counted.sum({MERINO_DECAP, MERINO_TUNNEL}), 40U) << counted.to_string();
  EXPECT_EQ(counted.sum({MERINO_DIRECT, MERINO_DIRECT_IN}) + counted.dropped(), 0U) << counted.to_string();
}

// A 1 ms ping, UDP requests and answers at the same pace, and a TCP stream, from the first pod to the second.
class Load {
 public:
  Load(const Pod& from, const Pod& to)
      : server_(to, 7500),
        ping_(from.start("exec ping -n -q -i 0.001 " + to.address())),
        udp_(start_traffic(from, "udp --until-signal 1 --interval-us 1000 --payload 200 --to " + to.address() + ":7500")),
        tcp_(start_traffic(from, "tcp --until-signal 1 --interval-us 1000 --payload 1000 --to " + to.address() + ":7500")) {}

  void expect_whole(const char* event) {
    ping_.signal(SIGINT);
    for (Process* process : {&udp_, &tcp_}) process->signal(SIGTERM);
    for (Process* process : {&ping_, &udp_, &tcp_}) process->wait();
    const PingResult pings = ping_result(ping_.log());
    const TrafficResult udp = traffic_result(udp_);
    const TrafficResult tcp = traffic_result(tcp_);
    fmt::print("{}: ping {} of {} lost; UDP {} of {} lost; TCP {}, {} retransmits\n", event, pings.sent - pings.received, pings.sent,
               udp.lost, udp.sent, tcp.ok ? "whole" : "damaged", tcp.retransmits);
    // A signal can come between a request and its answer.
    EXPECT_LE(pings.sent - pings.received, 1U) << pings.text;
    EXPECT_GT(pings.received, 10U) << pings.text;
    EXPECT_TRUE(udp.ok) << udp.line;
    EXPECT_TRUE(tcp.ok) << tcp.line;
  }

 private:
  TrafficServer server_;
  Process ping_;
  Process udp_;
  Process tcp_;
};

class DirectRestart : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Backend, DirectRestart, testing::Values("HostGw", "DirectRouting"), [](const auto& value) { return value.param; });

TEST_P(DirectRestart, LosesNothing) {
  const NodeOptions options = std::string(GetParam()) == "HostGw" ? host_gw() : direct_routing();
  Lab lab;
  Node& a = lab.add_node("a", options);
  Node& b = lab.add_node("b", options);
  lab.wait_ready();
  for (const Node* node : {&a, &b}) wait_for_neighbours(*node, 1);
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const std::string peers = a.must("bpftool map dump pinned /sys/fs/bpf/merino/peers");
  const Counters before = a.counters();
  Load load(on_a, on_b);
  for (Node* node : {&a, &b}) {
    node->agent().signal(SIGKILL);
    node->agent().wait();
    node->start_agent();
    node->wait_ready();
  }
  load.expect_whole(GetParam());
  EXPECT_EQ(a.must("bpftool map dump pinned /sys/fs/bpf/merino/peers"), peers);
  const Counters counted = a.counters() - before;
  EXPECT_EQ(counted[MERINO_NEIGHBOUR] + counted.dropped(), 0U) << counted.to_string();
}

// The way to a peer changes under traffic: to behind a router and back, at one end, at both, and back at one end.
TEST(DirectRouting, APeerMovesWithoutLoss) {
  Lab lab;
  lab.underlay().must("sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.lan0.send_redirects=0");
  Node& a = lab.add_node("a", direct_routing());
  Node& b = lab.add_node("b", direct_routing());
  lab.wait_ready();
  for (const Node* node : {&a, &b}) wait_for_neighbours(*node, 1);
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  ASSERT_TRUE(ping(on_a, "-c 1 " + on_b.address()).all());
  Load load(on_a, on_b);
  const auto move = [&](const Node& node, const Node& other, const char* action, size_t neighbours) {
    node.must(fmt::format("ip route {} {}/32 via 192.168.88.1", action, other.address()));
    wait_for_neighbours(node, neighbours);
  };
  move(a, b, "add", 0);
  move(b, a, "add", 0);
  move(a, b, "del", 1);
  move(b, a, "del", 1);
  load.expect_whole("moves");
  expect_direct(on_a, on_b, {&a, &b});
}

TEST(Alloc, LeasesAndWritesTheFile) {
  Lab lab;
  Node& node = lab.add_node("node", backend(R"("Type": "alloc")"));
  node.wait_ready();
  EXPECT_THAT(node.read("/run/flannel/subnet.env"), HasSubstr("FLANNEL_MTU=1500\nFLANNEL_IPMASQ=true\n"));
  EXPECT_EQ(node.read(fmt::format("{}/subnets/{}-24", lab.lease_dir(), node.subnet())),
            fmt::format(R"({{"PublicIP":"{}","PublicIPv6":null}})", node.address()));
  EXPECT_FALSE(node.run("ip link show merino0").ok()) << "something else moves the packets";
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
}  // namespace merino::lab
