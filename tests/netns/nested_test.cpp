// Networks inside pods: a tunnel of the pod's own, and a container engine that bridges and masquerades. Bulk TCP through them shows that
// what was decapsulated as one large packet can be sent on as one.
#include "backends_fixture.h"

namespace merino::lab::nested_test {
namespace {

constexpr int kVxlanOverIpv4 = 50;  // bytes of headers
constexpr int kVxlanOverIpv6 = 70;

// VXLAN from pod to pod over the family, addresses 172.30.0.1 and 172.30.0.2; its MTU.
int make_tunnel(const Pod& one, const Pod& two, int port, int pod_mtu, Family family = Family::v4) {
  const int mtu = pod_mtu - (family == Family::v4 ? kVxlanOverIpv4 : kVxlanOverIpv6);
  const auto end = [&](const Pod& local, const Pod& remote, int number) {
    local.ip_batch(
        fmt::format("link add vx0 mtu {} type vxlan id 77 local {} remote {} dstport {} dev eth0\n"
                    "addr add 172.30.0.{}/24 dev vx0\nlink set vx0 up\n",
                    mtu, local.address(family), remote.address(family), port, number));
  };
  end(one, two, 1);
  end(two, one, 2);
  return mtu;
}

struct TunnelCase {
  const char* name;
  int port;
  const char* offloads;
  PodNetwork network{};
};

void PrintTo(const TunnelCase& parameter, std::ostream* out) { *out << parameter.name; }

class TunnelInPod : public testing::TestWithParam<TunnelCase> {};
// 8472 is the port of the pod network itself: between pods it is a port like any other.
INSTANTIATE_TEST_SUITE_P(Port, TunnelInPod,
                         testing::Values(TunnelCase{"Standard", 4789, ""}, TunnelCase{"Same", 8472, ""},
                                         TunnelCase{"NoSegmentation", 4789, "tso off gso off gro on"},
                                         TunnelCase{"OverIPv6", 4789, "", {Backend::vxlan, Families::dual}},
                                         TunnelCase{"HostGwOverIPv6", 4789, "", {Backend::host_gw, Families::dual}},
                                         TunnelCase{"DirectRoutingOverIPv6", 4789, "", {Backend::direct_routing, Families::dual}},
                                         TunnelCase{"Udp", 4789, "", {Backend::udp, Families::ipv4}}),
                         [](const auto& value) { return value.param.name; });

TEST_P(TunnelInPod, ReachesMerinoAndStockNodes) {
  const PodNetwork network = GetParam().network;
  const Family family = each(network.families).back();
  Lab lab({1500, GetParam().offloads});
  const NodeOptions node{.net_conf = net_conf(network), .before_start = beside_stock(network)};
  Node& a = lab.add_node("a", node);
  Node& b = lab.add_node("b", node);
  StockNode& stock = lab.add_stock_node("stock", {network});
  lab.wait_ready();
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const Pod& other = a.add_pod("a2");
  const Pod& on_stock = stock.add_pod("stock1");
  {
    const MatrixOptions options{make_tunnel(on_a, on_b, GetParam().port, a.mtu(), family), 5'000'000};
    expect_matrix(on_a, on_b, "172.30.0.2", options);
    expect_matrix(on_b, on_a, "172.30.0.1", options);
  }
  const MatrixOptions options{make_tunnel(other, on_stock, GetParam().port, a.mtu(), family), 5'000'000};
  expect_matrix(other, on_stock, "172.30.0.2", options);
  expect_matrix(on_stock, other, "172.30.0.1", options);
  EXPECT_EQ(a.counters().dropped() + b.counters().dropped(), 0U) << a.counters().to_string() << b.counters().to_string();
}

TEST(TunnelInPodOnOneNode, ReachesThePodBesideIt) {
  Lab lab;
  Node& a = lab.add_node("a");
  lab.wait_ready();
  const Pod& one = a.add_pod("a1");
  const Pod& two = a.add_pod("a2");
  expect_matrix(one, two, "172.30.0.2", {make_tunnel(one, two, 4789, a.mtu()), 10'000'000});
  EXPECT_EQ(a.counters().dropped(), 0U) << a.counters().to_string();
}

// A container inside the pod: a network namespace behind a bridge, masqueraded, port 7100 published.
class ContainerInPod {
 public:
  ContainerInPod(const Pod& pod, int mtu) : holder_("inner"), container_("inner", holder_.pid()) {
    pod.ip_batch(
        fmt::format("link add docker0 type bridge\naddr add 172.17.0.1/16 dev docker0\nlink set docker0 up\n"
                    "link add ve0 mtu {0} type veth peer name eth0 mtu {0} netns {1}\nlink set ve0 master docker0 up\n",
                    mtu, holder_.pid()));
    pod.must("sysctl -qw net.ipv4.ip_forward=1");
    pod.must("iptables-restore",
             "*nat\n-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE\n"
             "-A PREROUTING -p tcp --dport 7100 -m addrtype --dst-type LOCAL -j DNAT --to-destination 172.17.0.2:7100\n"
             "-A PREROUTING -p udp --dport 7100 -m addrtype --dst-type LOCAL -j DNAT --to-destination 172.17.0.2:7100\nCOMMIT\n");
    container_.ip_batch("link set lo up\nlink set eth0 up\naddr add 172.17.0.2/16 dev eth0\nroute add default via 172.17.0.1\n");
  }
  [[nodiscard]] const Place& place() const { return container_; }

