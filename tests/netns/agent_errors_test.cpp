// What is wrong at the start ends merinod with exit code 1 and one line that says what to do; what is wrong later does not end it.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "lab/lab.h"
#include "lab/traffic.h"
#include "support/slowdown.h"

namespace merino::lab::agent_errors_test {
namespace {

using testing::HasSubstr;

constexpr const char* kNetConf = R"({"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}})";

std::string last_line(std::string text) {
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

// Runs merinod to its end on a machine without an agent.
class Refusal : public testing::Test {
 protected:
  Refusal() { host_.write("/etc/kube-flannel/net-conf.json", kNetConf); }

  std::string refused(const std::string& arguments, const std::string& before = "true") {
    const Output output = host_.run(fmt::format("{} && exec timeout {} {} {}", before, 10 * test::slowdown(), MERINOD, arguments));
    EXPECT_EQ(output.exit_code, 1) << output.out << output.err;
    EXPECT_FALSE(host_.run("ip link show merino0").ok()) << "nothing is made by an agent that refuses";
    EXPECT_EQ(output.out, "");
    return last_line(output.err);
  }

  Lab lab_;
  Machine& host_ = lab_.add_host("host");
  const std::string leases_ = "--lease-dir " + lab_.lease_dir();
};

TEST_F(Refusal, Flags) {
  EXPECT_THAT(refused(leases_ + " --kube-subnet-mgr"), HasSubstr("--kube-subnet-mgr and --lease-dir name two lease stores"));
  EXPECT_THAT(refused("--etcd-endpoints="), HasSubstr("flag --etcd-endpoints"));
  EXPECT_THAT(refused("--leese-dir=/x"), HasSubstr("unknown flag --leese-dir; merinod --help"));
  EXPECT_THAT(refused("--kube-subnet-mgr"), HasSubstr("POD_NAME and POD_NAMESPACE must be set, or NODE_NAME"));
}

TEST_F(Refusal, Configuration) {
  EXPECT_THAT(refused(leases_ + " --net-config-path /nowhere.json"), HasSubstr("/nowhere.json"));
  const auto with = [&](const std::string& json) {
    host_.write("/etc/kube-flannel/net-conf.json", json);
    return refused(leases_);
  };
  EXPECT_THAT(with("{"), HasSubstr("/etc/kube-flannel/net-conf.json"));
  EXPECT_THAT(with("{}"), HasSubstr("please define a correct Network parameter in the flannel config"));
  EXPECT_THAT(with(R"({"Network": "10.244.0.0/16", "Backend": {"Type": "wireguard"}})"), HasSubstr("wireguard"));
  EXPECT_THAT(with(R"({"Network": "10.244.0.0/29", "Backend": {"Type": "vxlan"}})"), HasSubstr("too small"));
  EXPECT_THAT(with(R"({"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan", "MTU": 500}})"), HasSubstr("500"));
}

TEST_F(Refusal, Uplink) {
  EXPECT_THAT(refused(leases_ + " --iface=eth7"),
              testing::AllOf(HasSubstr("there is no interface eth7"), HasSubstr("eth0 (" + host_.address())));
  EXPECT_THAT(refused(leases_ + " --iface=lo"), HasSubstr("loopback"));
  EXPECT_THAT(refused(leases_ + " --iface-can-reach=203.0.113.1", "ip route del default"), HasSubstr("--iface-can-reach=203.0.113.1"));
  EXPECT_THAT(refused(leases_), HasSubstr("there is no IPv4 default route")) << "it was deleted";
}

TEST_F(Refusal, LeaseDirectory) {
  EXPECT_THAT(refused("--lease-dir /proc/nothing"), HasSubstr("/proc/nothing"));
  EXPECT_THAT(refused("--lease-dir /etc/hostname"), HasSubstr("/etc/hostname"));
}

TEST_F(Refusal, HealthPort) {
  const Process other = host_.start("exec python3 -m http.server 8099 --bind 127.0.0.1");
  ASSERT_TRUE(eventually([&] { return host_.run("ss -ltn | grep -q :8099").ok(); }));
  EXPECT_THAT(refused(leases_ + " --healthz-ip 127.0.0.1 --healthz-port 8099"), HasSubstr("cannot listen on 127.0.0.1:8099"));
}

TEST_F(Refusal, NotRoot) {
  host_.must("chmod 755 /media && cp " MERINOD " /run/merinod && chmod 755 /run/merinod");
  const Output output = host_.run("setpriv --reuid=65534 --clear-groups /run/merinod " + leases_);
  EXPECT_EQ(output.exit_code, 1);
  // In a build that counts coverage, that user may not write the counts, and says so last.
  EXPECT_THAT(last_line(output.err.substr(0, output.err.find("profiling:"))), HasSubstr("must be root; start it with sudo"));
}

TEST(Agent, ASecondOneOnTheNodeIsRefused) {
  Lab lab;
  Node& node = lab.add_node("a");
  node.wait_ready();
  const Output second = node.run(fmt::format("exec timeout {} {} --lease-dir {}", 10 * test::slowdown(), MERINOD, lab.lease_dir()));
  EXPECT_EQ(second.exit_code, 1);
  EXPECT_THAT(last_line(second.err), HasSubstr(fmt::format("another merinod runs on this node (process {}",
                                                           node.must("head -1 /run/merino/merinod.lock | tr -d '\\n'"))));
  EXPECT_EQ(node.http_status("/readyz"), 200) << "the first one does not notice";
}

TEST(Agent, APortThatAnotherDeviceHoldsIsNamedUntilItIsFree) {
  Lab lab;
  Node& node = lab.add_node("a", {.before_start = "ip link add vx9 type vxlan id 9 dev eth0 dstport 8472 nolearning; ip link set vx9 up"});
  ASSERT_TRUE(eventually([&] { return node.run("cat /run/merino/status.json").out.find("vx9") != std::string::npos; }));
  EXPECT_THAT(node.agent().log(), HasSubstr("vx9"));
  EXPECT_EQ(node.http_status("/readyz"), 503);
  EXPECT_EQ(node.http_status("/healthz"), 200) << "it runs, and tries again";
  EXPECT_FALSE(node.run("cat /run/flannel/subnet.env").ok()) << "no pod is to be attached yet";
  node.must("ip link del vx9");
  node.wait_ready();
}

size_t count_of(const std::string& text, const std::string& word) {
  size_t count = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

// The kernel keeps the interface, its address and the programs on it, and every packet is lost: nothing else would say so.
TEST(Agent, AnUplinkThatIsDownIsToldOnceAndSoIsItsReturn) {
  Lab lab;
  Node& node = lab.add_node("a");
  node.wait_ready();
  const auto says = [&](const std::string& text) { return eventually([&] { return node.agent().log().find(text) != std::string::npos; }); };
  node.must("ip link set eth0 down");
  EXPECT_TRUE(says("warning uplink eth0 is down: no other node is reached until it is set up")) << node.agent().log();
  node.must("ip link set eth0 up");
  EXPECT_TRUE(says("info uplink eth0 carries packets again")) << node.agent().log();
  EXPECT_EQ(count_of(node.agent().log(), "uplink eth0 is down"), 1U) << node.agent().log();
}

TEST(Agent, AStartReadsAsOne) {
  Lab lab;
  Node& node = lab.add_node("a");
  node.wait_ready();
  const std::string log = node.agent().log();
  EXPECT_EQ(log.find("warning"), std::string::npos) << log;
  EXPECT_EQ(log.find("error"), std::string::npos) << log;
  EXPECT_EQ(log.find("is not in the store any more"), std::string::npos) << log;
  std::istringstream lines(log);
  std::set<std::string> seen;
  for (std::string line; std::getline(lines, line);) EXPECT_TRUE(seen.insert(line.substr(line.find(' '))).second) << "twice: " << line;
}

TEST(Agent, ErrorsAreLoggedOnceNotInALoop) {
  Lab lab;
  Node& node = lab.add_node("a", {.before_start = "ip link add vx9 type vxlan id 9 dev eth0 dstport 8472 nolearning; ip link set vx9 up"});
  ASSERT_TRUE(eventually([&] { return node.agent().log().find("error device: ") != std::string::npos; }));
  node.must("sleep 3");  // several attempts
  const std::string log = node.agent().log();
  EXPECT_EQ(log.find("error device: "), log.rfind("error device: ")) << log;
}

}  // namespace
}  // namespace merino::lab::agent_errors_test
