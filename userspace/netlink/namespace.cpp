#include "netlink/namespace.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include <cerrno>
#include <system_error>
#include <thread>

namespace merino {

Result<Fd> open_network_namespace(const std::string& path) {
  // Nonblocking, so that a FIFO in its place does not hang.
  Fd netns(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!netns) {
    const int code = errno;
    auto error = fail_errno(code, "open network namespace {}", path);
    if (code == ENOENT || code == ENOTDIR) error.value().kind = ErrorKind::not_found;
    return error;
  }
  struct statfs filesystem {};
  if (fstatfs(netns.get(), &filesystem) != 0) return fail_errno(errno, "open network namespace {}", path);
  if (filesystem.f_type != NSFS_MAGIC || ioctl(netns.get(), NS_GET_NSTYPE) != CLONE_NEWNET) {
    return fail(ErrorKind::not_found, "open network namespace {}: it is not a network namespace", path);
  }
  return netns;
}

namespace {

Status enter(int netns_fd) {
  if (setns(netns_fd, CLONE_NEWNET) == 0) return ok();
  const int code = errno;
  auto error = fail_errno(code, "enter a network namespace");
  if (code != EPERM) error.value().kind = ErrorKind::not_found;
  return error;
}

}  // namespace

Status run_in_network_namespace(int netns_fd, const std::function<void()>& inside) {
  Status entered = ok();
  try {
    std::thread([&] {
      entered = enter(netns_fd);
      if (entered) inside();
    }).join();
  } catch (const std::system_error& error) {
    return fail_errno(error.code().value(), "start a thread for a network namespace");
  }
  return entered;
}

}  // namespace merino
