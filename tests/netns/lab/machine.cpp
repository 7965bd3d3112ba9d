#include "lab/machine.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "lab/sandbox.h"

namespace merino::lab {
namespace {

// In the child that becomes the holder: nullptr, or what failed.
const char* make_overlay(const std::string& scratch, const std::string& path) {
  std::string upper = scratch + path;
  for (char& c : upper) {
    if (c == '/') c = '_';
  }
  upper = std::string(kSharedDir) + "/overlay" + upper;
  const std::string work = upper + ".work";
  if (::mkdir(upper.c_str(), 0755) != 0 || ::mkdir(work.c_str(), 0755) != 0) return "make the overlay's directories";
  const std::string options = "lowerdir=" + path + ",upperdir=" + upper + ",workdir=" + work;
  return ::mount("overlay", path.c_str(), "overlay", 0, options.c_str()) == 0 ? nullptr : "mount an overlay";
}

const char* make_machine(const std::string& scratch) {
  if (::unshare(CLONE_NEWNET | CLONE_NEWNS) != 0) return "make namespaces";
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return "make mounts private";
  if (const char* failed = make_overlay(scratch, "/etc")) return failed;
  if (const char* failed = make_overlay(scratch, "/var/lib")) return failed;
  if (::mount("tmpfs", "/run", "tmpfs", 0, "mode=755") != 0) return "mount /run";
  if (::mount("sysfs", "/sys", "sysfs", 0, nullptr) != 0) return "mount /sys";
  if (::mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=700") != 0) return "mount bpffs";
  return nullptr;
}

std::string unique_scratch(const std::string& name) {
  static int count = 0;
  return fmt::format(".{}.{}", name, ++count);
}

// A new network namespace, bound to /run/netns/<name> of the machine.
Fd make_pod_network(const Machine& machine, const std::string& name) {
  const std::string path = "/run/netns/" + name;
  machine.must(fmt::format(
      "mkdir -p /run/netns && touch {0} && unshare --net sh -c 'ip link set lo up && {1} && mount --bind /proc/self/ns/net {0}'", path,
      machine.before_attach()));
  Fd fd(::open(machine.outside_path(path).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) throw Failure("open " + path + ": " + std::strerror(errno));
  return fd;
}

Fd duplicate(int fd) { return Fd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)); }

}  // namespace

Holder::Holder(const std::string& name) {
  const std::string scratch = unique_scratch(name);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Failure("pipe");
  Fd read(ends[0]);
  Fd write(ends[1]);
  pid_ = ::fork();
  if (pid_ < 0) throw Failure("fork");
  if (pid_ == 0) {
    ::setpgid(0, 0);
    if (const char* failed = make_machine(scratch)) {
      const std::string text = fmt::format("{}: {}", failed, std::strerror(errno));
      if (::write(write.get(), text.data(), text.size()) < 0) std::_Exit(2);
      std::_Exit(1);
    }
    ::execlp("sleep", "sleep", "infinity", nullptr);  // closes the pipe
    std::_Exit(1);
  }
  write.reset();
  char text[256];
  const ssize_t size = ::read(read.get(), text, sizeof(text));
  if (size > 0) throw Failure("machine " + name + ": " + std::string(text, static_cast<size_t>(size)));
}

Holder::~Holder() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

Pod::Pod(Machine& machine, const std::string& name, const PodOptions& options)
    : Place(name, make_pod_network(machine, name), duplicate(machine.mounts_fd())),
      machine_(machine),
      network_(machine, options.conflist.empty() ? machine.conflist() : options.conflist),
      attachment_{"container-" + name, "/run/netns/" + name, "eth0", options.runtime_config} {
  result_ = network_.add(attachment_);
}

std::string Pod::mac() const { return must("ip -br link show eth0 | awk '{print $3}' | tr -d '\\n'"); }

void Pod::remove() {
  if (std::exchange(removed_, true)) return;
  network_.del(attachment_, result_.json);
  close_network();
  machine_.must("umount -l " + attachment_.netns + " && rm " + attachment_.netns);
}

std::string Machine::outside_path(const std::string& path) const { return fmt::format("/proc/{}/root{}", pid(), path); }

Pod& Machine::add_pod(const std::string& name, const PodOptions& options) {
  pods_.push_back(std::make_unique<Pod>(*this, name, options));
  return *pods_.back();
}

std::string Machine::conflist() const { throw Failure(name() + " has no pod network"); }

}  // namespace merino::lab
