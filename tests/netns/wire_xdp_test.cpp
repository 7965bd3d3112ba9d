// --wire-xdp: the program before from_wire on the uplink, in both modes, beside other XDP programs, and gone when it is not wanted.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <thread>

#include "lab/lab.h"
#include "lab/load.h"
#include "lab/matrix.h"
#include "lab/traffic.h"

namespace merino::lab::wire_xdp_test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr int kCount = 20;
constexpr const char* kLink = "/sys/fs/bpf/merino/links/wire_xdp";

NodeOptions with_xdp(const std::string& mode) { return {.flags = "--ip-masq --wire-xdp=" + mode}; }

// "" if there is no XDP program: "xdp" for one in the driver, "xdpgeneric" for one in the stack.
std::string xdp_on(const Place& node, const std::string& interface = "eth0") {
  return node.must("ip link show " + interface + " | grep -ow 'xdp\\(generic\\|drv\\|offload\\|\\)' | head -1 | tr -d '\\n'");
}

std::string link_fact(const Node& node, const std::string& key) {
  return json::parse(node.must(std::string("bpftool -j link show pinned ") + kLink)).at(key).dump();
}

void restart_with(Node& node, const NodeOptions& options) {
  node.agent().signal(SIGTERM);
  node.agent().wait();
  node.set_up(options);
  node.wait_ready();
}

// Tunnel packets for node's pod from somebody who is no peer, in the name of a peer's pod.
void forge(const Machine& stranger, const Node& node, const Pod& as, const Pod& to) {
  const TrafficResult sent =
      traffic(stranger, fmt::format("vxlan --to {} --target-mac {} --inner-from {} --inner-to {} --count {}",
                                    endpoint(node.address(), 8472), node.vtep_mac(), as.address(), endpoint(to.address(), 7600), kCount));
  ASSERT_TRUE(sent.ok) << sent.line;
}

struct Mode {
  const char* flag;
  const char* shown;
};
void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.flag; }

class WireXdp : public testing::TestWithParam<Mode> {
 protected:
  WireXdp() { lab_.wait_ready(); }
  Lab lab_;
  Machine& stranger_ = lab_.add_host("stranger");
  Node& a_ = lab_.add_node("a", with_xdp(GetParam().flag));
  Node& b_ = lab_.add_node("b");
};
INSTANTIATE_TEST_SUITE_P(Mode, WireXdp, testing::Values(Mode{"native", "xdp"}, Mode{"auto", "xdp"}, Mode{"generic", "xdpgeneric"}),
                         [](const auto& value) { return value.param.flag; });

TEST_P(WireXdp, ForgeriesEndThereAndTrafficGoesOn) {
  ASSERT_TRUE(eventually([&] { return xdp_on(a_) == GetParam().shown; })) << "it is " << xdp_on(a_);
  const Pod& on_a = a_.add_pod("a1");
  const Pod& on_b = b_.add_pod("b1");
  expect_matrix(on_b, on_a, on_a.address());
  const Counters before = a_.counters();
  forge(stranger_, a_, on_b, on_a);
  EXPECT_TRUE(eventually([&] { return (a_.counters() - before)[MERINO_UNKNOWN_SENDER] == kCount; }))
      << (a_.counters() - before).to_string();
  const json drops = json::parse(a_.must(MERINOCTL " drops -o json"));
  EXPECT_THAT(drops.dump(), AllOf(HasSubstr("unknown_sender"), HasSubstr("\"program\":\"wire_xdp\""), Not(HasSubstr("\"from_wire\""))));
  EXPECT_THAT(a_.must(MERINOCTL " status"), HasSubstr("wire_xdp@eth0"));
  const TrafficServer server(on_a, 7700);
  const Counters earlier = a_.counters();
  EXPECT_TRUE(traffic(on_b, "udp --count 50 --to " + endpoint(on_a.address(), 7700)).ok);
  EXPECT_GE((a_.counters() - earlier)[MERINO_DECAP], 50U) << "the fast path is as fast: " << (a_.counters() - earlier).to_string();
  const Counters meanwhile = a_.counters();
  expect_small_matrix(on_a, on_b, on_b.address(), 1450);
  EXPECT_EQ((a_.counters() - meanwhile).dropped(), 0U) << (a_.counters() - meanwhile).to_string();
}

