#include "base/process.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/fd.h"

namespace merino {
namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  Fd read_end;
  Fd write_end;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno(errno, "make a pipe");
  Pipe pipe{Fd(ends[0]), Fd(ends[1])};
  if (::fcntl(pipe.read_end.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno(errno, "make a pipe non-blocking");
  return pipe;
}

// A file in memory instead of a pipe: there is nothing to feed while the program runs, and no SIGPIPE if it does not read.
Result<Fd> make_input(const std::string& input) {
  Fd fd(::memfd_create("input", MFD_CLOEXEC));
  if (!fd) return fail_errno(errno, "make a memory file for the input");
  size_t done = 0;
  while (done < input.size()) {
    const ssize_t n = ::pwrite(fd.get(), input.data() + done, input.size() - done, static_cast<off_t>(done));
    if (n < 0) return fail_errno(errno, "write the input");
    done += static_cast<size_t>(n);
  }
  return fd;
}

std::vector<std::string> make_environment(const ProcessRequest& request) {
  std::vector<std::string> environment;
  if (request.base_environment == BaseEnvironment::inherit) {
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string_view text(*entry);
      const std::string name(text.substr(0, text.find('=')));
      if (request.environment.count(name) == 0) environment.emplace_back(text);
    }
  }
  for (const auto& [name, value] : request.environment) environment.push_back(name + "=" + value);
  return environment;
}

// As execve wants it; the strings must outlive the result.
std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

struct SpawnSettings {
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};

  SpawnSettings(int in, int out, int err) {
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);

    sigset_t none;
    sigset_t all;
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
  }
  ~SpawnSettings() {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  }
  SpawnSettings(const SpawnSettings&) = delete;
  SpawnSettings& operator=(const SpawnSettings&) = delete;
};

// A started program. It is killed, with its process group, and reaped unless finish() came first.
class Child {
 public:
  static Result<Child> start(const ProcessRequest& request, int in, int out, int err) {
    std::vector<std::string> argv = request.argv;
    std::vector<std::string> environment = make_environment(request);
    const SpawnSettings settings(in, out, err);
    pid_t pid = -1;
    const int error =
        ::posix_spawnp(&pid, argv[0].c_str(), &settings.actions, &settings.attributes, pointers(argv).data(), pointers(environment).data());
    if (error != 0) {
      auto failure = fail_errno(error, "run {}", argv[0]);
      if (error == ENOENT) failure.value().kind = ErrorKind::not_found;
      return failure;
    }
    Child child(pid);
    // By number: glibc 2.36 declares pidfd_open without extern "C".
    child.pidfd_ = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!child.pidfd_) return fail_errno(errno, "watch the process of {}", argv[0]);
    return child;
  }

  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)) {}
  Child& operator=(Child&&) = delete;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ < 0) return;
    ::kill(-pid_, SIGKILL);
    (void)reap();
  }

  // Readable when the program has ended.
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }

  // Waits for the program's end and says how it ended.
  Status finish(ProcessOutput& output) {
    const int status = TRY(reap());
    if (WIFSIGNALED(status)) {
      output.signal = WTERMSIG(status);
    } else {
      output.exit_code = WEXITSTATUS(status);
    }
    return ok();
  }

 private:
  explicit Child(pid_t pid) : pid_(pid) {}

  Result<int> reap() {
    const pid_t pid = std::exchange(pid_, -1);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0) {
      if (errno != EINTR) return fail_errno(errno, "wait for process {}", pid);
    }
    return status;
  }

  pid_t pid_;
  Fd pidfd_;
};

// Reads what is there now and closes the fd at the end of the stream. False if that is more than `max` bytes.
bool drain(Fd& fd, std::string& text, size_t max) {
  std::array<char, 16384> buffer{};
  while (fd) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n > 0) text.append(buffer.data(), static_cast<size_t>(n));
    if (text.size() > max) return false;
    if (n < 0 && errno == EAGAIN) return true;
    if (n == 0 || (n < 0 && errno != EINTR)) fd.reset();
  }
  return true;
}

// Gathers output until the program has ended.
Status gather(const ProcessRequest& request, const Child& child, Fd out, Fd err, ProcessOutput& output) {
  const Clock::time_point deadline = Clock::now() + request.timeout;
  for (bool ended = false; !ended;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) {
      return fail(ErrorKind::unavailable, "{} did not end within {} ms and was killed", request.argv[0], request.timeout.count());
    }
    std::array<pollfd, 3> fds = {{{child.pidfd(), POLLIN, 0}, {out.get(), POLLIN, 0}, {err.get(), POLLIN, 0}}};
    const int ready = ::poll(fds.data(), fds.size(), static_cast<int>(std::min<int64_t>(left, 60000)));
    if (ready < 0 && errno != EINTR) return fail_errno(errno, "wait for {}", request.argv[0]);
    // Whether it has ended is asked before the last drain, so that nothing written before the end is missed.
    ended = ready > 0 && fds[0].revents != 0;
    if (!drain(out, output.out, request.max_output_bytes) || !drain(err, output.err, request.max_output_bytes)) {
      return fail(ErrorKind::invalid, "{} wrote more than {} bytes and was killed", request.argv[0], request.max_output_bytes);
    }
  }
  return ok();
}

}  // namespace

std::string ProcessOutput::outcome() const {
  return signal != 0 ? fmt::format("killed by signal {}", signal) : fmt::format("exit code {}", exit_code);
}

Result<ProcessOutput> run_process(const ProcessRequest& request) {
  if (request.argv.empty()) return fail(ErrorKind::invalid, "run a program: argv is empty");
  const Fd in = TRY(make_input(request.input));
  Pipe out = TRY(make_pipe());
  Pipe err = TRY(make_pipe());
  Child child = TRY(Child::start(request, in.get(), out.write_end.get(), err.write_end.get()));
  out.write_end.reset();
  err.write_end.reset();

  ProcessOutput output;
  TRY(gather(request, child, std::move(out.read_end), std::move(err.read_end), output));
  TRY(child.finish(output));
  return output;
}

}  // namespace merino
