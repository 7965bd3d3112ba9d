// What the host translates must work, many times over, while plain pod traffic goes the fast way beside it: services as kube-proxy makes
// them, host ports by the portmap plugin, masquerade, with vxlan over IPv4. (backends_stack_test.cpp: the same for every backend, on hosts
// with the FORWARD policy DROP and strict reverse path filtering.)
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <csignal>

#include "lab/kube_proxy.h"
#include "lab/lab.h"
#include "lab/traffic.h"

namespace merino::lab::service_test {
namespace {

constexpr int kBackendPort = 8080;
// Source ports of the client: from one of a translated connection, a direct one to the same backend would be the stack's.
constexpr const char* kServicesPorts = "32768 44999";
constexpr const char* kDirectPorts = "45000 60999";
constexpr const char* kClusterIp = "10.96.0.10";
constexpr int kServicePort = 80;
constexpr int kNodePort = 30080;

// Two nodes, a client and a backend on each, an outside host, and services of each kind.
class Services : public testing::Test {
 protected:
  void SetUp() override {
    lab_.wait_ready();
    client_ = &a_.add_pod("client");
    local_ = &a_.add_pod("local");
    remote_ = &b_.add_pod("remote");
    for (const Pod* pod : {client_, local_, remote_}) servers_.emplace_back(*pod, kBackendPort);
    client_connects_from(kServicesPorts);
  }

  void client_connects_from(const std::string& ports) const {
    client_->must(fmt::format("sysctl -qw net.ipv4.ip_local_port_range='{}'", ports));
  }

  [[nodiscard]] static std::string backend(const Pod& pod) { return fmt::format("{}:{}", pod.address(), kBackendPort); }

  // One TCP and one UDP service at the same address and ports, on both nodes.
  void install(const std::vector<std::string>& backends) const {
    for (const Node* node : {&a_, &b_}) {
      install_kube_proxy(*node, {{"WEB", "tcp", kClusterIp, kServicePort, backends, kNodePort},
                                 {"DNS", "udp", kClusterIp, kServicePort, backends, kNodePort}});
    }
  }

  // Many connections, some bulk, and UDP in one datagram and in fragments; `seen_as` is what the backend sees ("": anything).
  static void expect_service(const Place& from, const std::string& target, const std::string& seen_as = "") {
    SCOPED_TRACE(from.name() + " to " + target);
    for (const char* kind : {"tcp --connections 30 --up 3000 --down 3000 --to ", "tcp --up 3000000 --down 3000000 --to ",
                             "udp --sockets 20 --payload 200 --count 2 --to ", "udp --payload 4000 --count 3 --to "}) {
      const TrafficResult result = traffic(from, kind + target);
      EXPECT_TRUE(result.ok) << kind << target << "\n" << result.line;
      if (!seen_as.empty() && !result.seen_as.empty()) {
        EXPECT_EQ(result.seen_as, seen_as) << kind;
      }
    }
  }

  // Pods by their own addresses go the fast way, also now that there are rules and translated flows.
  void expect_fast_beside() const {
    client_connects_from(kDirectPorts);
    const Counters before = a_.counters();
    for (const Pod* to : {local_, remote_}) {
      EXPECT_TRUE(ping(*client_, "-c 2 -i 0.01 " + to->address()).all()) << "through the stack";
      const TrafficResult result = traffic(*client_, "tcp --connections 5 --up 100000 --down 100000 --to " + backend(*to));
      EXPECT_TRUE(result.ok) << result.line;
    }
    client_connects_from(kServicesPorts);
    const Counters counted = a_.counters() - before;
    EXPECT_GT(counted[MERINO_LOCAL], 50U) << counted.to_string();
    EXPECT_GT(counted[MERINO_ENCAP], 20U) << counted.to_string();
    EXPECT_GT(counted.sum({MERINO_DECAP, MERINO_TUNNEL}), 20U) << counted.to_string();
    EXPECT_EQ(counted[MERINO_TRANSLATED] + counted[MERINO_NO_ROUTE] + counted.dropped(), 0U) << counted.to_string();
  }

  [[nodiscard]] static std::string cluster_ip() { return fmt::format("{}:{}", kClusterIp, kServicePort); }

