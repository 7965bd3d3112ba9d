// A network that somebody broke, and merinoctl as one has it at 3 a.m.: it names the cause, and nothing that is not one. What is wrong
// between nodes is in merinoctl_test.cpp, mistakes that merinod names are in agent_first_hour_test.cpp.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "lab/lab.h"
#include "merinoctl_run.h"

namespace merino::lab::merinoctl_broken_test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Two nodes with a pod each.
class Broken : public testing::Test {
 protected:
  std::string found(const std::string& arguments = "") {
    const Output output = ctl(a_, "check " + arguments + " -o json");
    EXPECT_EQ(output.exit_code, 2) << output.out << output.err;
    return words(json::parse(output.out).at("problems"));
  }
  // From now on nobody mends anything.
  void stop_agent() {
    a_.agent().signal(SIGTERM);
    EXPECT_EQ(a_.agent().wait(), 0);
  }

  Lab lab_;
  Node& a_ = lab_.add_node("a");
  Node& b_ = lab_.add_node("b");
  const Pod& pod_ = (lab_.wait_ready(), a_.add_pod("a1"));
  const Pod& far_ = b_.add_pod("b1");
};

TEST_F(Broken, RoutesOfAPodAreGone) {
  EXPECT_EQ(ctl(a_, "check").exit_code, 0);
  pod_.must("ip route flush dev eth0");
  const std::string whose = fmt::format("pod {} (default/container-a1)", pod_.address());
  EXPECT_THAT(found(), AllOf(HasSubstr(whose + " has no route to other nodes' pods"), HasSubstr("make the pod anew"),
                             HasSubstr(" of this node cannot send to node " + b_.address()), Not(HasSubstr("nothing can be sent"))));
  EXPECT_THAT(ctl(a_, "check").out, HasSubstr("trouble")) << "in the column of pods";
  EXPECT_THAT(found("--pod " + pod_.address()), HasSubstr(whose + " has no route to other nodes' pods"));
}

TEST_F(Broken, AddressAndInterfaceOfAPodAreGone) {
  const std::string whose = fmt::format("pod {} (default/container-a1)", pod_.address());
  pod_.must("ip addr flush dev eth0");
  EXPECT_THAT(found(), HasSubstr(whose + " has lost this address"));
  pod_.must("ip link set eth0 down");
  EXPECT_THAT(found(), HasSubstr("eth0 of " + whose + " is down"));
  pod_.must("ip link set eth0 name other");
  EXPECT_THAT(found(), HasSubstr(whose + " has no interface eth0 any more"));
}

TEST_F(Broken, OldLeaseOfANode) {
  a_.must(fmt::format(R"(printf '{{"PublicIP":"{}","BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"02:00:00:00:00:07"}}}}' )"
                      ">/tmp/lease && mv /tmp/lease {}/subnets/10.244.200.0-24",
                      b_.address(), lab_.lease_dir()));
  ASSERT_TRUE(eventually([&] { return ctl_json(a_, "peers").size() == 2; }, std::chrono::seconds(30)));
  const std::string text = found();
  EXPECT_THAT(text, AllOf(HasSubstr(fmt::format("node {} (10.244.200.0/24) answers for {}/24, but not for this subnet: an old lease",
                                                b_.address(), b_.subnet())),
                          HasSubstr("remove it where the leases are kept"), Not(HasSubstr("UDP port"))));
  EXPECT_TRUE(
      eventually([&] { return ctl(a_, "leases -o wide").out.find("10.244.200.0-24") != std::string::npos; }, std::chrono::seconds(30)))
      << "the key";
  EXPECT_THAT(ctl(b_, "status").out, HasSubstr("lease 10.244.200.0-24 is ignored: an old lease of this node"));
}

TEST_F(Broken, LeaseOfANodeThatIsGone) {
  a_.must(R"(printf '{"PublicIP":"192.168.88.200","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:07"}}' )"
          ">/tmp/lease && mv /tmp/lease " +
          lab_.lease_dir() + "/subnets/10.244.200.0-24");
  ASSERT_TRUE(eventually([&] { return ctl_json(a_, "peers").size() == 2; }, std::chrono::seconds(30)));
  EXPECT_THAT(found(), AllOf(HasSubstr("node 192.168.88.200 (10.244.200.0/24) answers neither at its own address nor through the tunnel"),
                             HasSubstr("The lease of one that is gone for good may be removed")));
}

TEST_F(Broken, ProgramsAreDetached) {
  stop_agent();
  const std::string out = fmt::format("route {} {}", pod_.address(), far_.address());
  const std::string in = fmt::format("route {} {}", far_.address(), pod_.address());
  EXPECT_EQ(ctl_json(a_, out).at("steps").at(0).at("result"), "encap");
  // tcx links, or filters below clsact on kernels before 6.6.
  a_.must(
      "for link in $(find /sys/fs/bpf/merino/links -type f); do bpftool link detach pinned $link; done; "
      "for each in /sys/class/net/*; do tc qdisc del dev ${each##*/} clsact 2>/dev/null; done; true");
  EXPECT_THAT(ctl(a_, "status").out, AllOf(HasSubstr("merinod is not running"), HasSubstr("from_wire is not attached to eth0"),
                                           HasSubstr("from_pod is not attached")));
  // What the programs would do is not what happens.
  const json sent = ctl_json(a_, out);
  EXPECT_EQ(sent.at("steps").at(0).at("result"), "not attached") << sent.dump(1);
  EXPECT_EQ(sent.at("end"), "dropped") << "from_host is gone, too";
  const json received = ctl_json(a_, in);
  EXPECT_EQ(received.at("steps").at(0).at("result"), "not attached") << received.dump(1);
  EXPECT_EQ(received.at("end"), "delivered");
  EXPECT_THAT(received.at("conclusion").get<std::string>(), HasSubstr("delivered by the host's stack"));
  EXPECT_THAT(received.at("notes").dump(), HasSubstr("a running merinod attaches it within seconds"));
}

