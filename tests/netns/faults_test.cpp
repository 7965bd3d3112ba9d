// What fails on the plugin's way: disk full, read-only files, no descriptors left, a full map, and every system call of ADD and DEL.
// Nothing crashes, nothing is left half made, and the error names what failed.
#include <bpf/bpf.h>
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "abi.h"
#include "base/fd.h"
#include "cni_node.h"
#include "support/sanitizer.h"

namespace merino::lab::faults_test {
namespace {

using nlohmann::json;
using testing::AnyOf;
using testing::HasSubstr;

// What a sanitizer's build adds has failed, instead of the plugin.
bool sanitizer_failed(const Output& output) {
  return (test::kSanitized && output.exit_code == test::kLoaderFailed) || test::leak_check_failed(output.err);
}

class CniFaults : public testing::Test {
 protected:
  CniFaults() { node_.make_netns("c1"); }

  // Text of a failing ADD, which must have left nothing beside `known`.
  std::string refused(const std::string& known = "") {
    const json error = node_.error("ADD", cni_conf());
    EXPECT_EQ(node_.leftovers(), known);
    EXPECT_FALSE(node_.in("c1", "ip link show eth0").ok());
    return error["msg"].get<std::string>() + "; " + error.value("details", "");
  }
  void expect_add_and_del() {
    (void)node_.add(cni_conf());
    const Output output = node_.call("DEL", cni_conf());
    EXPECT_TRUE(output.ok()) << output.out << output.err;
    EXPECT_EQ(node_.leftovers(), "");
  }