TEST_P(WireXdp, LivesThroughARestartAndGoesWithTheFlag) {
  ASSERT_TRUE(eventually([&] { return xdp_on(a_) == GetParam().shown; }));
  const Pod& on_a = a_.add_pod("a1");
  const Pod& on_b = b_.add_pod("b1");
  const std::string link = link_fact(a_, "id");
  const std::string program = link_fact(a_, "prog_id");
  Load load(on_b, on_a, on_a.address());
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  a_.agent().signal(SIGKILL);
  a_.agent().wait();
  EXPECT_EQ(xdp_on(a_), GetParam().shown) << "with the agent down";
  a_.start_agent();
  a_.wait_ready();
  load.expect_whole("restart");
  EXPECT_EQ(link_fact(a_, "id"), link);
  EXPECT_EQ(link_fact(a_, "prog_id"), program);

  restart_with(a_, {});
  EXPECT_TRUE(eventually([&] { return xdp_on(a_).empty(); })) << "the default is off";
  EXPECT_FALSE(a_.run(std::string("ls ") + kLink).ok());
  EXPECT_TRUE(ping(on_b, "-c 2 -i 0.01 " + on_a.address()).all());
}

TEST_P(WireXdp, CleanupTakesItOff) {
  ASSERT_TRUE(eventually([&] { return xdp_on(a_) == GetParam().shown; }));
  a_.agent().signal(SIGTERM);
  a_.agent().wait();
  a_.must(MERINOD " --cleanup");
  EXPECT_TRUE(eventually([&] { return xdp_on(a_).empty(); }));
}

// Another configuration (the MTU's) is frozen into another program; the link stays, so nothing is let through meanwhile.
TEST(WireXdpLink, GetsAnotherConfigurationsProgram) {
  Lab lab;
  Node& node = lab.add_node("a", with_xdp("native"));
  lab.wait_ready();
  ASSERT_TRUE(eventually([&] { return xdp_on(node) == "xdp"; }));
  const std::string link = link_fact(node, "id");
  const std::string program = link_fact(node, "prog_id");
  node.must("ip link set eth0 mtu 1400");
  EXPECT_TRUE(eventually([&] { return link_fact(node, "prog_id") != program; }, std::chrono::seconds(20)));
  EXPECT_EQ(link_fact(node, "id"), link);
}

TEST(WireXdpLink, IsMadeAnewInAnotherModeAndAfterDamage) {
  Lab lab;
  Node& node = lab.add_node("a", with_xdp("native"));
  lab.wait_ready();
  ASSERT_TRUE(eventually([&] { return xdp_on(node) == "xdp"; }));
  restart_with(node, with_xdp("generic"));
  EXPECT_TRUE(eventually([&] { return xdp_on(node) == "xdpgeneric"; })) << node.agent().log();
  node.must(std::string("bpftool link detach pinned ") + kLink);
  EXPECT_TRUE(eventually([&] { return xdp_on(node) == "xdpgeneric"; }, std::chrono::seconds(20))) << node.agent().log();
  node.must("rm -r /sys/fs/bpf/merino/*");
  EXPECT_TRUE(
      eventually([&] { return xdp_on(node) == "xdpgeneric" && node.run(std::string("ls ") + kLink).ok(); }, std::chrono::seconds(20)))
      << node.agent().log();
}

TEST(WireXdpLink, GoesWithTheTunnel) {
  for (const char* backend : {"host-gw", "alloc"}) {
    SCOPED_TRACE(backend);
    Lab lab;
    NodeOptions options = with_xdp("native");
    Node& node = lab.add_node("a", options);
    lab.wait_ready();
    ASSERT_TRUE(eventually([&] { return xdp_on(node) == "xdp"; }));
    options.net_conf = fmt::format(R"({{"Network": "10.244.0.0/16", "Backend": {{"Type": "{}"}}}})", backend);
    restart_with(node, options);
    EXPECT_TRUE(eventually([&] { return xdp_on(node).empty(); }, std::chrono::seconds(20))) << node.agent().log();
  }
}

