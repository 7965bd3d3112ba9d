// What fails on the agent's way: disk full, read-only files, no descriptors left, and every system call of a start.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <numeric>
#include <random>
#include <sstream>

#include "cni_node.h"
#include "lab/lab.h"
#include "lab/load.h"
#include "lab/traffic.h"
#include "support/sanitizer.h"
#include "support/slowdown.h"

namespace merino::lab::agent_faults_test {
namespace {

using testing::HasSubstr;

// The agent in want of something says what, and goes on by itself when it is there.
class AgentFaults : public testing::Test {
 protected:
  bool is_ready() { return node_.http_status("/readyz") == 200; }

  Lab lab_;
  Node& node_ = lab_.add_node("a", {.flags = "--ip-masq --full-check=1", .agent = AgentStart::later});
};

TEST_F(AgentFaults, DiskFull) {
  node_.must(fmt::format(fmt::runtime(kFullDisk), "/run/flannel"));
  node_.start_agent();
  node_.agent().wait_for_log("No space left on device", std::chrono::seconds(25));
  EXPECT_THAT(node_.agent().log(), HasSubstr("/run/flannel/subnet.env"));
  EXPECT_FALSE(is_ready());
  EXPECT_EQ(node_.must("ls -A /run/flannel"), "ballast\n") << "no half file";
  node_.must("rm /run/flannel/ballast");
  EXPECT_TRUE(eventually([&] { return is_ready(); }, std::chrono::seconds(25))) << node_.agent().log();
}

TEST_F(AgentFaults, ReadOnlyFiles) {
  node_.must("mkdir -p /run/flannel && mount -t tmpfs -o ro tmpfs /run/flannel");
  node_.start_agent();
  node_.agent().wait_for_log("Read-only file system", std::chrono::seconds(25));
  EXPECT_THAT(node_.agent().log(), HasSubstr("/run/flannel"));
  node_.must("mount -o remount,rw /run/flannel");
  EXPECT_TRUE(eventually([&] { return is_ready(); }, std::chrono::seconds(25))) << node_.agent().log();
}

TEST_F(AgentFaults, NoDescriptorsLeft) {
  node_.start_agent();
  node_.wait_ready();
  const Pod& pod = node_.add_pod("p1");
  const std::string limit = fmt::format("prlimit --pid {} --nofile=", node_.agent().pid());
  node_.must(limit + "8:4096; ip link del merino0");
  node_.agent().wait_for_log("Too many open files", std::chrono::seconds(25));
  EXPECT_TRUE(node_.agent().running());
  node_.must(limit + "4096:4096");
  EXPECT_TRUE(eventually([&] { return is_ready(); }, std::chrono::seconds(25))) << node_.agent().log();
  EXPECT_TRUE(ping(node_, "-c 1 -W 2 " + pod.address()).all());
}

// Another nft in place of the node's: it says `script`'s words, and merinod says them.
class NftFails : public AgentFaults, public testing::WithParamInterface<std::pair<const char*, const char*>> {};
INSTANTIATE_TEST_SUITE_P(Of, NftFails,
                         testing::Values(std::pair{"echo no room >&2; exit 1", "nft: no room"}, std::pair{"exit 3", "nft: exit code 3"},
                                         std::pair{"echo {]", "nftables gave no JSON listing"}));

TEST_P(NftFails, AndIsNamedAndAskedAgain) {
  const auto& [script, named] = GetParam();
  node_.must(
      fmt::format("printf '#!/bin/sh\n%s\n' \"{}\" >/run/nft && chmod +x /run/nft && mount --bind /run/nft $(command -v nft)", script));
  node_.start_agent();
  node_.agent().wait_for_log(named, std::chrono::seconds(25));
  EXPECT_FALSE(is_ready());
  node_.must("umount $(command -v nft)");
  EXPECT_TRUE(eventually([&] { return is_ready(); }, std::chrono::seconds(25))) << node_.agent().log();
}

struct Fault {
  const char* call;   // of strace
  const char* error;  // its name
  int number;         // and errno
};

void PrintTo(const Fault& fault, std::ostream* out) { *out << fault.call; }

// Each call of a merinod that starts fails once. MERINO_AGENT_FAULTS: how many of each are tried, some unless set; "all".
class AgentCallFails : public testing::TestWithParam<Fault> {
 protected:
  AgentCallFails() { lab_.wait_ready(); }

