// The programs below a clsact qdisc. A seccomp filter makes this kernel refuse the question for tcx, as kernels before 6.6 do.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <sys/mount.h>

#include <cerrno>

#include "base/process.h"
#include "datapath/attach.h"
#include "datapath/programs.h"
#include "without_tcx/refuse.h"

namespace merino::clsact_test {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string run(const std::string& command) {
  ProcessRequest request;
  request.argv = {"/bin/sh", "-c", command};
  const auto output = run_process(request);
  EXPECT_TRUE(output && output->succeeded()) << command << ": " << (output ? output->err : output.error().message());
  return output ? output->out : "";
}

class Clsact : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(unshare(CLONE_NEWNET | CLONE_NEWNS), 0) << "needs root: " << errno;
    ASSERT_EQ(mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0) << errno;
    ASSERT_EQ(mount("tmpfs", "/run", "tmpfs", 0, nullptr), 0) << errno;
    ASSERT_EQ(mount("sysfs", "/sys", "sysfs", 0, nullptr), 0) << errno;
    run("ip link add up0 type veth peer name up1");
    point_ = {"uplink", if_nametoindex("up0"), Direction::ingress};
    ASSERT_EQ(lab::refuse_tcx(), 0);
    load(1);
  }

  static void load(uint32_t vni) {
    merino_config config{};
    config.fast_path = 1;
    config.vni = vni;
    config.tunnel_port = htons(8472);
    config.tunnel = MERINO_PEER_VXLAN;
    const Status loaded = load_programs(config);
    ASSERT_TRUE(loaded) << loaded.error().message();
  }

  [[nodiscard]] bool attach_changed() const {
    const auto changed = attach(Program::from_wire, point_);
    EXPECT_TRUE(changed) << changed.error().message();
    return changed.value_or(false);
  }

  AttachPoint point_;
};

TEST_F(Clsact, attaches_once_and_says_so) {
  EXPECT_FALSE(is_attached(Program::from_wire, point_).value_or(true));
  EXPECT_TRUE(attach_changed());
  EXPECT_FALSE(attach_changed());
  EXPECT_TRUE(is_attached(Program::from_wire, point_).value_or(false));
  EXPECT_THAT(run("tc filter show dev up0 ingress"), HasSubstr("from_wire"));
  EXPECT_THAT(run("ls /sys/fs/bpf/merino/links"), Not(HasSubstr("uplink")));
}

TEST_F(Clsact, another_load_replaces_the_program) {
  EXPECT_TRUE(attach_changed());
  load(2);
  EXPECT_FALSE(is_attached(Program::from_wire, point_).value_or(true));
  EXPECT_TRUE(attach_changed());
  EXPECT_TRUE(is_attached(Program::from_wire, point_).value_or(false));
}

TEST_F(Clsact, foreign_filters_stay) {
  run("tc qdisc add dev up0 clsact; tc filter add dev up0 ingress pref 7 bpf da object-pinned /sys/fs/bpf/merino/programs/from_host");
  EXPECT_TRUE(attach_changed());
  EXPECT_THAT(run("tc filter show dev up0 ingress"), HasSubstr("pref 7 "));
  const Status detached = detach(point_);
  EXPECT_TRUE(detached) << detached.error().message();
  EXPECT_THAT(run("tc filter show dev up0 ingress"), testing::AllOf(HasSubstr("pref 7 "), Not(HasSubstr("from_wire"))));
  EXPECT_TRUE(detach(point_)) << "detaching twice is no error";
}

TEST_F(Clsact, a_missing_interface_is_named) {
  const auto attached = attach(Program::from_wire, {"uplink", 4711, Direction::ingress});
  ASSERT_FALSE(attached);
  EXPECT_THAT(attached.error().message(), HasSubstr("4711"));
}

}  // namespace
}  // namespace merino::clsact_test