TEST(WireXdpLink, FollowsTheUplink) {
  Lab lab;
  Node& node = lab.add_node("a", with_xdp("native"));
  lab.wait_ready();
  ASSERT_TRUE(eventually([&] { return xdp_on(node) == "xdp"; }));
  node.ip_batch(
      fmt::format("link add eth1 type veth peer name other\nlink set other up\nlink set eth1 up\naddr flush dev eth0\n"
                  "addr add {}/24 dev eth1\nroute add default via 192.168.88.1 dev eth1\n",
                  node.address()));
  EXPECT_TRUE(eventually([&] { return xdp_on(node, "eth1") == "xdp"; }, std::chrono::seconds(20))) << node.agent().log();
  EXPECT_EQ(xdp_on(node), "");
}

// An interface has room for one.
TEST(WireXdpBesideOthers, TheNodeIsReadyAndSaysWhatToDo) {
  for (const char* mode : {"native", "auto"}) {
    SCOPED_TRACE(mode);
    Lab lab;
    NodeOptions options = with_xdp(mode);
    options.before_start = "bpftool prog load " OTHERS_XDP_OBJECT
                           " /sys/fs/bpf/other type xdp && bpftool net attach xdpgeneric pinned /sys/fs/bpf/other dev eth0";
    Node& node = lab.add_node("a", options);
    lab.wait_ready();
    node.agent().wait_for_log("another XDP program is on interface");
    EXPECT_THAT(node.agent().log(), AllOf(HasSubstr("bpftool net show"), HasSubstr("--wire-xdp=off")));
    EXPECT_EQ(node.http_status("/readyz"), 200);
    EXPECT_EQ(xdp_on(node), "xdpgeneric") << "the other's";
    EXPECT_FALSE(node.run(std::string("ls ") + kLink).ok());
    // When it goes, merino's takes the place.
    node.must("bpftool net detach xdpgeneric dev eth0");
    EXPECT_TRUE(eventually([&] { return xdp_on(node) == "xdp"; }, std::chrono::seconds(30))) << node.agent().log();
  }
}

// A bridge has no native XDP.
TEST(WireXdpBesideOthers, WhereTheDriverCannot) {
  Lab lab;
  Machine& stranger = lab.add_host("stranger");
  const auto on_bridge = [&](const std::string& name, const std::string& mode) -> Node& {
    NodeOptions options = with_xdp(mode);
    options.flags += " --iface=br0";
    options.before_start =
        "address=$(ip -o -4 addr show eth0 | awk '{print $4}'); ip link add br0 type bridge; ip link set br0 up; ip addr flush dev eth0; "
        "ip link set eth0 master br0; ip addr add $address dev br0; ip route add default via 192.168.88.1";
    return lab.add_node(name, options);
  };
  Node& automatic = on_bridge("a", "auto");
  Node& native = on_bridge("n", "native");
  Node& generic = on_bridge("g", "generic");
  lab.wait_ready();
  native.agent().wait_for_log("has no native XDP");
  automatic.agent().wait_for_log("has no native XDP");
  for (Node* node : {&automatic, &native}) {
    EXPECT_THAT(node->agent().log(), HasSubstr("--wire-xdp=generic works everywhere"));
    EXPECT_EQ(xdp_on(*node, "br0"), "");
  }
  EXPECT_THAT(native.run(MERINOCTL " status").out, HasSubstr("wire-xdp"));
  EXPECT_THAT(automatic.run(MERINOCTL " status").out, Not(HasSubstr("wire-xdp")));
  EXPECT_TRUE(eventually([&] { return xdp_on(generic, "br0") == "xdpgeneric"; })) << generic.agent().log();
  EXPECT_THAT(automatic.agent().log(), Not(HasSubstr("[error]")));
  const Pod& on_generic = generic.add_pod("g1");
  const Pod& on_native = native.add_pod("n1");
  const Counters before = generic.counters();
  forge(stranger, generic, on_native, on_generic);
  EXPECT_TRUE(eventually([&] { return (generic.counters() - before)[MERINO_UNKNOWN_SENDER] == kCount; }));
  expect_small_matrix(on_native, on_generic, on_generic.address(), 1450);
}

}  // namespace
}  // namespace merino::lab::wire_xdp_test
