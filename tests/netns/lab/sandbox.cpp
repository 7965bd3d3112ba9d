#include "lab/sandbox.h"

#include <fmt/core.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "lab/place.h"

namespace merino::lab {
namespace {

[[noreturn]] void die(const char* what) {
  fmt::print(stderr, "{}: {}; network tests need root (CAP_SYS_ADMIN, CAP_NET_ADMIN, CAP_BPF)\n", what, std::strerror(errno));
  std::_Exit(1);
}

void make_mounts() {
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) die("make mounts private");
  if (::mount("proc", "/proc", "proc", 0, nullptr) != 0) die("mount /proc");
  if (::mount("tmpfs", kSharedDir, "tmpfs", 0, "mode=755") != 0) die("mount a tmpfs at /media");
}

// Process 1 of the new PID namespace: collects whatever becomes its child, ends with the worker, and the kernel kills the rest.
[[noreturn]] void be_init(const std::function<int()>& body) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  make_mounts();
  std::fflush(nullptr);
  const pid_t worker = ::fork();
  if (worker < 0) die("fork");
  if (worker == 0) std::exit(body());
  int status = 0;
  for (;;) {
    const pid_t ended = ::wait(&status);
    if (ended == worker) std::_Exit(exit_code_of(status));
    if (ended < 0 && errno != EINTR) die("wait");
  }
}

}  // namespace

int run_in_sandbox(const std::function<int()>& body) {
  if (::unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET) != 0) die("make namespaces");
  std::fflush(nullptr);
  const pid_t init = ::fork();
  if (init < 0) die("fork");
  if (init == 0) be_init(body);
  int status = 0;
  while (::waitpid(init, &status, 0) < 0 && errno == EINTR) continue;
  return exit_code_of(status);
}

}  // namespace merino::lab