  Lab lab_;
  Node& a_ = lab_.add_node("a");
  Node& b_ = lab_.add_node("b");
  Pod* client_ = nullptr;
  Pod* local_ = nullptr;
  Pod* remote_ = nullptr;
  std::vector<TrafficServer> servers_;
};

TEST_F(Services, ClusterIpWithRemoteBackend) {
  install({backend(*remote_)});
  expect_service(*client_, cluster_ip(), client_->address());
  EXPECT_GT(a_.counters()[MERINO_TRANSLATED], 0U) << "the answers look like plain pod traffic and are not";
  expect_service(a_, cluster_ip());
  expect_fast_beside();
}

TEST_F(Services, ClusterIpWithLocalBackend) {
  install({backend(*local_)});
  expect_service(*client_, cluster_ip(), client_->address());
  expect_service(a_, cluster_ip());
  expect_fast_beside();
}

TEST_F(Services, ClusterIpWithItselfAsBackend) {
  install({backend(*client_)});
  expect_service(*client_, cluster_ip());
  expect_fast_beside();
}

TEST_F(Services, ClusterIpWithSeveralBackends) {
  install({backend(*client_), backend(*local_), backend(*remote_)});
  expect_service(*client_, cluster_ip());
  expect_service(a_, cluster_ip());
  expect_service(b_, cluster_ip());
  expect_fast_beside();
}

// From one port to the backend itself and to the service, in turn: one connection has the addresses and ports that another one had.
// The client hears of no backend and the backend of no service, whatever happens to the agent; and nobody can speak as the service.
TEST_F(Services, AreNeverSeenUntranslated) {
  install({backend(*local_), backend(*remote_)});
  const auto count = [](const Pod& pod, const std::string& match) { pod.must("iptables -t raw -A PREROUTING " + match); };
  const auto counted = [](const Pod& pod) { return pod.must("iptables -t raw -L PREROUTING -nvx | awk 'NR>2 {printf \"%s \", $1}'"); };
  for (const char* protocol : {"tcp", "udp"}) {
    count(*client_, fmt::format("-p {} --sport {}", protocol, kBackendPort));
    for (const Pod* pod : {local_, remote_}) count(*pod, fmt::format("-p {} -d {}", protocol, kClusterIp));
  }
  Process stream = start_traffic(*client_, "tcp --until-signal 1 --interval-us 1000 --payload 1000 --to " + cluster_ip());
  for (const int signal : {0, SIGKILL, SIGTERM}) {
    if (signal != 0) {
      a_.agent().signal(signal);
      a_.agent().wait();
    }
    expect_service(*client_, cluster_ip());
    const TrafficResult many = traffic(*client_, "tcp --connections 100 --up 300 --down 300 --to " + cluster_ip());
    EXPECT_TRUE(many.ok) << many.line;
    if (signal != 0) {
      a_.start_agent();
      a_.wait_ready();
    }
  }
  EXPECT_TRUE(stream.running()) << stream.log();
  stream.signal(SIGTERM);
  stream.wait();
  EXPECT_TRUE(traffic_result(stream).ok) << traffic_result(stream).line;
  EXPECT_EQ(counted(*client_), "0 0 ");
  for (const Pod* pod : {local_, remote_}) EXPECT_EQ(counted(*pod), "0 0 ");
  const TrafficResult plain = traffic(*client_, "tcp --up 300 --down 300 --to " + backend(*remote_));
  EXPECT_TRUE(plain.ok) << plain.line;
  EXPECT_NE(counted(*client_), "0 0 ") << "a direct connection is counted";

  const uint64_t before = a_.counters()[MERINO_SPOOFED];
  const TrafficResult forged =
      traffic(*local_, fmt::format("spoof --from {} --to {}:{} --count 5", kClusterIp, client_->address(), kServicePort));
  EXPECT_TRUE(forged.ok) << forged.line;
  EXPECT_EQ(a_.counters()[MERINO_SPOOFED] - before, 5U);
}

TEST_F(Services, AndTheirBackendsFromTheSamePort) {
  install({backend(*remote_)});
  client_->must("sysctl -qw net.ipv4.tcp_max_tw_buckets=0");
  remote_->must("sysctl -qw net.ipv4.tcp_max_tw_buckets=0");
  for (int round = 0; round < 10; ++round) {
    for (const std::string& target : {backend(*remote_), cluster_ip()}) {
      const TrafficResult result =
          traffic(*client_, fmt::format("tcp --bind {}:40000 --up 200000 --down 200000 --to {}", client_->address(), target));
      EXPECT_TRUE(result.ok) << round << " " << target << "\n" << result.line;
    }
  }
  EXPECT_GT(a_.counters()[MERINO_TRANSLATED], 10U);
}

// At the same time they cannot be told apart: the one that was first goes on.
TEST_F(Services, DoNotDisturbAConnectionToTheirBackendFromTheSamePort) {
  install({backend(*remote_)});
  const std::string from_port = fmt::format("tcp --bind {}:40000 ", client_->address());
  Process first = start_traffic(*client_, from_port + "--until-signal 1 --interval-us 1000 --payload 1000 --to " + backend(*remote_));
  ASSERT_TRUE(eventually([&] { return client_->must("ss -Htn state established").find(":40000") != std::string::npos; }));
  const TrafficResult second = traffic(*client_, from_port + "--up 1000 --down 1000 --timeout 2000 --to " + cluster_ip());
  first.signal(SIGTERM);
  first.wait();
  const TrafficResult result = traffic_result(first);
  EXPECT_TRUE(result.ok) << result.line;
  EXPECT_GT(result.sent, 100000U);
  fmt::print("the service's connection: {}\n", second.ok ? "works" : second.line);
}

TEST_F(Services, NodePort) {
  const Machine& outside = lab_.add_host("outside");
  install({backend(*local_), backend(*remote_)});
  for (const Node* node : {&a_, &b_}) {
    const std::string target = fmt::format("{}:{}", node->address(), kNodePort);
    expect_service(outside, target);
    expect_service(*client_, target);
  }
  expect_fast_beside();
}

TEST_F(Services, MasqueradeToTheOutside) {
  const Machine& outside = lab_.add_host("outside", Segment::lan1);
  install({backend(*remote_)});
  const TrafficServer server(outside, 9000);
  expect_service(*client_, outside.address() + ":9000", a_.address());
  expect_service(*remote_, outside.address() + ":9000", b_.address());
  EXPECT_TRUE(ping(*client_, "-c 3 -i 0.01 " + outside.address()).all());
  expect_fast_beside();
}

TEST_F(Services, HostPortByPortmap) {
  const Machine& outside = lab_.add_host("outside");
  install({backend(*remote_)});
  const Pod& web = a_.add_pod(
      "web",
      {.runtime_config =
           R"({"portMappings":[{"hostPort":8088,"containerPort":8080,"protocol":"tcp"},{"hostPort":8088,"containerPort":8080,"protocol":"udp"}]})"});
  const TrafficServer server(web, kBackendPort);
  const std::string target = a_.address() + ":8088";
  expect_service(outside, target, outside.address());
  expect_service(*remote_, target);
  expect_service(*client_, target);
  expect_service(b_, target);
  expect_service(web, target);
  expect_fast_beside();
}

}  // namespace
}  // namespace merino::lab::service_test
