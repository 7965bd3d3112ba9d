#include "cluster/directory_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <random>
#include <thread>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "cluster/allocate.h"
#include "cluster/directory_watch.h"
#include "cluster/lease_directory.h"

namespace merino {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kTicksPerFullCheck = 12;
constexpr std::chrono::hours kTemporaryLifetime{1};
constexpr const char* kTemporaryPrefix = ".new-";
constexpr mode_t kLeaseMode = 0644;
constexpr mode_t kReservationMode = 0444;

// flock(2) on `path`, exclusively. unavailable if another holder does not let go within `patience`.
Result<Fd> lock_file(const std::string& path, milliseconds patience) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  if (!fd) return fail_errno(errno, "open lock {}", path);
  const auto deadline = steady_clock::now() + patience;
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return fail_errno(errno, "lock {}", path);
    if (steady_clock::now() >= deadline) return fail(ErrorKind::unavailable, "{} is locked by another process", path);
    std::this_thread::sleep_for(milliseconds(5));
  }
  return fd;
}

// False once the file has been removed: a lock on it keeps nobody out any more.
bool still_linked(const Fd& fd) {
  struct stat status {};
  return ::fstat(fd.get(), &status) == 0 && status.st_nlink > 0;
}

bool same_file(const struct stat& a, const struct stat& b) { return a.st_dev == b.st_dev && a.st_ino == b.st_ino; }

// link(2), but right about its success: on NFS the reply may get lost, and the repeated request then fails with EEXIST.
bool link_exclusively(const std::string& from, const std::string& to) {
  if (::link(from.c_str(), to.c_str()) == 0) return true;
  const int link_errno = errno;
  struct stat a {};
  struct stat b {};
  const bool linked = ::lstat(from.c_str(), &a) == 0 && ::lstat(to.c_str(), &b) == 0 && same_file(a, b);
  errno = link_errno;
  return linked;
}

void sync_directory(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd) ::fsync(fd.get());  // what a crash of the host would undo, renewal mends
}

bool is_temporary(const std::string& name) {
  return name.starts_with(kTemporaryPrefix) || name.starts_with(std::string(".") + kTemporaryPrefix) ||
         (name.size() > 8 && name[0] == '.' && parse_subnet_key(name.substr(1, name.size() - 8)));  // ".KEY.XXXXXX" of write_file_atomic()
}

Status make_store(const std::string& dir) {
  TRY(make_directories(dir + "/subnets"));
  return make_directories(dir + "/nodes");
}

class DirectoryStore final : public LeaseStore {
 public:
  DirectoryStore(const std::string& dir, const DirectoryStoreTiming& timing, DirectoryWatch watch)
      : dir_(dir), timing_(timing), watch_(std::move(watch)), directory_(dir + "/subnets"), random_(std::random_device{}()) {}

  Result<LeaseSet> list() override;
  Result<Lease> acquire(const NetConf& conf, const LeaseRequest& request) override;
  Result<Lease> renew(const Lease& lease) override;
  [[nodiscard]] StoreState state() const override { return state_; }
  [[nodiscard]] int event_fd() const override { return watch_.fd(); }
  bool drain_events() override;

 private:
  // That no other running node has the same address.
  struct Identity {
    IpAddress address;
    Fd lock;  // on DIR/nodes/<address>
  };

  Result<Fd> begin_change(const PerFamily<IpAddress>& public_ip);
  Status hold_identity(const IpAddress& address);
  Result<LeaseSet> read_set();
  Result<Lease> take(const Subnets& subnets, const LeaseAttributes& attributes);
  Result<Lease> update(const Subnets& subnets, const LeaseAttributes& attributes);
  Result<Lease> finish(const Subnets& subnets);
  bool remove_expired(const std::string& key);
  void remove_stale_temporaries();
  [[nodiscard]] bool is_own(const Lease& found, const Lease& lease) const;
  [[nodiscard]] std::string path_of(const Subnets& subnets) const { return directory_.path() + "/" + format_subnet_key(subnets); }
  uint64_t random_below(uint64_t bound) { return std::uniform_int_distribution<uint64_t>(0, bound - 1)(random_); }

  std::string dir_;
  DirectoryStoreTiming timing_;
  DirectoryWatch watch_;
  LeaseDirectory directory_;
  std::mt19937_64 random_;
  std::optional<NetConf> conf_;  // of the last acquire()
  std::optional<Lease> own_;     // as this store wrote it last
  PerFamily<Identity> identity_;
  SystemTime next_expiry_ = kNeverExpires;
  bool look_again_ = false;  // the caller has yet to list() a change that was seen, or its list() failed
  int ticks_ = 0;
  StoreState state_;
};

