#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <thread>

#include "base/fd.h"
#include "base/file.h"
#include "base/process.h"
#include "support/temp_dir.h"

namespace merino {
namespace base_process_test {

using std::chrono::milliseconds;
using testing::HasSubstr;

ProcessRequest shell(const std::string& script) {
  ProcessRequest request;
  request.argv = {"/bin/sh", "-c", script};
  return request;
}

TEST(Process, GivesBothOutputs) {
  const auto output = run_process(shell("echo out; echo err >&2"));
  ASSERT_TRUE(output) << output.error().message();
  EXPECT_TRUE(output->succeeded());
  EXPECT_EQ(output->out, "out\n");
  EXPECT_EQ(output->err, "err\n");
}

TEST(Process, ArgumentsArePassedWithoutAShell) {
  ProcessRequest request;
  request.argv = {"printf", "%s|", "a b", "$HOME", "", "*"};
  EXPECT_EQ(run_process(request).value().out, "a b|$HOME||*|");
}

TEST(Process, ExitCodeIsAnOutcomeNotAnError) {
  const auto output = run_process(shell("exit 42"));
  ASSERT_TRUE(output);
  EXPECT_FALSE(output->succeeded());
  EXPECT_EQ(output->exit_code, 42);
  EXPECT_EQ(output->outcome(), "exit code 42");
}

TEST(Process, SignalIsReported) {
  const auto output = run_process(shell("kill -TERM $$"));
  ASSERT_TRUE(output);
  EXPECT_FALSE(output->succeeded());
  EXPECT_EQ(output->signal, SIGTERM);
  EXPECT_EQ(output->outcome(), "killed by signal 15");
}

TEST(Process, MissingProgramIsNotFoundAndNamed) {
  for (const char* program : {"/nonexistent/program", "merino-no-such-program"}) {
    ProcessRequest request;
    request.argv = {program};
    const auto output = run_process(request);
    ASSERT_FALSE(output);
    EXPECT_EQ(output.error().kind, ErrorKind::not_found);
    EXPECT_THAT(output.error().message(), HasSubstr(program));
  }
}

TEST(Process, UnrunnableProgramIsAnError) {
  const test::TempDir directory;
  ASSERT_TRUE(write_file_atomic(directory.file("plain"), "#!/bin/sh\n", 0644));
  ProcessRequest request;
  request.argv = {directory.file("plain")};
  const auto output = run_process(request);
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().sys_errno, EACCES);
  EXPECT_FALSE(run_process(ProcessRequest{}));
}

TEST(Process, InputArrivesAndEnds) {
  ProcessRequest request = shell("cat");
  request.input = std::string("a\0b\n", 4);
  EXPECT_EQ(run_process(request).value().out, request.input);
  request.input.clear();
  EXPECT_EQ(run_process(request).value().out, "");
}

TEST(Process, InputThatIsNotReadDoesNoHarm) {
  ProcessRequest request = shell("exec 0<&-; echo done");
  request.input = std::string(1 << 20, 'x');
  EXPECT_EQ(run_process(request).value().out, "done\n");
}

TEST(Process, BigInputAndOutputAtOnceDoNotBlock) {
  ProcessRequest request = shell("tee /dev/stderr");
  request.input = std::string(3 << 20, 'x');
  const auto output = run_process(request);
  ASSERT_TRUE(output) << output.error().message();
  EXPECT_EQ(output->out, request.input);
  EXPECT_EQ(output->err, request.input);
}

TEST(Process, OutputOverTheLimitIsInvalid) {
  ProcessRequest request = shell("head -c 1000 /dev/zero");
  request.max_output_bytes = 1000;
  EXPECT_EQ(run_process(request).value().out.size(), 1000U);
  request.max_output_bytes = 999;
  const auto over = run_process(request);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().kind, ErrorKind::invalid);
}

TEST(Process, EndlessOutputIsCutOff) {
  ProcessRequest request = shell("yes >&2");
  const auto output = run_process(request);
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().kind, ErrorKind::invalid);
}

