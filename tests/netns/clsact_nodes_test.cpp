// Nodes of a kernel without tcx: the programs are filters below clsact qdiscs. Whatever takes them away, they come back; and their
// replacement loses nothing.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>

#include "lab/lab.h"
#include "lab/load.h"
#include "lab/traffic.h"

namespace merino::lab::clsact_nodes_test {
namespace {

// merinod and the plugin by without_tcx.
NodeOptions without_tcx() {
  return {.flags = "--ip-masq --full-check=3600",
          .before_start = fmt::format("mkdir -p /run/cni/bin && printf '#!/bin/sh\\nexec {} {}\\n' >/run/cni/bin/merino && chmod +x "
                                      "/run/cni/bin/merino",
                                      WITHOUT_TCX, MERINO_PLUGIN),
          .prefix = WITHOUT_TCX};
}

struct TwoNodesWithoutTcx {
  Lab lab;
  Node& a = lab.add_node("a", without_tcx());
  Node& b = lab.add_node("b", without_tcx());
  const Pod& on_a = (lab.wait_ready(), a.add_pod("a1"));
  const Pod& on_b = b.add_pod("b1");
};

struct Damage {
  const char* name;
  const char* command;  // on node a; $HOST is the host side of its pod's veth
  const char* check;    // succeeds when it is mended
};

void PrintTo(const Damage& damage, std::ostream* out) { *out << damage.name; }

class ClsactHealing : public testing::TestWithParam<Damage> {};
INSTANTIATE_TEST_SUITE_P(
    Of, ClsactHealing,
    testing::Values(
        Damage{"UplinksQdisc", "tc qdisc del dev eth0 clsact", "tc filter show dev eth0 ingress | grep -q from_wire"},
        Damage{"UplinksFilter", "tc filter del dev eth0 ingress", "tc filter show dev eth0 ingress | grep -q from_wire"},
        Damage{"DevicesQdisc", "tc qdisc del dev merino0 clsact",
               "tc filter show dev merino0 ingress | grep -q from_tunnel && tc filter show dev merino0 egress | grep -q from_host"},
        Damage{"PodsQdisc", "tc qdisc del dev $HOST clsact", "tc filter show dev $HOST ingress | grep -q from_pod"}),
    [](const auto& each) { return std::string(each.param.name); });

TEST_P(ClsactHealing, ComesBack) {
  TwoNodesWithoutTcx two_nodes;
  auto& [lab, a, b, on_a, on_b] = two_nodes;
  ASSERT_EQ(a.must("ls /sys/fs/bpf/merino/links"), "") << "links would be tcx's";
  const std::string variables = fmt::format("HOST=$(ip route show {} | sed -nE 's/.* dev ([^ ]+).*/\\1/p'); ", on_a.address());
  ASSERT_TRUE(a.run(variables + GetParam().check).ok());

  a.must(variables + GetParam().command);
  const auto damaged = std::chrono::steady_clock::now();
  EXPECT_TRUE(eventually([&] { return a.run(variables + GetParam().check).ok(); }, std::chrono::seconds(25), std::chrono::milliseconds(5)));
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - damaged);
  fmt::print("{}: back after {} ms (an event told)\n", GetParam().name, took.count());

  const Counters before = a.counters();
  const TrafficServer server(on_a, 7100);
  const TrafficResult tcp = traffic(on_b, "tcp --to " + on_a.address() + ":7100 --up 500000 --down 500000");
  EXPECT_TRUE(tcp.ok) << tcp.line;
  const Counters counted = a.counters() - before;
  EXPECT_GT(counted[MERINO_ENCAP], 0U) << counted.to_string();
  EXPECT_GT(counted.sum({MERINO_DECAP, MERINO_TUNNEL}), 0U) << counted.to_string();
}

TEST(ClsactReload, OfAnotherConfigurationLosesNothing) {
  TwoNodesWithoutTcx two_nodes;
  auto& [lab, a, b, on_a, on_b] = two_nodes;
  ASSERT_TRUE(ping(on_a, "-c 1 " + on_b.address()).all());
  Load load(on_a, on_b, on_b.address(), 7500, Requests::many);
  for (const bool fast : {false, true}) {
    a.write("/etc/kube-flannel/net-conf.json",
            fmt::format(R"({{"Network": "10.244.0.0/16", "Backend": {{"Type": "vxlan", "FastPath": {}}}}})", fast));
    a.agent().signal(SIGTERM);
    EXPECT_EQ(a.agent().wait(), 0);
    a.start_agent();
    a.wait_ready();
    const Counters before = a.counters();
    EXPECT_TRUE(eventually([&] { return (a.counters() - before)[fast ? MERINO_ENCAP : MERINO_FAST_PATH_OFF] > 200; }))
        << (a.counters() - before).to_string();
  }
  load.expect_whole("another configuration below clsact");
}

// The bandwidth plugin needs the place of the qdisc: the program comes into its one.
TEST(ClsactBandwidth, IsKeptAndThePodIsChecked) {
  TwoNodesWithoutTcx two_nodes;
  auto& [lab, a, b, on_a, on_b] = two_nodes;
  const Pod& limited = a.add_pod("a2", {.runtime_config = R"({"bandwidth":{"egressRate":2000000,"egressBurst":2000000}})",
                                        .conflist = R"({"cniVersion":"1.0.0","name":"cbr0","plugins":[
                 {"type":"merino","capabilities":{"bandwidth":true}}, {"type":"bandwidth","capabilities":{"bandwidth":true}}]})"});
  const std::string host = fmt::format("$(ip route show {} | sed -nE 's/.* dev ([^ ]+).*/\\1/p')", limited.address());
  EXPECT_TRUE(eventually([&] { return a.run("tc filter show dev " + host + " ingress | grep -q from_pod").ok(); }));
  const TrafficServer server(on_b, 7100);
  const auto begin = std::chrono::steady_clock::now();
  const TrafficResult sent = traffic(limited, "tcp --to " + on_b.address() + ":7100 --up 1000000");
  EXPECT_TRUE(sent.ok) << sent.line;
  EXPECT_GT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(2500));
  EXPECT_GT(a.counters()[MERINO_BY_STACK], 0U) << a.counters().to_string();
}

}  // namespace
}  // namespace merino::lab::clsact_nodes_test