 private:
  Holder holder_;
  Place container_;
};

class EngineInPod : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Offloads, EngineInPod, testing::Values("", "tso off gso off gro on"),
                         [](const auto& value) { return *value.param == 0 ? "On" : "Off"; });

TEST_P(EngineInPod, ReachesAndIsReached) {
  Lab lab({1500, GetParam()});
  Node& a = lab.add_node("a");
  Node& b = lab.add_node("b");
  const Machine& outside = lab.add_host("outside");
  lab.wait_ready();
  const Pod& engine = a.add_pod("engine");
  const Pod& neighbour = a.add_pod("a2");
  const Pod& remote = b.add_pod("b1");
  const ContainerInPod container(engine, 1450);
  const MatrixOptions options{1450, 10'000'000};
  expect_matrix(container.place(), remote, remote.address(), options);
  expect_matrix(container.place(), neighbour, neighbour.address(), options);
  // What lies behind the pod's NAT is reached by its published port; ICMP ends at the pod.
  expect_matrix(remote, container.place(), engine.address(), options);
  expect_matrix(neighbour, container.place(), engine.address(), options);

  const TrafficServer server(outside, 7400);
  const TrafficResult out = traffic(container.place(), "tcp --up 5000000 --down 5000000 --to " + outside.address() + ":7400");
  EXPECT_TRUE(out.ok) << out.line;
  EXPECT_EQ(out.seen_as, a.address());
  EXPECT_EQ(a.counters().dropped() + b.counters().dropped(), 0U) << a.counters().to_string() << b.counters().to_string();
}

// The container's link is narrower than the pod's: "fragmentation needed" comes from the pod and reaches the other one.
TEST(EngineInPodWithSmallMtu, SenderLearnsIt) {
  Lab lab;
  Node& a = lab.add_node("a");
  Node& b = lab.add_node("b");
  lab.wait_ready();
  const Pod& engine = a.add_pod("engine");
  const Pod& remote = b.add_pod("b1");
  const ContainerInPod container(engine, 1200);
  const TrafficServer server(container.place(), 7100);
  const TrafficResult udp = traffic(remote, "udp --pmtu do --payload 1400 --count 2 --timeout 300 --to " + engine.address() + ":7100");
  EXPECT_NE(udp.line.find("Message too long"), std::string::npos) << udp.line;
  EXPECT_NE(remote.must("ip route get " + engine.address()).find("mtu 1200"), std::string::npos);
  const TrafficResult tcp = traffic(remote, "tcp --up 5000000 --down 5000000 --to " + engine.address() + ":7100");
  EXPECT_TRUE(tcp.ok) << tcp.line;
}

}  // namespace
}  // namespace merino::lab::nested_test
