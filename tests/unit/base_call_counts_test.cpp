#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <numeric>

#include "base/call_counts.h"
#include "support/temp_dir.h"

namespace merino {
namespace base_call_counts_test {

using std::chrono::milliseconds;

uint64_t calls(const std::string& path, const std::string& command, unsigned code) {
  const auto counts = read_call_counts(path);
  if (!counts) return UINT64_MAX;
  for (const CallCount& count : *counts) {
    if (count.command == command && count.code == code)
      return std::accumulate(count.durations.buckets.begin(), count.durations.buckets.end(), uint64_t{0});
  }
  return UINT64_MAX;
}

TEST(DurationHistogram, BoundsBelongToTheirBucket) {
  EXPECT_EQ(duration_bucket(milliseconds(0)), 0U);
  EXPECT_EQ(duration_bucket(milliseconds(1)), 0U);
  EXPECT_EQ(duration_bucket(std::chrono::microseconds(1001)), 1U);
  EXPECT_EQ(duration_bucket(milliseconds(10000)), kDurationBuckets - 2);
  EXPECT_EQ(duration_bucket(milliseconds(10001)), kDurationBuckets - 1);
}

TEST(CallCounts, CommandCodeAndDuration) {
  const test::TempDir dir;
  const std::string path = dir.file("run/calls");
  EXPECT_EQ(calls(path, "ADD", 0), 0U) << "nothing was called yet";
  ASSERT_TRUE(count_call("ADD", 0, milliseconds(7), path));
  ASSERT_TRUE(count_call("ADD", 0, milliseconds(70), path));
  ASSERT_TRUE(count_call("ADD", 11, milliseconds(3), path));
  ASSERT_TRUE(count_call("DEL", 4711, milliseconds(3), path));
  ASSERT_TRUE(count_call("DANCE", 0, milliseconds(3), path));
  EXPECT_EQ(calls(path, "ADD", 0), 2U);
  EXPECT_EQ(calls(path, "ADD", 11), 1U);
  EXPECT_EQ(calls(path, "ADD", 999), 0U);
  EXPECT_EQ(calls(path, "DEL", kOtherCode), 1U) << "a plugin's own code";
  const auto counts = read_call_counts(path);
  ASSERT_TRUE(counts);
  const DurationHistogram& add = counts->front().durations;
  EXPECT_EQ(counts->front().command, "ADD");
  EXPECT_EQ(add.sum, milliseconds(77));
  EXPECT_EQ(add.buckets[duration_bucket(milliseconds(7))], 1U);
  EXPECT_EQ(add.buckets[duration_bucket(milliseconds(70))], 1U);
}

TEST(CallCounts, AHundredProcessesLoseNothing) {
  const test::TempDir dir;
  const std::string path = dir.file("calls");
  constexpr int kProcesses = 100;
  constexpr int kCalls = 20;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    const pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      bool fine = true;
      for (int call = 0; call < kCalls; ++call) fine = count_call("ADD", 0, milliseconds(1), path).has_value() && fine;
      ::_exit(fine ? 0 : 1);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_EQ(status, 0);
  }
  EXPECT_EQ(calls(path, "ADD", 0), uint64_t{kProcesses} * kCalls);
}

TEST(CallCounts, AProcessThatIsKilledLeavesNoHarm) {
  const test::TempDir dir;
  const std::string path = dir.file("calls");
  for (int i = 0; i < 20; ++i) {
    const pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      while (count_call("DEL", 0, milliseconds(1), path)) continue;
      ::_exit(1);
    }
    ::usleep(2000);
    ::kill(pid, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it could not count";
  }
  const uint64_t before = calls(path, "DEL", 0);
  ASSERT_TRUE(count_call("DEL", 0, milliseconds(1), path));
  EXPECT_EQ(calls(path, "DEL", 0), before + 1);
}

TEST(CallCounts, AForeignFileIsRefused) {
  const test::TempDir dir;
  const std::string path = dir.file("calls");
  std::ofstream(path) << "something else";
  EXPECT_EQ(count_call("ADD", 0, milliseconds(1), path).error().kind, ErrorKind::invalid);
  EXPECT_EQ(read_call_counts(path).error().kind, ErrorKind::invalid);
  const std::string link = dir.file("link");
  ASSERT_EQ(::symlink(path.c_str(), link.c_str()), 0);
  EXPECT_FALSE(count_call("ADD", 0, milliseconds(1), link));
  EXPECT_FALSE(count_call("ADD", 0, milliseconds(1), dir.path())) << "a directory";
}

}  // namespace base_call_counts_test
}  // namespace merino