TEST(Process, EnvironmentIsInheritedAndOverridden) {
  ::setenv("MERINO_TEST_KEPT", "kept", 1);
  ::setenv("MERINO_TEST_CHANGED", "old", 1);
  ProcessRequest request = shell("echo $MERINO_TEST_KEPT $MERINO_TEST_CHANGED $MERINO_TEST_ADDED");
  request.environment = {{"MERINO_TEST_CHANGED", "new"}, {"MERINO_TEST_ADDED", "a=b"}};
  EXPECT_EQ(run_process(request).value().out, "kept new a=b\n");
}

TEST(Process, EmptyEnvironmentHoldsOnlyWhatIsGiven) {
  ProcessRequest request;
  request.argv = {"/usr/bin/env"};
  request.base_environment = BaseEnvironment::empty;
  request.environment = {{"ONLY", "this"}};
  EXPECT_EQ(run_process(request).value().out, "ONLY=this\n");
}

// The pid of a process that the program left behind is told by `pid_file`; it must be gone, or a zombie that init has yet to reap.
bool is_gone(const std::string& pid_file) {
  const std::string pid = std::to_string(std::stoi(read_file(pid_file).value()));
  for (int i = 0; i < 1000; ++i) {
    const auto stat = read_file("/proc/" + pid + "/stat");
    if (!stat || stat->find(") Z ") != std::string::npos) return true;
    std::this_thread::sleep_for(milliseconds(10));
  }
  return false;
}

TEST(Process, TimeoutKillsTheProgramAndItsChildren) {
  const test::TempDir directory;
  ProcessRequest request = shell("sleep 1000 & echo $! >child; echo $$ >self; mv self ready; wait");
  request.argv[2] = "cd " + directory.path() + "; " + request.argv[2];
  request.timeout = milliseconds(1500);
  const auto output = run_process(request);
  ASSERT_FALSE(output);
  EXPECT_EQ(output.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(output.error().message(), HasSubstr("1500 ms"));
  EXPECT_TRUE(is_gone(directory.file("ready")));
  EXPECT_TRUE(is_gone(directory.file("child")));
}

TEST(Process, ClosedOutputsDoNotEndTheWait) {
  const auto output = run_process(shell("exec >&- 2>&-; sleep 0.2; exit 7"));
  ASSERT_TRUE(output);
  EXPECT_EQ(output->exit_code, 7);
}

TEST(Process, ADescendantThatKeepsThePipesIsNotWaitedFor) {
  const test::TempDir directory;
  ProcessRequest request = shell("sleep 1000 & echo $! >" + directory.file("child") + "; echo done");
  request.timeout = std::chrono::minutes(10);  // the test's own time limit would strike first
  const auto output = run_process(request);
  ASSERT_TRUE(output);
  EXPECT_EQ(output->out, "done\n");
  ::kill(std::stoi(read_file(directory.file("child")).value()), SIGKILL);
}

TEST(Process, StartsWithNoDescriptorsOfOursAndADefaultSignalState) {
  const Fd leaked(::open("/dev/null", O_RDONLY));  // deliberately without O_CLOEXEC
  sigset_t blocked;
  sigset_t old;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  ASSERT_EQ(::pthread_sigmask(SIG_BLOCK, &blocked, &old), 0);
  const auto old_handler = ::signal(SIGPIPE, SIG_IGN);
  const auto fds = run_process(shell("ls /proc/self/fd"));
  const auto terminated = run_process(shell("kill -TERM $$; sleep 1000"));
  const auto piped = run_process(shell("kill -PIPE $$; exit 1"));
  ::signal(SIGPIPE, old_handler);
  ASSERT_EQ(::pthread_sigmask(SIG_SETMASK, &old, nullptr), 0);
  EXPECT_EQ(fds.value().out, "0\n1\n2\n3\n");  // 3 is ls' own
  EXPECT_EQ(terminated.value().signal, SIGTERM);
  EXPECT_EQ(piped.value().signal, SIGPIPE);
}

TEST(Process, ManyAtOnceKeepApart) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([i] {
      for (int round = 0; round < 5; ++round) {
        ProcessRequest request = shell("cat; exit $CODE");
        request.input = std::string(100000, static_cast<char>('a' + i));
        request.environment = {{"CODE", std::to_string(i)}};
        const auto output = run_process(request);
        ASSERT_TRUE(output) << output.error().message();
        EXPECT_EQ(output->out, request.input);
        EXPECT_EQ(output->exit_code, i);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace base_process_test
}  // namespace merino
