#include "cluster/directory_watch.h"

#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace merino {
namespace {

// Not IN_ATTRIB: renewals are touches, every node's every day, and their only effect is a later end.
constexpr uint32_t kInteresting = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE;
constexpr uint32_t kWatchMask = kInteresting | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;

timespec to_timespec(std::chrono::milliseconds time) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(time);
  return {.tv_sec = seconds.count(), .tv_nsec = std::chrono::nanoseconds(time - seconds).count()};
}

Status poll_for_input(int poll, int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  if (::epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event) != 0) return fail_errno(errno, "add to epoll");
  return ok();
}

}  // namespace

Result<DirectoryWatch> DirectoryWatch::open(std::string path, std::chrono::milliseconds interval) {
  Fd poll(::epoll_create1(EPOLL_CLOEXEC));
  if (!poll) return fail_errno(errno, "make an epoll");
  Fd inotify(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!inotify) {
    return with_remedy(fail_errno(errno, "make an inotify"), "raise fs.inotify.max_user_instances");
  }
  Fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) return fail_errno(errno, "make a timer");
  const itimerspec every{.it_interval = to_timespec(interval), .it_value = to_timespec(interval)};
  if (::timerfd_settime(timer.get(), 0, &every, nullptr) != 0) return fail_errno(errno, "set a timer");
  TRY(poll_for_input(poll.get(), inotify.get()));
  TRY(poll_for_input(poll.get(), timer.get()));
  DirectoryWatch watch(std::move(path), std::move(poll), std::move(inotify), std::move(timer));
  watch.rewatch();
  return watch;
}

DirectoryWatch::Events DirectoryWatch::drain() {
  Events events;
  uint64_t expirations = 0;
  events.tick = ::read(timer_.get(), &expirations, sizeof expirations) == sizeof expirations;
  events.changed = read_inotify();
  if (events.tick && rewatch()) events.changed = true;
  return events;
}

bool DirectoryWatch::read_inotify() {
  bool changed = false;
  alignas(inotify_event) std::array<char, 16384> buffer{};
  for (;;) {
    const ssize_t size = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return changed;
    for (size_t at = 0; at < static_cast<size_t>(size);) {
      inotify_event event{};
      std::memcpy(&event, buffer.data() + at, sizeof event);
      const char* name = buffer.data() + at + sizeof event;
      const bool of_temporary = event.len > 0 && name[0] == '.';
      // The rest concerns the directory itself, or says that events were lost.
      if ((event.mask & kInteresting) == 0 || !of_temporary) changed = true;
      at += sizeof event + event.len;
    }
  }
}

// inotify follows the inode: another directory may stand at the path by now. True if the watch moved.
bool DirectoryWatch::rewatch() {
  const int before = watch_;
  watch_ = ::inotify_add_watch(inotify_.get(), path_.c_str(), kWatchMask);  // the same number again for the same inode
  if (watch_ == before) return false;
  if (before >= 0) ::inotify_rm_watch(inotify_.get(), before);
  return true;
}

}  // namespace merino
