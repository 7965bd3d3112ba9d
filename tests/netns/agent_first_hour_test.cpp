// Mistakes of the first hour: one clear sentence each, with the remedy, in the log, in merinoctl status and among a Node's Events. Those
// that end merinod at its start are in agent_errors_test.cpp, those that only other nodes can show in merinoctl_test.cpp.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "lab/lab.h"

namespace merino::lab::agent_first_hour_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// The line of the log that contains `text`; empty if none does within the time.
std::string logged(const Node& node, const std::string& text, Process& agent) {
  std::string found;
  eventually([&] {
    std::istringstream lines(agent.log());
    for (std::string line; std::getline(lines, line);) {
      if (line.find(text) != std::string::npos) found = line;
    }
    return !found.empty();
  });
  EXPECT_FALSE(found.empty()) << node.name() << "'s log has no \"" << text << "\":\n" << agent.log();
  return found;
}

TEST(FirstHour, NoBpfFileSystemAndNoRightToMountOne) {
  Lab lab;
  Node& node = lab.add_node("a", {.before_start = "umount /sys/fs/bpf", .agent = AgentStart::later});
  Process agent = node.start(fmt::format("exec setpriv --bounding-set=-sys_admin {} --lease-dir {}", MERINOD, lab.lease_dir()));
  EXPECT_THAT(logged(node, "error programs:", agent),
              AllOf(HasSubstr("mount bpffs at /sys/fs/bpf"), HasSubstr("mount -t bpf bpf /sys/fs/bpf")));
  EXPECT_FALSE(node.run("cat /run/flannel/subnet.env").ok());
}

TEST(FirstHour, ABpfFileSystemThatIsNotMountedIsMounted) {
  Lab lab;
  Node& node = lab.add_node("a", {.before_start = "umount /sys/fs/bpf"});
  node.wait_ready();
  EXPECT_TRUE(node.run("mountpoint -q /sys/fs/bpf && test -e /sys/fs/bpf/merino/pods").ok());
}

TEST(FirstHour, AKernelWithoutTypeInformation) {
  Lab lab;
  Node& node = lab.add_node("a", {.before_start = "mount -t tmpfs tmpfs /sys/kernel/btf"});
  const std::string line = logged(node, "error programs:", node.agent());
  EXPECT_THAT(line, AllOf(HasSubstr("/sys/kernel/btf/vmlinux"), HasSubstr("merino needs a kernel built with CONFIG_DEBUG_INFO_BTF")));
  EXPECT_EQ(node.http_status("/readyz"), 503);
  node.must("umount /sys/kernel/btf");
  node.wait_ready();
}

// The programs are compiled when merino is built and fitted to the kernel by its type information.
TEST(FirstHour, NeitherKernelHeadersNorACompilerAreNeeded) {
  Lab lab;
  Node& node = lab.add_node("a", {.before_start = "for d in /usr/src /usr/include /lib/modules /usr/lib/llvm*; do "
                                                  "[ ! -d $d ] || mount -t tmpfs tmpfs $d; done"});
  EXPECT_EQ(node.must("ls -A /usr/src /usr/include /lib/modules | grep -v -e : -e '^$' | wc -l"), "0\n");
  node.wait_ready();
  EXPECT_TRUE(node.run("bpftool prog show pinned /sys/fs/bpf/merino/programs/from_pod").ok());
}

TEST(FirstHour, AnMtuThatTheUplinkDoesNotCarry) {
  Lab lab;
  Node& node = lab.add_node("a", {.net_conf = R"({"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan", "MTU": 9000}})"});
  EXPECT_THAT(logged(node, "Backend.MTU", node.agent()), AllOf(HasSubstr("Backend.MTU is 9000, but the uplink eth0 carries 1500 bytes"),
                                                               HasSubstr("set Backend.MTU to 1500 or less")));
}

// The kernel knows it, the programs do not ask.
TEST(FirstHour, ARouteToOtherNodesThatCarriesLess) {
  Lab lab;
  Node& node = lab.add_node("a", {.flags = "--full-check=1"});
  const Node& other = lab.add_node("b");
  lab.wait_ready();
  EXPECT_EQ(node.agent().log().find("carries"), std::string::npos) << node.agent().log();
  node.must("ip route replace 192.168.88.0/24 dev eth0 proto kernel scope link src " + node.address() + " mtu 1400");
  EXPECT_THAT(logged(node, "carries 1400 bytes", node.agent()),
              AllOf(HasSubstr("the route 192.168.88.0/24 of the uplink eth0, by which node " + other.address() + " is reached"),
                    HasSubstr("set Backend.MTU to 1400 or less on every node")));
}