TEST_F(Broken, RouteOfTheNetworkIsGone) {
  stop_agent();
  a_.must("ip route del 10.244.0.0/16");
  EXPECT_THAT(found(),
              AllOf(HasSubstr("merinod is not running"),
                    HasSubstr(fmt::format("packets of this host to the pod network ({}) leave by eth0, not by merino0", b_.subnet()))));
}

// The node gets another subnet, as with `rm subnet.env` and a reservation: the pod that is there keeps its address.
TEST_F(Broken, PodsOfTheSubnetThatANodeHadBefore) {
  stop_agent();
  const std::string lease = lab_.lease_dir() + "/subnets/" + a_.subnet() + "-24";
  a_.must("rm /run/flannel/subnet.env && mv " + lease + " /tmp/ && " + R"(printf '{"PublicIP":")" + a_.address() + R"("}' >)" +
          lab_.lease_dir() + "/subnets/10.244.200.0-24 && chmod 444 " + lab_.lease_dir() + "/subnets/10.244.200.0-24");
  a_.start_agent();
  a_.wait_ready();
  EXPECT_THAT(
      found(),
      AllOf(HasSubstr(fmt::format("1 addresses of pods are outside of this node's subnet 10.244.200.0/24: {} (default/container-a1)",
                                  pod_.address())),
            HasSubstr("make those pods anew"), Not(HasSubstr("overlaps"))));
}

// The same mistakes that merinod names, as merinoctl shows them.
TEST(FirstHourCheck, NotRoot) {
  Lab lab;
  Node& node = lab.add_node("a");
  node.wait_ready();
  node.must("chmod 755 /media && cp " MERINOCTL " /run/merinoctl && chmod 755 /run/merinoctl");
  for (const char* command :
       {"status", "check", "pods", "peers", "counters", "drops", "trace --seconds 1", "route 10.244.1.2 10.244.2.2", "bugtool"}) {
    const Output output = node.run(std::string("cd / && setpriv --reuid=65534 --clear-groups /run/merinoctl ") + command);
    EXPECT_EQ(output.exit_code, 1) << command << output.out << output.err;
    EXPECT_THAT(output.out + output.err, HasSubstr("run merinoctl as root")) << command;
  }
}

TEST(FirstHourCheck, NoBpfFileSystemAndNoTypeInformation) {
  Lab lab;
  Node& node = lab.add_node("a", {.before_start = "umount /sys/fs/bpf; mount -t tmpfs tmpfs /sys/kernel/btf", .agent = AgentStart::later});
  const Process agent = node.start(fmt::format("exec setpriv --bounding-set=-sys_admin {} --lease-dir {}", MERINOD, lab.lease_dir()));
  ASSERT_TRUE(eventually([&] { return agent.log().find("error programs:") != std::string::npos; })) << agent.log();
  ASSERT_TRUE(eventually([&] { return ctl(node, "check").exit_code == 2; }));
  EXPECT_THAT(words(ctl_json(node, "check").at("problems")),
              AllOf(HasSubstr("no BPF file system is mounted at /sys/fs/bpf; mount -t bpf bpf /sys/fs/bpf"),
                    HasSubstr("the kernel has no type information: /sys/kernel/btf/vmlinux does not exist; take a kernel built with "
                              "CONFIG_DEBUG_INFO_BTF")));
}

TEST(FirstHourCheck, APortThatAnotherDeviceHolds) {
  Lab lab;
  Node& node = lab.add_node("a", {.before_start = "ip link add vx9 type vxlan id 9 dev eth0 dstport 8472 nolearning; ip link set vx9 up"});
  ASSERT_TRUE(eventually([&] { return ctl(node, "check").out.find("vx9") != std::string::npos; }));
  EXPECT_THAT(words(ctl_json(node, "check").at("problems")), AllOf(HasSubstr("vx9"), HasSubstr("8472")));
}

TEST(FirstHourCheck, BrNetfilterWherePodsOfFlannelNeedIt) {
  Lab lab;
  Node& node = lab.add_node("a");
  node.wait_ready();
  node.must("[ ! -d /proc/sys/net/bridge ] || mount -t tmpfs tmpfs /proc/sys/net/bridge");
  EXPECT_EQ(ctl(node, "check").exit_code, 0);
  node.must("ip link add cni0 type bridge && ip link add port0 type veth peer name port1 && ip link set port0 master cni0");
  EXPECT_THAT(
      words(ctl_json(node, "check").at("problems")),
      AllOf(HasSubstr("br_netfilter is not loaded, and 1 pods of flannel are on its bridge cni0"), HasSubstr("modprobe br_netfilter")));
}

}  // namespace
}  // namespace merino::lab::merinoctl_broken_test