  CniNode node_;
};

TEST_F(CniFaults, DiskFull) {
  for (const char* directory : {"/var/lib/cni/networks/cbr0", "/run/merino/attachments"}) {
    node_.must(fmt::format(fmt::runtime(kFullDisk), directory));
    EXPECT_THAT(refused(fmt::format("{}/ballast\n", directory)),
                testing::AllOf(HasSubstr(directory), HasSubstr("No space left on device")));
    node_.must(fmt::format("umount {}", directory));
    expect_add_and_del();
  }
}

// What was attached before goes away although nothing more can be written.
TEST_F(CniFaults, DelOnAFullDisk) {
  node_.must("mkdir -p /var/lib/cni && mount -t tmpfs -o size=64k tmpfs /var/lib/cni");
  (void)node_.add(cni_conf());
  node_.must("dd if=/dev/zero of=/var/lib/cni/ballast bs=4k 2>/dev/null; true");
  const Output output = node_.call("DEL", cni_conf());
  EXPECT_TRUE(output.ok()) << output.out << output.err;
  EXPECT_EQ(node_.must("ls /var/lib/cni/networks/cbr0"), "last_reserved_ip.0\nlock\n");
}

TEST_F(CniFaults, ReadOnlyFiles) {
  node_.must("mkdir -p /var/lib/cni && mount -t tmpfs -o ro tmpfs /var/lib/cni");
  EXPECT_THAT(refused(), testing::AllOf(HasSubstr("/var/lib/cni"), HasSubstr("Read-only file system")));
  node_.must("mount -o remount,rw /var/lib/cni");
  expect_add_and_del();
}

TEST_F(CniFaults, PodsMapFull) {
  const Fd pods(bpf_obj_get(node_.outside_path(MERINO_PIN_ROOT "/pods").c_str()));
  ASSERT_TRUE(pods);
  merino_pod_key key{};
  const merino_pod pod{};
  for (uint32_t i = 0; i < MERINO_MAX_PODS; i++) {
    std::memcpy(key.addr.bytes, &i, sizeof(i));
    ASSERT_EQ(bpf_map_update_elem(pods.get(), &key, &pod, BPF_ANY), 0);
  }
  const json error = node_.error("ADD", cni_conf());
  EXPECT_THAT(error["msg"].get<std::string>(), AnyOf(HasSubstr("pods"), HasSubstr("full")));
  EXPECT_FALSE(node_.in("c1", "ip link show eth0").ok());
  for (uint32_t i = 0; i < MERINO_MAX_PODS; i++) {
    std::memcpy(key.addr.bytes, &i, sizeof(i));
    ASSERT_EQ(bpf_map_delete_elem(pods.get(), &key), 0);
  }
  EXPECT_EQ(node_.leftovers(), "");
  expect_add_and_del();
}

TEST_F(CniFaults, NoDescriptorsLeft) {
  bool worked = false;
  for (int limit = 3; limit < 40 && !worked; limit++) {
    SCOPED_TRACE(limit);
    CniCall call;
    call.prefix = fmt::format("prlimit --nofile={}", limit);
    const Output output = node_.call("ADD", cni_conf(), call);
    worked = output.ok();
    if (worked) break;
    if (sanitizer_failed(output)) continue;
    const json error = json::parse(output.out, nullptr, false);
    ASSERT_TRUE(error.is_object() && error.contains("msg")) << output.exit_code << output.out << output.err;
    ASSERT_THAT(error["msg"].get<std::string>(), HasSubstr("Too many open files"));
    ASSERT_EQ(node_.leftovers(), "");
    ASSERT_FALSE(node_.in("c1", "ip link show eth0").ok());
  }
  EXPECT_TRUE(worked) << "40 are enough";
  ASSERT_TRUE(node_.call("DEL", cni_conf()).ok());
  EXPECT_EQ(node_.leftovers(), "");
}

// Each call in turn fails once: ADD says so and has left nothing, or does without.
class CniCallFails : public CniFaults, public testing::WithParamInterface<std::pair<const char*, const char*>> {};
INSTANTIATE_TEST_SUITE_P(Of, CniCallFails,
                         testing::Values(std::pair{"mkdir", "ENOSPC"}, std::pair{"write", "ENOSPC"}, std::pair{"fsync", "EIO"},
                                         std::pair{"rename", "EIO"}, std::pair{"link", "ENOSPC"}, std::pair{"openat", "EMFILE"},
                                         std::pair{"flock", "ENOLCK"}, std::pair{"socket", "EMFILE"}, std::pair{"sendto", "ENOBUFS"},
                                         std::pair{"recvfrom", "ENOMEM"}, std::pair{"setns", "EPERM"}, std::pair{"bpf", "ENOMEM"}),
                         [](const auto& each) { return std::string(each.param.first); });

TEST_P(CniCallFails, IsNamedAndLeavesNothing) {
  const auto& [system_call, error_name] = GetParam();
  int failures = 0;
  for (int n = 1;; n++) {
    SCOPED_TRACE(fmt::format("{} number {} fails with {}", system_call, n, error_name));
    // Directories are made anew each time.
    node_.must("rm -rf /var/lib/cni /run/merino/attachments");
    const std::string log = "/run/strace.log";
    CniCall call;
    call.prefix = fmt::format("{0} -o {1} -e trace={2} -e inject={2}:error={3}:when={4}", kStrace, log, system_call, error_name, n);
    const Output output = node_.call("ADD", cni_conf(), call);
    const bool injected = node_.run("grep -q INJECTED " + log).ok();
    if (!injected) {
      ASSERT_TRUE(output.ok()) << output.out << output.err;
      break;
    }
    if (output.ok()) {
      const Output deleted = node_.call("DEL", cni_conf());
      ASSERT_TRUE(deleted.ok()) << deleted.out << deleted.err;
    } else {
      failures++;
      const json error = json::parse(output.out, nullptr, false);
      ASSERT_EQ(output.exit_code, 1) << output.out << output.err;
      if (node_.run("grep -q 'write(1, .*INJECTED' " + log).ok()) {
        ASSERT_THAT(output.err, HasSubstr("the answer cannot be written to standard output: No space left on device"));
        ASSERT_TRUE(node_.call("DEL", cni_conf()).ok()) << "as the runtime does after a failure";
      } else {
        ASSERT_TRUE(error.is_object() && error.contains("code") && !error.value("msg", "").empty()) << output.out << output.err;
      }
    }
    ASSERT_EQ(node_.leftovers(), "") << output.out;
    ASSERT_FALSE(node_.in("c1", "ip link show eth0").ok());
  }
  fmt::print("{}: ADD failed at {} of its calls\n", system_call, failures);
  EXPECT_GT(failures, 0);
}

// Likewise DEL: it leaves nothing, or says what failed and the next one leaves nothing.
class CniDelCallFails : public CniFaults, public testing::WithParamInterface<std::pair<const char*, const char*>> {};
INSTANTIATE_TEST_SUITE_P(Of, CniDelCallFails,
                         testing::Values(std::pair{"openat", "EMFILE"}, std::pair{"read", "EIO"}, std::pair{"unlink", "EIO"},
                                         std::pair{"flock", "ENOLCK"}, std::pair{"socket", "EMFILE"}, std::pair{"sendto", "ENOBUFS"},
                                         std::pair{"recvfrom", "ENOMEM"}, std::pair{"getdents64", "EIO"}, std::pair{"bpf", "ENOMEM"}),
                         [](const auto& each) { return std::string(each.param.first); });

TEST_P(CniDelCallFails, IsNamedAndTheNextLeavesNothing) {
  const auto& [system_call, error_name] = GetParam();
  int failures = 0;
  for (int n = 1;; n++) {
    SCOPED_TRACE(fmt::format("{} number {} fails with {}", system_call, n, error_name));
    (void)node_.add(cni_conf());
    const std::string log = "/run/strace.log";
    CniCall call;
    call.prefix = fmt::format("{0} -o {1} -e trace={2} -e inject={2}:error={3}:when={4}", kStrace, log, system_call, error_name, n);
    const Output output = node_.call("DEL", cni_conf(), call);
    const bool injected = node_.run("grep -q INJECTED " + log).ok();
    if (sanitizer_failed(output)) {
      ASSERT_TRUE(node_.call("DEL", cni_conf()).ok());
      continue;
    }
    if (!output.ok()) {
      failures++;
      const json error = json::parse(output.out, nullptr, false);
      ASSERT_EQ(output.exit_code, 1) << output.out << output.err;
      ASSERT_TRUE(error.is_object() && error.contains("code") && !error.value("msg", "").empty()) << output.out << output.err;
      const Output again = node_.call("DEL", cni_conf());
      ASSERT_TRUE(again.ok()) << again.out << again.err;
    }
    ASSERT_EQ(node_.leftovers(), "") << output.out;
    ASSERT_FALSE(node_.in("c1", "ip link show eth0").ok());
    if (!injected) break;
  }
  fmt::print("{}: DEL failed at {} of its calls\n", system_call, failures);
  EXPECT_GT(failures, 0);
}

// ADD and DEL, each killed now and then at any moment; what they leave goes with the next DEL. MERINO_CNI_CYCLES: how often, 200 unless
// set.
TEST_F(CniFaults, KilledAtRandom) {
  const char* wanted = std::getenv("MERINO_CNI_CYCLES");
  const long cycles = wanted == nullptr ? 200 : std::strtol(wanted, nullptr, 10);
  std::mt19937 random(std::random_device{}());
  long killed = 0;
  const auto interrupted = [&](const char* command) {
    CniCall call;
    call.container = fmt::format("c{}", random() % 3);
    call.ifname = fmt::format("eth{}", call.container.substr(1));
    call.prefix = fmt::format("timeout -s KILL 0.{:04}", 1 + random() % 300);
    killed += node_.call(command, cni_conf(), call).exit_code == 128 + SIGKILL ? 1 : 0;
  };
  for (long cycle = 0; cycle < cycles; cycle++) interrupted(random() % 3 == 0 ? "DEL" : "ADD");
  for (const char* number : {"0", "1", "2"}) {
    CniCall call;
    call.container = fmt::format("c{}", number);
    call.ifname = fmt::format("eth{}", number);
    const Output output = node_.call("DEL", cni_conf(), call);
    EXPECT_TRUE(output.ok()) << output.out << output.err;
  }
  fmt::print("{} of {} calls were killed\n", killed, cycles);
  EXPECT_EQ(node_.leftovers(), "");
  expect_add_and_del();
}

}  // namespace
}  // namespace merino::lab::faults_test
