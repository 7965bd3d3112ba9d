#include "agent/watches.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "agent/reconciler.h"
#include "base/agent_status.h"
#include "datapath/pins.h"

namespace merino {

namespace {

// Not renames: by those the agent itself replaces its files and its pins.
constexpr uint32_t kFileEvents = IN_DELETE | IN_CLOSE_WRITE;

bool pins_are_there() { return ::access(pins::map("network").c_str(), F_OK) == 0; }

// A topic that this kernel or this machine does not have is done without.
std::optional<NetlinkEvents> open_events(NetlinkTopic topic) {
  auto events = NetlinkEvents::open(topic);
  if (!events) return std::nullopt;
  return *std::move(events);
}

}  // namespace

Result<HostWatches> HostWatches::open(const std::string& subnet_file) {
  HostWatches watches;
  watches.epoll_ = Fd(::epoll_create1(EPOLL_CLOEXEC));
  watches.inotify_ = Fd(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watches.epoll_ || !watches.inotify_) return fail_errno(errno, "watch files");
  watches.mounts_ = Fd(::open("/proc/self/mountinfo", O_RDONLY | O_CLOEXEC));
  watches.lost_neighbours_ = open_events(NetlinkTopic::lost_neighbours);
  watches.packet_filter_ = open_events(NetlinkTopic::packet_filter);
  const std::filesystem::path file = subnet_file;
  watches.directories_ = {{file.parent_path().empty() ? "." : file.parent_path(), file.filename(), cause::kFull},
                          {kRunDir, std::filesystem::path(kAgentStatusPath).filename(), cause::kFull},
                          {pins::kRoot, "", cause::kFull},
                          {pins::kPrograms, "", cause::kFull},
                          // Pods come and go, each with its link.
                          {pins::kLinks, "", cause::kNetwork}};
  watches.add(watches.inotify_.get(), EPOLLIN);
  if (watches.mounts_) watches.add(watches.mounts_.get(), EPOLLPRI);
  if (watches.lost_neighbours_) watches.add(watches.lost_neighbours_->fd(), EPOLLIN);
  if (watches.packet_filter_) watches.add(watches.packet_filter_->fd(), EPOLLIN);
  return watches;
}

void HostWatches::add(int fd, unsigned events) const {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

void HostWatches::renew() {
  for (const Directory& directory : directories_) {
    // The same directory has the same number again.
    const int number = ::inotify_add_watch(inotify_.get(), directory.path.c_str(), kFileEvents | IN_ONLYDIR);
    if (number >= 0) watched_[number] = directory;
  }
}

unsigned HostWatches::drain_files() {
  alignas(inotify_event) std::array<char, 4096> buffer{};
  unsigned causes = 0;
  for (;;) {
    const ssize_t count = ::read(inotify_.get(), buffer.data(), buffer.size());
    if (count <= 0) return causes;
    for (ssize_t at = 0; at < count;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      const auto found = watched_.find(event->wd);
      if ((event->mask & IN_Q_OVERFLOW) != 0) causes |= cause::kFull;
      if (found == watched_.end()) continue;
      const Directory& directory = found->second;
      const bool is_gone = (event->mask & (IN_IGNORED | IN_UNMOUNT)) != 0;
      if (is_gone) causes |= cause::kFull;
      if (event->len > 0 && (directory.only.empty() || directory.only == event->name)) causes |= directory.cause;
      if ((event->mask & IN_IGNORED) != 0) watched_.erase(found);
    }
  }
}

Result<unsigned> HostWatches::drain() {
  std::array<epoll_event, 4> events{};
  const int count = ::epoll_wait(epoll_.get(), events.data(), events.size(), 0);
  unsigned causes = 0;
  for (int i = 0; i < count; i++) {
    const int fd = events[static_cast<size_t>(i)].data.fd;
    if (fd == inotify_.get()) causes |= drain_files();
    // Containers are mounted all the time.
    if (fd == mounts_.get() && !pins_are_there()) causes |= cause::kFull;
    if (lost_neighbours_ && fd == lost_neighbours_->fd() && TRY(lost_neighbours_->drain())) causes |= cause::kNetwork;
    if (packet_filter_ && fd == packet_filter_->fd() && TRY(packet_filter_->drain())) causes |= cause::kRules;
  }
  return causes;
}

}  // namespace merino
