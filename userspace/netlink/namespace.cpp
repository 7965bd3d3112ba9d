#include "netlink/namespace.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

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

Result<NamespaceGuard> NamespaceGuard::enter(int netns_fd) {
  Fd original(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!original) return fail_errno(errno, "remember the current network namespace (/proc/thread-self/ns/net)");
  if (setns(netns_fd, CLONE_NEWNET) != 0) {
    const int code = errno;
    auto error = fail_errno(code, "enter a network namespace");
    if (code != EPERM) error.value().kind = ErrorKind::not_found;
    return error;
  }
  return NamespaceGuard(std::move(original));
}

NamespaceGuard::~NamespaceGuard() {
  if (!original_ || setns(original_.get(), CLONE_NEWNET) == 0) return;
  // To go on would be to change the wrong namespace.
  perror("return to the original network namespace");
  abort();
}

}  // namespace merino