Result<LeaseSet> DirectoryStore::read_set() {
  if (TRY(directory_.refresh())) look_again_ = true;
  return make_lease_set(directory_.files(), std::chrono::system_clock::now(), conf_ ? &*conf_ : nullptr);
}

Result<LeaseSet> DirectoryStore::list() {
  auto set = read_set();
  look_again_ = !set;
  if (!set) {
    if (state_.followed) ++state_.outages;
    state_.followed = false;
    return set;
  }
  state_.followed = true;
  state_.last_update = std::chrono::system_clock::now();
  next_expiry_ = kNeverExpires;
  for (const Lease& lease : set->leases) next_expiry_ = std::min(next_expiry_, lease.expires);
  return set;
}

bool DirectoryStore::drain_events() {
  const auto events = watch_.drain();
  if (events.changed) return true;
  if (!events.tick) return false;
  if (look_again_ || next_expiry_ <= std::chrono::system_clock::now()) return true;
  const auto version = path_version(directory_.path());
  if (!version || *version != directory_.version()) return true;
  if (++ticks_ % kTicksPerFullCheck != 0) return false;
  look_again_ = directory_.refresh().value_or(true);
  return look_again_;
}

Result<Lease> DirectoryStore::acquire(const NetConf& conf, const LeaseRequest& request) {
  const Fd lock = TRY(begin_change(request.attributes.public_ip));
  conf_ = conf;
  const auto passed_over = passed_over_leases(TRY(read_set()), request.attributes.public_ip);
  for (const Subnets& subnets : passed_over) TRY(remove_file(path_of(subnets)));
  const LeaseSet set = TRY(read_set());
  std::vector<Subnets> blocked;
  for (const RejectedLease& rejected : set.rejected) {
    if (const auto subnets = parse_subnet_key(rejected.key)) blocked.push_back(*subnets);
  }
  const Pick pick = [this](size_t bound) { return static_cast<size_t>(random_below(bound)); };
  for (int lost = 0; lost < kLostRaces; ++lost) {
    const auto choice = TRY(choose_subnets(conf, set.leases, blocked, request.attributes.public_ip, request.previous, pick));
    auto lease = choice.held ? update(choice.subnets, request.attributes) : take(choice.subnets, request.attributes);
    if (lease) {
      for (const Subnets& unfit : unfit_leases(conf, set.leases, request.attributes.public_ip)) TRY(remove_file(path_of(unfit)));
      return lease;
    }
    if (lease.error().kind != ErrorKind::exists) return lease;
    blocked.push_back(choice.subnets);
  }
  return fail(ErrorKind::unavailable, "{}: {} subnets in a row were taken by others meanwhile", directory_.path(), kLostRaces);
}

Result<Lease> DirectoryStore::renew(const Lease& lease) {
  const Fd lock = TRY(begin_change(lease.attributes.public_ip));
  const LeaseSet set = TRY(read_set());
  for (const Lease& found : set.leases) {
    if (!overlap(found.subnet, lease.subnet)) continue;
    if (is_own(found, lease)) return update(lease.subnet, lease.attributes);
    return with_remedy(fail(ErrorKind::exists, "lease of {}: {} holds {} now", to_string(lease.subnet),
                            to_string(found.attributes.public_ip), to_string(found.subnet)),
                       "restart merinod to lease another subnet");
  }
  // Deleted, expired, or spoilt: nobody else takes a name with something in it that is no lease, so it is still this node's.
  const auto found = directory_.files().find(format_subnet_key(lease.subnet));
  if (found != directory_.files().end() && !found->second.reason.empty()) return update(lease.subnet, lease.attributes);
  return take(lease.subnet, lease.attributes);
}

bool DirectoryStore::is_own(const Lease& found, const Lease& lease) const {
  if (found.subnet != lease.subnet) return false;
  // With another public IP it is still the own one if it is what was written last: the node's address changed.
  return is_same_node(found.attributes.public_ip, lease.attributes.public_ip) ||
         (own_ && own_->subnet == found.subnet && own_->attributes == found.attributes);
}

// What every change needs first: the directories, the node's identity, and the lock.
Result<Fd> DirectoryStore::begin_change(const PerFamily<IpAddress>& public_ip) {
  TRY(make_store(dir_));
  for (const Family family : kFamilies) {
    if (public_ip[family]) TRY(hold_identity(*public_ip[family]));
  }
  auto lock = lock_file(dir_ + "/lock", timing_.lock_patience);
  if (!lock && lock.error().kind == ErrorKind::unavailable) {
    return with_remedy(tl::unexpected(std::move(lock).error()), "find the process that hangs: lslocks, or fuser on the file");
  }
  if (lock) remove_stale_temporaries();
  return lock;
}

