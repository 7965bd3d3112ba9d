// What only the host's stack can do, with every backend and address family: services, host ports, masquerade, and what the network says on
// the way (path MTU, hop limit). Beside it plain pod traffic stays on the fast path.
#include <sstream>

#include "backends_fixture.h"
#include "lab/kube_proxy.h"

namespace merino::lab::backends_stack_test {
namespace {

using testing::HasSubstr;

constexpr int kBackendPort = 8080;
constexpr int kNodePort = 30080;
constexpr const char* kHardening =
    "iptables -P FORWARD DROP; ip6tables -P FORWARD DROP; sysctl -qw net.ipv4.conf.all.rp_filter=1 net.ipv4.conf.default.rp_filter=1";

std::string cluster_ip(Family family, int number) {
  return family == Family::v4 ? fmt::format("10.96.0.{}", number) : fmt::format("fd10:96::{}", number);
}

// Many connections, some bulk, and UDP in one datagram and in fragments; `seen_as` is what the server sees ("": anything).
void expect_served(const Place& from, const std::string& target, const std::string& seen_as = "") {
  SCOPED_TRACE(from.name() + " to " + target);
  let_the_other_side_learn(from, target, 4000);
  for (const char* kind : {"tcp --connections 10 --up 3000 --down 3000 --to ", "tcp --up 1000000 --down 1000000 --to ",
                           "udp --sockets 10 --payload 200 --count 2 --to ", "udp --payload 4000 --count 3 --to "}) {
    const TrafficResult result = traffic(from, kind + target);
    EXPECT_TRUE(result.ok) << kind << target << "\n" << result.line;
    if (!seen_as.empty() && !result.seen_as.empty()) {
      EXPECT_EQ(result.seen_as, seen_as) << kind;
    }
  }
}

class Stack : public testing::TestWithParam<PodNetwork> {
 protected:
  void SetUp() override {
    lab_.wait_ready();
    for (const Node* node : {&a_, &b_}) wait_for_direct_peers(*node, GetParam(), 1);
    client_ = &a_.add_pod("client", {.runtime_config =
                                         R"({"portMappings":[{"hostPort":8088,"containerPort":8080,"protocol":"tcp"},
                                            {"hostPort":8088,"containerPort":8080,"protocol":"udp"}]})"});
    local_ = &a_.add_pod("local");
    remote_ = &b_.add_pod("remote");
  }
  [[nodiscard]] static std::vector<Family> families() { return each(GetParam().families); }

  // Three services of TCP and UDP in each family, on both nodes: .10 is of the remote pod, .11 of the local one, .12 of the client itself.
  void install_services() const {
    std::vector<Service> services;
    for (const Family family : families()) {
      for (int i = 0; const Pod* pod : {remote_, local_, client_}) {
        const std::vector<std::string> backends = {endpoint(pod->address(family), kBackendPort)};
        for (const char* protocol : {"tcp", "udp"}) {
          services.push_back({fmt::format("{}-{}", protocol, i), protocol, cluster_ip(family, 10 + i), 80, backends, kNodePort + i});
        }
        i++;
      }
    }
    for (const Node* node : {&a_, &b_}) install_kube_proxy(*node, services);
  }

  void expect_both_nodes_in_traceroute();
  void expect_node_says_what_fits();