  // merinod with its `number`th call failing; 0: none does, they are only counted. Nothing fails in the programs that it calls.
  Process start_with(size_t number) {
    const std::string call = GetParam().call;
    const std::string inject = number == 0 ? "" : fmt::format(" -e inject={}:error={}:when={}", call, GetParam().error, number);
    return a_.start(fmt::format("exec env {} -b execve -o {} -e trace={}{} {} --lease-dir {} --healthz-port 8081 --ip-masq", kStrace, kLog,
                                call, inject, MERINOD, lab_.lease_dir()));
  }

  bool is_ready() { return a_.http_status("/readyz") == 200; }
  bool settles(Process& agent) {
    return eventually([&] { return is_ready() || !agent.running(); }, std::chrono::seconds(60));
  }

  static bool says(const Process& agent, const char* text) { return agent.log().find(text) != std::string::npos; }

  // Not merinod's own end, but the loader's or LeakSanitizer's.
  static bool others_ended(int code, const Process& agent) { return code == test::kLoaderFailed || test::leak_check_failed(agent.log()); }

  // strace does not pass signals on.
  void stop(Process& agent) {
    (void)a_.run("kill -TERM $(head -n 1 /run/merino/merinod.lock)");
    const int code = agent.wait();
    EXPECT_TRUE(code == 0 || others_ended(code, agent)) << code << agent.log();
  }

  // Of the thread that makes most of them: strace counts for each by itself.
  size_t count_calls() {
    a_.must(before_start_);
    Process agent = start_with(0);
    EXPECT_TRUE(settles(agent) && is_ready()) << agent.log();
    EXPECT_TRUE(eventually([&] { return a_.run("test -e /run/merino/status.json").ok(); })) << agent.log();
    stop(agent);
    const std::string most =
        a_.must(fmt::format("awk '/{}\\(/ {{ n[$1]++ }} END {{ for (i in n) print n[i] }}' {} | sort -n | tail -1", GetParam().call, kLog));
    return most.empty() ? 0 : std::stoul(most);
  }

  static std::vector<size_t> choose(size_t calls) {
    const char* wanted = std::getenv("MERINO_AGENT_FAULTS");
    std::vector<size_t> numbers(calls);
    std::iota(numbers.begin(), numbers.end(), 1);
    if (wanted != nullptr && std::strcmp(wanted, "all") == 0) return numbers;
    std::shuffle(numbers.begin(), numbers.end(), std::mt19937(std::random_device{}()));
    // On an emulated processor each takes half a minute.
    const size_t usual = test::slowdown() == 1 ? 4 : 1;
    numbers.resize(std::min(calls, wanted == nullptr ? usual : std::stoul(wanted)));
    return numbers;
  }

  void end_first() {
    a_.agent().signal(SIGTERM);
    EXPECT_EQ(a_.agent().wait(), 0);
  }

  void fail_in_turn() {
    const size_t calls = count_calls();
    ASSERT_GT(calls, 0U);
    whole_ = state();
    size_t injected = 0;
    for (const size_t number : choose(calls)) {
      SCOPED_TRACE(fmt::format("{} number {} fails with {}", GetParam().call, number, GetParam().error));
      injected += survives(number) ? 1 : 0;
    }
    fmt::print("{}: {} calls, {} failed, merinod ended at {}\n", GetParam().call, calls, injected, ended_);
    EXPECT_GT(injected, 0U);
  }

