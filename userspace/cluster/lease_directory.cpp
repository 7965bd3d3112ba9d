#include "cluster/lease_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <vector>

#include "base/fd.h"
#include "base/printable.h"

namespace merino {
namespace {

constexpr size_t kLargestLease = 16384;
// Two changes within one step of a file system's clock look like one; the coarsest in use (FAT, old NFS) steps by two seconds.
constexpr std::chrono::seconds kCoarsestClock{2};

int64_t nanoseconds(const statx_timestamp& time) {
  // Hostile times (ext4 knows the year 2446) stay within 1970..2200, so that adding a TTL cannot overflow.
  const int64_t seconds = std::clamp<int64_t>(time.tv_sec, 0, 7258118400);
  return seconds * 1'000'000'000 + time.tv_nsec;
}

SystemTime system_time(int64_t ns) { return SystemTime(std::chrono::nanoseconds(ns)); }

LeaseFile::Version version_of(const struct statx& status) {
  return {.device = (uint64_t{status.stx_dev_major} << 32U) | status.stx_dev_minor,
          .inode = status.stx_ino,
          .size = status.stx_size,
          .mode = status.stx_mode,
          .modified_ns = nanoseconds(status.stx_mtime),
          .changed_ns = nanoseconds(status.stx_ctime)};
}

bool stat_at(int directory, const char* name, int flags, struct statx& status) {
  return ::statx(directory, name, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME, &status) == 0;
}

const char* kind_of(uint32_t mode) {
  switch (mode & S_IFMT) {
    case S_IFREG:
      return "a regular file";
    case S_IFDIR:
      return "a directory";
    case S_IFLNK:
      return "a symbolic link";
    case S_IFIFO:
      return "a FIFO";
    case S_IFSOCK:
      return "a socket";
    default:
      return "a device";
  }
}

LeaseFile make_file(const struct statx& status, const Moment& now) {
  LeaseFile file;
  file.version = version_of(status);
  file.born = (status.stx_mask & STATX_BTIME) != 0 ? nanoseconds(status.stx_btime) : 0;
  file.settled = system_time(file.version.changed_ns) + kCoarsestClock < now.wall;
  if (!S_ISREG(status.stx_mode)) file.reason = fmt::format("{}, not a regular file", kind_of(status.stx_mode));
  return file;
}

Result<std::string> read_content(int fd, uint64_t size) {
  if (size > kLargestLease) return fail(ErrorKind::invalid, "larger than the {} bytes that a lease may have", kLargestLease);
  std::string content(size, '\0');
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = ::read(fd, content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "read");
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  content.resize(done);
  return content;
}

Result<std::shared_ptr<const Lease>> parse_lease(int fd, const std::string& name, const LeaseFile& file) {
  Lease lease;
  lease.subnet = TRY(parse_subnet_key(name));
  const std::string content = TRY(read_content(fd, file.version.size));
  lease.attributes = TRY(parse_lease_attributes(content));
  const bool writable = (file.version.mode & 0222U) != 0;
  lease.expires = writable ? system_time(file.version.modified_ns) + kLeaseTtl : kNeverExpires;
  return std::make_shared<const Lease>(std::move(lease));
}

// What this process or its host lacks says nothing about a file: taken for a fault of the lease, it would end a node's lease or a peer.
bool is_own_lack(int sys_errno) { return sys_errno == EMFILE || sys_errno == ENFILE || sys_errno == ENOMEM || sys_errno == ENOBUFS; }

Result<std::optional<LeaseFile>> unreadable(int sys_errno, const char* what, const std::string& name) {
  if (sys_errno == ENOENT) return std::nullopt;
  if (is_own_lack(sys_errno)) return fail_errno(sys_errno, "{} lease {}", what, name);
  LeaseFile file;
  file.reason = fail_errno(sys_errno, "{}", what).value().message();
  return file;
}

// nullopt: gone. What cannot be opened or read is rejected, and looked at again the next time.
Result<std::optional<LeaseFile>> read_file_at(int directory, const std::string& name, const Moment& now) {
  struct statx status {};
  // A device or a FIFO is not even opened: that can have effects. O_NONBLOCK and O_NOFOLLOW are for one that comes between.
  if (!stat_at(directory, name.c_str(), AT_STATX_SYNC_AS_STAT, status)) return unreadable(errno, "stat", name);
  if (!S_ISREG(status.stx_mode)) return make_file(status, now);
  const Fd fd(::openat(directory, name.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC));
  if (!fd) return unreadable(errno, "open", name);
  // Asked of the open file: what was read and what it says of itself belong together, and NFS has asked its server.
  if (!stat_at(fd.get(), "", AT_EMPTY_PATH, status)) return unreadable(errno, "stat", name);
  LeaseFile file = make_file(status, now);
  if (!file.reason.empty()) return file;
  if (auto lease = parse_lease(fd.get(), name, file)) {
    file.lease = std::move(*lease);
  } else if (is_own_lack(lease.error().sys_errno)) {
    return in_context(lease.error(), "lease " + name);
  } else {
    file.reason = lease.error().message();
    file.settled = file.settled && lease.error().sys_errno == 0;
  }
  return file;
}

// Leases that were given out are not changed.
void set_end(LeaseFile& file, SystemTime end) {
  if (!file.lease || file.lease->expires == end) return;
  auto lease = std::make_shared<Lease>(*file.lease);
  lease->expires = end;
  file.lease = std::move(lease);
}

bool same_lease(const std::shared_ptr<const Lease>& a, const std::shared_ptr<const Lease>& b) { return a && b ? *a == *b : a == b; }

struct DirCloser {
  void operator()(DIR* dir) const { ::closedir(dir); }
};

Result<std::unique_ptr<DIR, DirCloser>> open_directory(const std::string& path) {
  std::unique_ptr<DIR, DirCloser> dir(::opendir(path.c_str()));
  if (!dir) {
    auto error = fail_errno(errno, "open lease directory {}", path);
    if (errno == ENOENT) error.value().kind = ErrorKind::not_found;
    return error;
  }
  return dir;
}

}  // namespace

std::optional<LeaseFile::Version> path_version(const std::string& path) {
  struct statx status {};
  if (::statx(AT_FDCWD, path.c_str(), AT_STATX_SYNC_AS_STAT, STATX_BASIC_STATS, &status) != 0) return std::nullopt;
  return version_of(status);
}

// What has been read keeps the time that it had left.
bool LeaseDirectory::follow_clock(const Moment& now) {
  const auto by = clock_.follow(now);
  if (by.count() == 0) return false;
  for (auto& [name, file] : files_) {
    if (file.lease) set_end(file, LeaseClock::moved(file.lease->expires, by, now));
  }
  return true;
}

Result<bool> LeaseDirectory::refresh(const Moment& now) {
  const auto dir = TRY(open_directory(path_));
  const int fd = ::dirfd(dir.get());
  // Before the names are read: a change during the reading must show as one afterwards.
  struct statx status {};
  if (!stat_at(fd, "", AT_EMPTY_PATH, status)) return fail_errno(errno, "stat {}", path_);

  ++refreshes_;
  changed_ = follow_clock(now) || changed_;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) break;
    if (entry->d_name[0] != '.' && TRY(refresh_file(fd, entry->d_name, now))) changed_ = true;
  }
  if (errno != 0) return fail_errno(errno, "read lease directory {}", path_);
  const size_t gone = std::erase_if(files_, [&](const auto& file) { return file.second.refreshed != refreshes_; });
  version_ = version_of(status);
  return std::exchange(changed_, false) || gone > 0;
}

