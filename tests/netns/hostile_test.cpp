// Whoever may write leases says what they like, and a local user looks around: nothing that belongs to others changes hands.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lab/lab.h"
#include "lab/traffic.h"

namespace merino::lab::hostile_test {
namespace {

using testing::HasSubstr;

class Hostile : public testing::Test {
 protected:
  Hostile() { lab_.wait_ready(); }

  // A lease file as flannel's etcd value, written by somebody with access to the store.
  void write_lease(const std::string& key, const std::string& public_ip) const {
    lab_.underlay().write(fmt::format("{}/subnets/{}", lab_.lease_dir(), key),
                          fmt::format(R"({{"PublicIP":"{}","PublicIPv6":null,"BackendType":"vxlan","BackendData":)"
                                      R"({{"VNI":1,"VtepMAC":"02:66:66:66:66:66"}}}})",
                                      public_ip));
  }

  static std::string state(const Node& node) {
    return node.must("ip route; ip -o -4 addr show; bpftool -j map dump pinned /sys/fs/bpf/merino/pods; cat /run/flannel/subnet.env");
  }

  Lab lab_;
  Node& a_ = lab_.add_node("a");
  Node& b_ = lab_.add_node("b");
};

TEST_F(Hostile, LeasesTakeNothingOver) {
  const Pod& on_a = a_.add_pod("a1");
  const Pod& on_b = b_.add_pod("b1");
  ASSERT_TRUE(ping(on_a, "-c 1 -W 2 " + on_b.address()).all());
  const std::string before = state(a_);
  const std::string stranger = lab_.add_host("stranger").address();
  const std::string part_of_b = b_.subnet().substr(0, b_.subnet().size() - 1) + "128-25";
  // A default route, the loopback, the API server's and other addresses outside, the node's own subnet, and a part of another node's.
  const std::vector<std::string> keys = {"0.0.0.0-0",    "10.244.0.0-16", "127.0.0.0-8",       "10.96.0.0-24",     "192.168.88.0-24",
                                         "224.0.0.0-24", part_of_b,       a_.subnet() + "-24", a_.subnet() + "-25"};
  for (const std::string& key : keys) {
    if (key != a_.subnet() + "-24") write_lease(key, stranger);
  }
  // Subnets that are free, at addresses that no node can have.
  const std::vector<std::string> addresses = {a_.address(), b_.address(), "127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1"};
  int number = 240;
  for (const std::string& address : addresses) write_lease(fmt::format("10.244.{}.0-24", number++), address);
  write_lease("10.244.239.0-24", stranger);

  // The honest one of them is there, so all have been read; what there is to say of them is said after that.
  EXPECT_TRUE(
      eventually([&] { return a_.run("bpftool -j map dump pinned /sys/fs/bpf/merino/peers | grep -q '\"0xf4\",\"0xef\",\"0x00\"'").ok(); },
                 std::chrono::seconds(25)));
  for (const std::string& key : keys) {
    if (key == a_.subnet() + "-24") continue;
    EXPECT_TRUE(eventually([&] { return a_.read("/run/merino/status.json").find(key) != std::string::npos; })) << key << " is not named";
  }
  for (const char* impossible : {"\"0x7f\",\"0x00\",\"0x00\",\"0x01\"", "\"0xff\",\"0xff\",\"0xff\",\"0xff\",\"0xff\",\"0xff\"",
                                 "\"0xe0\",\"0x00\",\"0x00\",\"0x01\""})
    EXPECT_FALSE(a_.run(fmt::format("bpftool -j map dump pinned /sys/fs/bpf/merino/peers | grep -q '{}'", impossible)).ok()) << impossible;
  EXPECT_EQ(state(a_), before);
  EXPECT_TRUE(ping(on_a, "-c 3 -i 0.01 -W 2 " + on_b.address()).all());
  EXPECT_TRUE(ping(on_b, "-c 3 -i 0.01 -W 2 " + on_a.address()).all());
  EXPECT_TRUE(a_.agent().running());
}

TEST_F(Hostile, AUserWithoutPrivilegesSeesNoPinsAndWritesNoFiles) {
  (void)a_.add_pod("a1");
  const std::string as_nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs sh -c ";
  for (const char* command :
       {"ls /sys/fs/bpf/merino", "cat /sys/fs/bpf/merino/pods", "echo x > /run/flannel/subnet.env", "echo x > /run/merino/status.json",
        "echo x > /run/merino/merinod.lock", "touch /run/merino/x", "touch /run/flannel/x", "ls /run/merino/attachments/*",
        "rm /var/lib/cni/networks/cbr0/lock", "bpftool map dump pinned /sys/fs/bpf/merino/pods", "bpftool map dump name pods",
        "bpftool prog dump xlated name from_pod", "bpftool link detach pinned /sys/fs/bpf/merino/links/uplink", "kill $(pidof merinod)"}) {
    EXPECT_FALSE(a_.run(as_nobody + "'" + command + "'").ok()) << command;
  }
  EXPECT_EQ(a_.must("find /sys/fs/bpf/merino /run/merino /run/flannel -perm /022 ! -type l"), "") << "nobody else may write";
  EXPECT_EQ(a_.must("find /sys/fs/bpf/merino /run/merino /run/flannel ! -uid 0"), "") << "root's";
  EXPECT_TRUE(a_.run(as_nobody + "'cat /run/flannel/subnet.env'").ok()) << "what is no secret can be read";
  EXPECT_EQ(a_.must("ss -Hltunp | grep merinod | awk '{print $1, $5}'"), "tcp 0.0.0.0:8081\n") << "health, and nothing else";
  EXPECT_EQ(a_.must("ss -Hlxp | grep -c merinod || true"), "0\n");
}

// CAP_DAC_OVERRIDE 1, NET_BIND_SERVICE 10, NET_ADMIN 12, NET_RAW 13, SYS_MODULE 16, SYS_ADMIN 21, PERFMON 38, BPF 39.
TEST_F(Hostile, TheAgentKeepsNoCapabilityThatItDoesNotNeed) {
  const uint64_t kept = 1ULL << 1 | 1ULL << 10 | 1ULL << 12 | 1ULL << 13 | 1ULL << 16 | 1ULL << 21 | 1ULL << 38 | 1ULL << 39;
  const std::string status = a_.must(fmt::format("cat /proc/{}/status", a_.agent().pid()));
  for (const char* set : {"CapPrm:\t", "CapEff:\t", "CapBnd:\t"}) {
    const size_t at = status.find(set);
    ASSERT_NE(at, std::string::npos) << status;
    EXPECT_EQ(std::stoull(status.substr(at + 8, 16), nullptr, 16), kept) << set;
  }
  EXPECT_THAT(status, HasSubstr("NoNewPrivs:\t1"));
}

}  // namespace
}  // namespace merino::lab::hostile_test
