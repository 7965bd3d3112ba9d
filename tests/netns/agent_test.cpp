// merinod on whole nodes: what it makes, and that neither its end nor its next start disturbs anything.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "lab/lab.h"
#include "lab/traffic.h"
#include "lab/two_nodes.h"

namespace merino::lab::agent_test {
namespace {

using testing::HasSubstr;
using testing::Not;

// Everything that a restart must leave as it is: devices, addresses, routes, rules with their handles, programs and links by their ids.
std::string state_of(const Node& node) {
  return node.must(
      "ip -d -o link show merino0; ip -o addr show; ip route; nft -a list ruleset; cat /run/flannel/subnet.env;"
      "for pin in /sys/fs/bpf/merino/programs/*; do bpftool prog show pinned $pin | grep -o '^[0-9]*'; done;"
      "for pin in $(find /sys/fs/bpf/merino/links -type f | sort); do echo $pin; bpftool link show pinned $pin | grep -oE '^[0-9]+|prog "
      "[0-9]+'; "
      "done;"
      // Below clsact on kernels before 6.6.
      "for each in /sys/class/net/*; do tc filter show dev ${each##*/} ingress; tc filter show dev ${each##*/} egress; done");
}

TEST(Agent, MakesANode) {
  Lab lab;
  Node& node = lab.add_node("a");
  node.wait_ready();

  EXPECT_EQ(node.http_status("/healthz"), 200);
  EXPECT_EQ(node.read("/run/flannel/subnet.env"),
            fmt::format("FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET={}/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n", node.gateway()));
  const std::string device = node.must("ip -d link show merino0");
  EXPECT_THAT(device, HasSubstr("NOARP,UP"));
  EXPECT_THAT(device, HasSubstr("vxlan external"));
  EXPECT_THAT(device, HasSubstr("dstport 8472"));
  EXPECT_THAT(device, HasSubstr("mtu 1450"));
  const std::string addresses = node.must("ip -o -4 addr show merino0");
  EXPECT_THAT(addresses, HasSubstr(node.subnet() + "/32"));
  EXPECT_THAT(addresses, HasSubstr(node.gateway() + "/32"));
  EXPECT_THAT(node.must("ip route show 10.244.0.0/16"), HasSubstr("dev merino0 proto static scope link src " + node.subnet()));
  EXPECT_EQ(node.read("/proc/sys/net/ipv4/ip_forward"), "1\n");
  EXPECT_EQ(node.read("/proc/sys/net/ipv4/conf/merino0/rp_filter"), "2\n");
  EXPECT_THAT(state_of(node),
              testing::AnyOf(testing::AllOf(HasSubstr("links/uplink"), HasSubstr("links/device_in"), HasSubstr("links/device_out")),
                             testing::AllOf(HasSubstr("from_wire"), HasSubstr("from_tunnel"), HasSubstr("from_host"))));
  EXPECT_THAT(node.must("nft list table ip merino"), HasSubstr("masquerade fully-random"));
  const std::string status = node.read("/run/merino/status.json");
  EXPECT_THAT(status, HasSubstr("\"ready\": true"));
  EXPECT_THAT(status, HasSubstr(fmt::format("\"pid\": {}", node.must("cat /run/merino/merinod.lock | tr -d '\\n'"))));
}

TEST(Agent, FlagsOfTheRules) {
  Lab lab;
  Node& plain = lab.add_node("plain", {.flags = ""});
  Node& kept = lab.add_node("kept", {.flags = "--ip-masq --ip-masq-fully-random-disable"});
  lab.wait_ready();
  EXPECT_FALSE(plain.run("nft list table ip merino").ok()) << "no masquerade unless asked for";
  EXPECT_THAT(plain.read("/run/flannel/subnet.env"), HasSubstr("FLANNEL_IPMASQ=false"));
  EXPECT_THAT(kept.must("nft list table ip merino"), Not(HasSubstr("random")));
}

TEST(Agent, MasqueradeGoesWhenItIsSwitchedOff) {
  Lab lab;
  Node& node = lab.add_node("a");
  node.wait_ready();
  const std::string subnet = node.subnet();
  node.agent().kill();
  node.set_up({.flags = "--ip-masq=false"});
  ASSERT_TRUE(eventually([&] { return node.read("/run/flannel/subnet.env").find("IPMASQ=false") != std::string::npos; }));
  node.wait_ready();
  EXPECT_FALSE(node.run("nft list table ip merino").ok());
  EXPECT_EQ(node.subnet(), subnet);
}

class Restart : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Signal, Restart, testing::Values(SIGKILL, SIGTERM, SIGINT),
                         [](const auto& each) { return std::string(sigabbrev_np(each.param)); });

TEST_P(Restart, DisturbsNothing) {
  TwoNodes two_nodes;
  auto& [lab, a, b, on_a, on_b] = two_nodes;
  ASSERT_TRUE(ping(on_a, "-c 1 " + on_b.address()).all());
  const std::string before = state_of(a);
  const std::string mac = a.vtep_mac();

  Process pings = on_a.start(fmt::format("exec ping -D -i 0.002 {}", on_b.address()));
  pings.wait_for_log("icmp_seq=50 ");
  a.agent().signal(GetParam());
  const int exit_code = a.agent().wait();
  EXPECT_EQ(exit_code, GetParam() == SIGKILL ? 128 + SIGKILL : 0) << a.agent().log();
  EXPECT_EQ(state_of(a), before) << "while there is no agent";
  a.start_agent();
  a.wait_ready();
  EXPECT_EQ(state_of(a), before);
  EXPECT_EQ(a.vtep_mac(), mac);
  pings.signal(SIGINT);
  pings.wait();
  const PingResult result = ping_result(pings.log());
  EXPECT_TRUE(result.all()) << result.text.substr(result.text.rfind("---"));
}

TEST(Agent, SighupIsNoEnd) {
  Lab lab;
  Node& node = lab.add_node("a");
  node.wait_ready();
  node.agent().signal(SIGHUP);
  node.agent().signal(SIGTERM);
  EXPECT_EQ(node.agent().wait(), 0) << "ended by the second signal, in order";
  EXPECT_THAT(node.agent().log(), HasSubstr("SIGTERM received"));
}

TEST(Agent, ANewAddressIsAnnouncedWithTheSameSubnet) {
  TwoNodes two_nodes;
  auto& [lab, a, b, on_a, on_b] = two_nodes;
  const std::string subnet = a.subnet();
  const std::string mac = a.vtep_mac();
  a.ip_batch("addr del " + a.address() + "/24 dev eth0\naddr add 192.168.88.99/24 dev eth0\nroute replace default via 192.168.88.1\n");
  EXPECT_TRUE(eventually([&] { return ping(on_b, "-c 1 -W 1 " + on_a.address()).all(); }, std::chrono::seconds(30)));
  EXPECT_EQ(a.subnet(), subnet);
  EXPECT_EQ(a.vtep_mac(), mac);
  EXPECT_THAT(a.read("/run/merino/status.json"), HasSubstr("\"public_ip\": \"192.168.88.99\""));
}

TEST(Agent, AnotherMtuReachesTheDeviceAndThePlugin) {
  Lab lab;
  Node& a = lab.add_node("a");
  a.wait_ready();
  a.must("ip link set eth0 mtu 1400");
  EXPECT_TRUE(eventually([&] { return a.read("/run/flannel/subnet.env").find("FLANNEL_MTU=1350\n") != std::string::npos; }));
  EXPECT_THAT(a.must("ip link show merino0"), HasSubstr("mtu 1350"));
}

TEST(Agent, ALeaseThatDisappearsIsTakenAgain) {
  TwoNodes two_nodes;
  auto& [lab, a, b, on_a, on_b] = two_nodes;
  const std::string subnet = a.subnet();
  const std::string file = lab.lease_dir() + "/subnets/" + subnet + "-24";
  const std::string content = a.read(file);
  a.must("rm " + file);
  EXPECT_TRUE(eventually([&] { return a.run("cat " + file).out == content; }));
  EXPECT_EQ(a.subnet(), subnet);
  EXPECT_TRUE(eventually([&] { return ping(on_b, "-c 1 -W 1 " + on_a.address()).all(); }));
}

TEST(Agent, ALeaseOfAnotherBackendIsNamedAndIgnored) {
  Lab lab;
  Node& a = lab.add_node("a");
  a.wait_ready();
  a.write(lab.lease_dir() + "/subnets/10.244.77.0-24", R"({"PublicIP":"192.168.88.77","PublicIPv6":null,"BackendType":"host-gw"})");
  a.write(lab.lease_dir() + "/subnets/10.244.78.0-24", "no JSON");
  EXPECT_TRUE(eventually([&] {
    const std::string status = a.read("/run/merino/status.json");
    return status.find("10.244.77.0-24") != std::string::npos && status.find("10.244.78.0-24") != std::string::npos;
  }));
  EXPECT_THAT(a.agent().log(), HasSubstr("lease 10.244.77.0-24 is ignored: backend type \"host-gw\""));
  EXPECT_EQ(a.peer_count(), 0U);
  EXPECT_EQ(a.http_status("/readyz"), 200) << "another node's fault is not this one's";
}

}  // namespace
}  // namespace merino::lab::agent_test