  // It goes on by itself, or it ends, says why, and the next one goes on. False: nothing failed.
  bool survives(size_t number) {
    a_.must(before_start_);
    Process agent = start_with(number);
    (void)eventually([&] { return !agent.running() || is_whole(); }, std::chrono::seconds(20));
    // What libbpf learnt of the kernel's features it keeps as long as the process lives, wrong answers too.
    if (agent.running() && !is_whole() && says(agent, "load the BPF programs")) stop(agent);
    EXPECT_TRUE(becomes_whole(agent) || !agent.running()) << state() << "instead of\n" << whole_ << agent.log();
    if (agent.running()) {
      stop(agent);
      return has_failed();
    }
    ended_++;
    const bool injected = has_failed();  // the next one's trace is another
    const int code = agent.wait();
    EXPECT_TRUE(code <= 1 || others_ended(code, agent)) << code << agent.log();
    EXPECT_TRUE(code != 1 || says(agent, std::strerror(GetParam().number))) << agent.log();
    Process next = start_with(0);
    EXPECT_TRUE(becomes_whole(next)) << state() << "instead of\n" << whole_ << agent.log() << next.log();
    stop(next);
    return injected;
  }

  bool has_failed() { return a_.run(fmt::format("grep -q INJECTED {}", kLog)).ok(); }

  bool is_whole() { return is_ready() && state() == whole_; }

  bool becomes_whole(Process& agent) {
    return eventually([&] { return !agent.running() || is_whole(); }, std::chrono::seconds(20)) && is_whole();
  }

  // What must stand when a node is ready. Maps in plain bytes: without the kernel's answer, libbpf makes one that has no types.
  [[nodiscard]] std::string state() const {
    return a_
        .run(R"(cat /run/flannel/subnet.env; ip -br addr show merino0; ip route; nft -s list table ip merino
                     cd /sys/fs/bpf/merino; find . -type f | sort
                     for map in pods peers nodes network; do bpftool -j map dump pinned $map | jq -c 'map(del(.formatted))'; done
                     ls -A /run/merino /run/flannel)")
        .out;
  }

  static constexpr const char* kLog = "/run/strace.log";

  Lab lab_;
  Node& a_ = lab_.add_node("a");
  Node& b_ = lab_.add_node("b");
  std::string before_start_ = ":";
  std::string whole_;
  int ended_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Of, AgentCallFails,
                         testing::Values(Fault{"openat", "EMFILE", EMFILE}, Fault{"read", "EIO", EIO}, Fault{"write", "ENOSPC", ENOSPC},
                                         Fault{"fsync", "EIO", EIO}, Fault{"rename", "EIO", EIO}, Fault{"mkdir", "ENOSPC", ENOSPC},
                                         Fault{"flock", "ENOLCK", ENOLCK}, Fault{"socket", "EMFILE", EMFILE},
                                         Fault{"bind", "EADDRINUSE", EADDRINUSE}, Fault{"sendto", "ENOBUFS", ENOBUFS},
                                         Fault{"recvfrom", "ENOMEM", ENOMEM}, Fault{"bpf", "ENOMEM", ENOMEM},
                                         Fault{"ioctl", "ENODEV", ENODEV}, Fault{"statfs", "EIO", EIO}, Fault{"capset", "EPERM", EPERM},
                                         Fault{"getdents64", "EIO", EIO}, Fault{"inotify_add_watch", "ENOSPC", ENOSPC}),
                         [](const auto& each) { return std::string(each.param.call); });

// Everything stands already, as after a crash: programs and maps are replaced or left, and no packet is lost.
TEST_P(AgentCallFails, OnceInARestart) {
  const Pod& on_a = a_.add_pod("a1");
  const Pod& on_b = b_.add_pod("b1");
  ASSERT_TRUE(ping(on_a, "-c 1 " + on_b.address()).all());
  end_first();
  Load load(on_a, on_b, on_b.address());
  fail_in_turn();
  load.expect_whole(fmt::format("{} fails", GetParam().call));
}

TEST_P(AgentCallFails, OnceOnABareNode) {
  const Pod& on_b = b_.add_pod("b1");
  end_first();
  before_start_ = fmt::format("{} --cleanup >/dev/null && rm -rf /run/flannel && test ! -e /sys/fs/bpf/merino", MERINOD);
  fail_in_turn();
  Process agent = start_with(0);
  ASSERT_TRUE(settles(agent) && is_ready()) << agent.log();
  EXPECT_TRUE(ping(a_.add_pod("a1"), "-c 1 " + on_b.address()).all());
  stop(agent);
}

}  // namespace
}  // namespace merino::lab::agent_faults_test