  Lab lab_;
  NodeOptions options_{.net_conf = net_conf(GetParam()), .before_start = kHardening};
  Node& a_ = lab_.add_node("a", options_);
  Node& b_ = lab_.add_node("b", options_);
  Machine& outside_ = lab_.add_host("outside", Segment::lan1);
  Pod* client_ = nullptr;
  Pod* local_ = nullptr;
  Pod* remote_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Network, Stack, kAllNetworks, network_name);

TEST_P(Stack, ServicesAndHostPorts) {
  install_services();
  std::vector<TrafficServer> servers;
  for (const Pod* pod : {client_, local_, remote_}) servers.emplace_back(*pod, kBackendPort);
  for (const Family family : families()) {
    expect_served(*client_, endpoint(cluster_ip(family, 10), 80), client_->address(family));
    EXPECT_GT(a_.counters()[MERINO_TRANSLATED], 0U) << "the answers look like plain pod traffic and are not";
    expect_served(*client_, endpoint(cluster_ip(family, 11), 80), client_->address(family));
    expect_served(*client_, endpoint(cluster_ip(family, 12), 80));  // hairpin
    expect_served(a_, endpoint(cluster_ip(family, 10), 80));
    expect_served(a_, endpoint(cluster_ip(family, 11), 80));
    expect_served(outside_, endpoint(a_.address(family), kNodePort));      // on to the other node
    expect_served(outside_, endpoint(a_.address(family), kNodePort + 1));  // to a pod of this node
    expect_served(*remote_, endpoint(a_.address(family), kNodePort));
    expect_served(outside_, endpoint(a_.address(family), 8088), outside_.address(family));  // portmap
    expect_served(*remote_, endpoint(a_.address(family), 8088));
    expect_fast(*client_, *remote_, remote_->address(family), {&a_, &b_}, near_way(GetParam().backend));
  }
}

// Ends with a narrow way to the outside.
TEST_P(Stack, TheOutsideAndWhatTheNetworkSays) {
  const TrafficServer server(outside_, 9000);
  for (const Family family : families()) {
    expect_served(*client_, endpoint(outside_.address(family), 9000), a_.address(family));
    expect_served(*remote_, endpoint(outside_.address(family), 9000), b_.address(family));
    EXPECT_TRUE(ping(*client_, "-c 3 -i 0.01 " + outside_.address(family)).all());
  }
  lab_.underlay().ip_batch("link set lan1 mtu 1300\n");
  for (const Family family : families()) {
    const Output big = client_->run("ping -n -c 2 -i 0.05 -W 1 -M do -s 1340 " + outside_.address(family));
    EXPECT_THAT(big.out + big.err, HasSubstr("1300"));
    EXPECT_THAT(client_->must("ip route get " + outside_.address(family)), HasSubstr("mtu 1300"));
    const TrafficResult tcp = traffic(*client_, "tcp --up 1000000 --down 1000000 --to " + endpoint(outside_.address(family), 9000));
    EXPECT_TRUE(tcp.ok) << tcp.line;
    EXPECT_LE(tcp.mss, 1300U - 40U) << tcp.line;
  }
}

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

void Stack::expect_both_nodes_in_traceroute() {
  const TrafficServer server(*remote_, 7300);  // for TCP: the last hop answers a SYN
  for (const Family family : families()) {
    for (const std::string kind : {"-U", "-I", "-T -p 7300"}) {
      SCOPED_TRACE(fmt::format("traceroute {} {}", kind, to_string(family)));
      const auto found = hops(*client_, kind + " " + remote_->address(family));
      ASSERT_EQ(found.size(), 3U) << testing::PrintToString(found);
      EXPECT_THAT(a_.must("ip -o addr"), HasSubstr(" " + found[0] + "/"));
      EXPECT_THAT(b_.must("ip -o addr"), HasSubstr(" " + found[1] + "/"));
      EXPECT_EQ(found[2], remote_->address(family));
    }
  }
}

// A pod whose MTU is larger than the network's hears from its node what fits.
void Stack::expect_node_says_what_fits() {
  const int mtu = a_.mtu();
  a_.must(fmt::format("for link in $(ip -o link show type veth | grep -o 'mr[0-9a-f]*'); do ip link set $link mtu {}; done", mtu + 100));
  client_->must(fmt::format("ip link set eth0 mtu {}", mtu + 100));
  for (const Family family : families()) {
    EXPECT_EQ(learn_path_mtu(*client_, remote_->address(family), mtu + 50), mtu);
    expect_small_matrix(*client_, *remote_, remote_->address(family), mtu);
    client_->must("ip route flush cache; ip -6 route flush cache");
    const std::string target = "--to " + endpoint(remote_->address(family), 7300);
    const TrafficResult refused = traffic(*client_, fmt::format("udp --pmtu do --payload {} --count 2 --timeout 300 {}", mtu, target));
    EXPECT_THAT(refused.line, HasSubstr("Message too long"));
    const TrafficServer server(*remote_, 7300);
    const TrafficResult cut = traffic(*client_, fmt::format("udp --payload {} --count 5 {}", mtu + 20, target));
    EXPECT_TRUE(cut.ok) << "cut into fragments: " << cut.line;
  }
  EXPECT_GT(a_.counters()[MERINO_MTU], 0U) << a_.counters().to_string();
}

TEST_P(Stack, NodesSayWhatDoesNotPass) {
  expect_both_nodes_in_traceroute();
  expect_node_says_what_fits();
}

}  // namespace
}  // namespace merino::lab::backends_stack_test