Status DirectoryStore::hold_identity(const IpAddress& address) {
  auto& held = identity_[address.family()];
  if (held && held->address == address && still_linked(held->lock)) return ok();
  auto lock = lock_file(dir_ + "/nodes/" + address.to_string(), milliseconds(0));
  if (!lock && lock.error().kind == ErrorKind::unavailable) {
    return with_remedy(fail(ErrorKind::exists, "another running node has the public IP {}: {}", address.to_string(), lock.error().what),
                       "give each node a public IP of its own (--public-ip), or stop the other agent of this node");
  }
  held = Identity{.address = address, .lock = TRY(std::move(lock))};
  return ok();
}

// Creates the lease; `exists` if something stands there by now that is not an expired lease.
Result<Lease> DirectoryStore::take(const Subnets& subnets, const LeaseAttributes& attributes) {
  const std::string path = path_of(subnets);
  const std::string temporary = fmt::format("{}/{}{:016x}", directory_.path(), kTemporaryPrefix, random_());
  TRY(write_file_atomic(temporary, format_lease_attributes(attributes), kLeaseMode));
  bool taken = link_exclusively(temporary, path);
  if (!taken && errno == EEXIST && remove_expired(format_subnet_key(subnets))) taken = link_exclusively(temporary, path);
  const int link_errno = errno;
  ::unlink(temporary.c_str());
  if (!taken && link_errno == EEXIST) return fail(ErrorKind::exists, "{} exists", path);
  if (!taken) return fail_errno(link_errno, "create {}", path);
  sync_directory(directory_.path());
  return finish(subnets);
}

// The own lease lives on: touched, or written anew if what it says changed.
Result<Lease> DirectoryStore::update(const Subnets& subnets, const LeaseAttributes& attributes) {
  const std::string path = path_of(subnets);
  const auto file = TRY(directory_.read(format_subnet_key(subnets)));
  if (file && file->reason.empty() && file->lease->attributes == attributes) {
    if (file->lease->expires != kNeverExpires && ::utimensat(AT_FDCWD, path.c_str(), nullptr, AT_SYMLINK_NOFOLLOW) != 0) {
      return fail_errno(errno, "renew {}", path);
    }
  } else {
    const bool reserved = file && file->reason.empty() && file->lease->expires == kNeverExpires;
    TRY(write_file_atomic(path, format_lease_attributes(attributes), reserved ? kReservationMode : kLeaseMode));
  }
  return finish(subnets);
}

// Reads back what stands there now.
Result<Lease> DirectoryStore::finish(const Subnets& subnets) {
  const auto file = TRY(directory_.read(format_subnet_key(subnets)));
  if (!file || !file->reason.empty()) {
    return fail(ErrorKind::unavailable, "{} was just written and is {}", path_of(subnets), file ? file->reason : "gone");
  }
  own_ = *file->lease;
  return *file->lease;
}

// Under the lock: nobody can renew it between the look and the removal.
bool DirectoryStore::remove_expired(const std::string& key) {
  const auto read = directory_.read(key);
  if (!read) {
    errno = read.error().sys_errno;
    return false;
  }
  const auto& file = *read;
  if (!file) return true;
  if (!file->reason.empty() || file->lease->expires > std::chrono::system_clock::now()) {
    errno = EEXIST;
    return false;
  }
  return ::unlink((directory_.path() + "/" + key).c_str()) == 0;
}

// What writers that crashed left behind.
void DirectoryStore::remove_stale_temporaries() {
  DIR* dir = ::opendir(directory_.path().c_str());
  if (dir == nullptr) return;
  const auto limit = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now() - kTemporaryLifetime);
  while (const dirent* entry = ::readdir(dir)) {
    struct stat status {};
    if (entry->d_name[0] == '.' && is_temporary(entry->d_name) &&
        ::fstatat(::dirfd(dir), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(status.st_mode) && status.st_mtime < limit) {
      ::unlinkat(::dirfd(dir), entry->d_name, 0);
    }
  }
  ::closedir(dir);
}

}  // namespace

Result<std::unique_ptr<LeaseStore>> open_directory_store(const std::string& dir, const DirectoryStoreTiming& timing) {
  TRY(make_store(dir));  // before it is watched: a directory that is missing would be found by the timer only
  auto watch = TRY(DirectoryWatch::open(dir + "/subnets", timing.check_interval));
  return std::make_unique<DirectoryStore>(dir, timing, std::move(watch));
}

}  // namespace merino