TEST(FirstHour, APodNetworkThatIsTheUplinks) {
  Lab lab;
  Node& node = lab.add_node("a", {.net_conf = R"({"Network": "192.168.0.0/16", "Backend": {"Type": "vxlan"}})"});
  const std::string line = logged(node, "overlaps", node.agent());
  EXPECT_THAT(line, AllOf(HasSubstr("the pod network 192.168.0.0/16 overlaps 192.168.88.0/24, the network of the uplink eth0"),
                          HasSubstr("choose another Network")));
  // Each of these has it look again.
  for (int i = 0; i < 3; ++i) node.must("ip link add t0 type veth peer name t1; sleep 0.5; ip link del t0; sleep 0.5");
  const std::string log = node.agent().log();
  EXPECT_EQ(log.find(" overlaps "), log.rfind(" overlaps ")) << "once, not in a loop";
}

// Each line of the log is an Event of the Node: reason and message.
TEST(FirstHour, InKubernetesTheseAreEventsOfTheNode) {
  Lab lab;
  Node& node = lab.add_node("a", {.net_conf = R"({"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan", "MTU": 9000}})",
                                  .before_start = "mount -t tmpfs tmpfs /sys/kernel/btf",
                                  .agent = AgentStart::later});
  Process events =
      node.start("mkdir -p /run/kube && exec " API_SERVER
                 R"( /run/kube node1=10.244.1.0/24 node2=10.244.1.128/25 'node3=10.244.3.0/24={"VNI":1,"VtepMAC":"01:00:5e:00:00:01"}')");
  events.wait_for_log("listening");
  const Process agent =
      node.start("NODE_NAME=node1 exec " MERINOD " --kube-subnet-mgr --kubeconfig-file=/run/kube/kubeconfig --metrics-port=9477");
  const std::string mtu = logged(node, "MtuMismatch", events);
  EXPECT_THAT(mtu, AllOf(HasSubstr("Backend.MTU is 9000, but the uplink eth0 carries 1500 bytes"), HasSubstr("set Backend.MTU to 1500")));
  EXPECT_THAT(logged(node, "ProgramsNotLoaded", events),
              AllOf(HasSubstr("merinod could not load its BPF programs"), HasSubstr("CONFIG_DEBUG_INFO_BTF")));
  const auto counts = [&](const std::string& reason) {
    return node.must("curl -s http://127.0.0.1:9477/metrics").find("merino_notices{reason=\"" + reason + "\"} 1\n") != std::string::npos;
  };
  EXPECT_TRUE(eventually([&] { return counts("MtuMismatch") && counts("ProgramsNotLoaded"); }));

  EXPECT_EQ(events.log().find("KernelLacksFeature"), std::string::npos) << "of conntrack it has not been asked";
  node.must("umount /sys/kernel/btf");
  EXPECT_THAT(logged(node, "SubnetConflict", events), HasSubstr("node2"));
  EXPECT_THAT(logged(node, "LeaseIgnored", events), HasSubstr("node3"));
  EXPECT_TRUE(eventually([&] { return !counts("ProgramsNotLoaded") && counts("SubnetConflict") && counts("LeaseIgnored"); }));
}

TEST(Log, JsonOnRequest) {
  Lab lab;
  Node& node = lab.add_node("a", {.flags = "--ip-masq --log-format=json"});
  node.wait_ready();
  std::istringstream lines(node.agent().log());
  size_t count = 0;
  std::string all;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto object = nlohmann::json::parse(line, nullptr, false);
    ASSERT_TRUE(object.is_object() && object.contains("time") && object.contains("level")) << line;
    all += object.at("message").get<std::string>() + "\n";
  }
  EXPECT_GT(count, 5U);
  EXPECT_THAT(all, HasSubstr("ready: pods of "));
}

}  // namespace
}  // namespace merino::lab::agent_first_hour_test