// True if the file is new or another.
Result<bool> LeaseDirectory::refresh_file(int directory, const std::string& name, const Moment& now) {
  struct statx status {};
  const auto known = files_.find(name);
  if (known != files_.end() && known->second.settled && stat_at(directory, name.c_str(), AT_STATX_SYNC_AS_STAT, status) &&
      version_of(status) == known->second.version) {
    known->second.refreshed = refreshes_;
    return false;
  }
  auto file = TRY(read_file_at(directory, name, now));
  if (!file) return false;  // gone again; what was known of it is dropped
  file->refreshed = refreshes_;
  if (file->lease) set_end(*file, clock_.end_of(file->lease->expires, now));
  const bool same = known != files_.end() && known->second.version == file->version && known->second.reason == file->reason &&
                    same_lease(known->second.lease, file->lease);
  // What was given out already is the same to whoever compares.
  if (same) file->lease = known->second.lease;
  files_.insert_or_assign(name, std::move(*file));
  return !same;
}

Result<std::optional<LeaseFile>> LeaseDirectory::read(const std::string& name) const {
  const Fd directory(::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return fail_errno(errno, "open lease directory {}", path_);
  const Moment now = Moment::now();
  auto file = TRY(read_file_at(directory.get(), name, now));
  if (file && file->lease) set_end(*file, clock_.end_of(file->lease->expires, now));
  return file;
}

LeaseSet make_lease_set(const LeaseFiles& files, SystemTime now, const NetConf* conf) {
  LeaseContest contest(lease_rules(conf));
  for (const auto& [name, file] : files) {
    if (!file.reason.empty() || file.lease->expires > now) contest.add(name, file);
  }
  return contest.set();
}

}  // namespace merino
