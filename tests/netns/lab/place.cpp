#include "lab/place.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <poll.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <thread>

#include "lab/sandbox.h"
#include "support/slowdown.h"

namespace merino::lab {
namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& what) { throw Failure(what + ": " + std::strerror(errno)); }

Fd open_namespace(pid_t pid, const char* kind) {
  const std::string path = fmt::format("/proc/{}/ns/{}", pid, kind);
  Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) fail("open " + path);
  return fd;
}

struct Pipe {
  Fd read;
  Fd write;
};

Pipe make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail("pipe");
  return {Fd(ends[0]), Fd(ends[1])};
}

// Feeds `input` and collects both outputs until both are closed; false at the deadline.
bool converse(Fd in, Fd out, Fd err, const std::string& input, Output& output, Clock::time_point deadline) {
  ::fcntl(in.get(), F_SETFL, O_NONBLOCK);
  size_t written = 0;
  if (input.empty()) in.reset();
  std::array<char, 65536> buffer;
  while (out || err) {
    std::array<pollfd, 3> fds{{{in.get(), POLLOUT, 0}, {out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}}};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    if (::poll(fds.data(), fds.size(), static_cast<int>(left)) < 0) continue;
    if (fds[0].revents != 0) {
      const ssize_t count = ::write(in.get(), input.data() + written, input.size() - written);
      written += count > 0 ? static_cast<size_t>(count) : 0;
      if (count < 0 || written == input.size()) in.reset();
    }
    const auto take = [&](const pollfd& from, Fd& fd, std::string& text) {
      if (from.revents == 0) return;
      const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
      if (count <= 0) fd.reset();
      if (count > 0) text.append(buffer.data(), static_cast<size_t>(count));
    };
    take(fds[1], out, output.out);
    take(fds[2], err, output.err);
  }
  return true;
}

}  // namespace

int exit_code_of(int wait_status) { return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status); }

Process& Process::operator=(Process&& other) noexcept {
  if (this == &other) return *this;
  kill();
  pid_ = std::exchange(other.pid_, -1);
  exit_code_ = other.exit_code_;
  log_path_ = std::move(other.log_path_);
  return *this;
}

bool Process::running() {
  int status = 0;
  if (pid_ > 0 && ::waitpid(pid_, &status, WNOHANG) == pid_) {
    exit_code_ = exit_code_of(status);
    pid_ = -1;
  }
  return pid_ > 0;
}

void Process::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

int Process::wait(std::chrono::milliseconds timeout) {
  if (!eventually([this] { return !running(); }, timeout, std::chrono::milliseconds(1))) {
    throw Failure(fmt::format("still running after {} ms; it wrote:\n{}", timeout.count(), log()));
  }
  return exit_code_;
}

void Process::kill() {
  if (!running()) return;
  ::kill(-pid_, SIGKILL);
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
  exit_code_ = exit_code_of(status);
  pid_ = -1;
}

std::string Process::log() const {
  std::ifstream file(log_path_);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void Process::wait_for_log(const std::string& text, std::chrono::milliseconds timeout) {
  const bool found = eventually([&] { return log().find(text) != std::string::npos || !running(); }, timeout, std::chrono::milliseconds(2));
  if (!found || log().find(text) == std::string::npos) throw Failure(fmt::format("\"{}\" did not appear in the log:\n{}", text, log()));
}

Place::Place(std::string name, pid_t pid)
    : name_(std::move(name)), network_(open_namespace(pid, "net")), mounts_(open_namespace(pid, "mnt")) {}

void Place::enter() const {
  // A mount namespace is for a thread with working directory and root of its own (setns(2)), and the thread sanitizer has a thread beside.
  if (::unshare(CLONE_FS) != 0 || ::setns(mounts_.get(), CLONE_NEWNS) != 0 || ::setns(network_.get(), CLONE_NEWNET) != 0) {
    fmt::print(stderr, "enter {}: {}\n", name_, std::strerror(errno));
    std::_Exit(125);
  }
}

pid_t Place::spawn(const std::string& command, int in, int out, int err) const {
  const pid_t pid = ::fork();
  if (pid < 0) fail("fork");
  if (pid > 0) {
    ::setpgid(pid, pid);
    return pid;
  }
  ::setpgid(0, 0);
  enter();
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  ::execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
  std::_Exit(127);
}

Output Place::run(const std::string& command, const std::string& input, std::chrono::milliseconds timeout) const {
  Pipe in = make_pipe();
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  const pid_t pid = spawn(command, in.read.get(), out.write.get(), err.write.get());
  in.read.reset();
  out.write.reset();
  err.write.reset();
  Output output;
  if (!converse(std::move(in.write), std::move(out.read), std::move(err.read), input, output, Clock::now() + timeout * test::slowdown())) {
    ::kill(-pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    throw Failure(fmt::format("{}: still running after {} ms: {}\n{}{}", name_, timeout.count(), command, output.out, output.err));
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  output.exit_code = exit_code_of(status);
  return output;
}

std::string Place::must(const std::string& command, const std::string& input) const {
  const Output output = run(command, input);
  if (!output.ok())
    throw Failure(fmt::format("{}: exit code {}: {}\n{}{}{}", name_, output.exit_code, command, input, output.out, output.err));
  return output.out;
}

void Place::ip_batch(const std::string& lines) const { must("ip -batch -", lines); }

Process Place::start(const std::string& command, const std::string& log_path) const {
  static std::atomic<int> count{0};
  const std::string path = log_path.empty() ? fmt::format("{}/{}.{}.log", kSharedDir, name_, ++count) : log_path;
  const Fd log(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  const Fd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!log || !nothing) fail("open " + path);
  return {spawn(command, nothing.get(), log.get(), log.get()), path};
}

void Place::in_network(const std::function<void()>& body) const {
  const Fd here = open_namespace(::gettid(), "net");
  if (::setns(network_.get(), CLONE_NEWNET) != 0) fail("enter the network of " + name_);
  body();
  if (::setns(here.get(), CLONE_NEWNET) != 0) fail("come back from the network of " + name_);
}

void Place::write(const std::string& path, const std::string& content) const {
  must("mkdir -p \"$(dirname '" + path + "')\" && cat > '" + path + "'", content);
}

bool eventually(const std::function<bool()>& done, std::chrono::milliseconds timeout, std::chrono::milliseconds pause) {
  const auto deadline = Clock::now() + timeout * test::slowdown();
  while (!done()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(pause);
  }
  return true;
}

}  // namespace merino::lab
