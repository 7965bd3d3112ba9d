// The files of a lease directory, each parsed once, and the set of leases that they make.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/result.h"
#include "cluster/lease.h"
#include "cluster/lease_clock.h"
#include "cluster/lease_contest.h"
#include "cluster/lease_store.h"

namespace merino {

using SystemTime = std::chrono::system_clock::time_point;

// One name in the directory; its birth is 0 where the file system does not say.
struct LeaseFile : LeaseClaim {
  // What tells that a file is still the one that was read.
  struct Version {
    uint64_t device = 0;
    uint64_t inode = 0;
    uint64_t size = 0;
    uint32_t mode = 0;
    int64_t modified_ns = 0;
    int64_t changed_ns = 0;
    bool operator==(const Version&) const = default;
  };

  Version version;
  bool settled = false;    // old enough that another change would show in its times
  uint64_t refreshed = 0;  // number of the last refresh that saw it
};

using LeaseFiles = std::unordered_map<std::string, LeaseFile>;  // by name

class LeaseDirectory {
 public:
  explicit LeaseDirectory(std::string path, const Moment& start = Moment::now()) : path_(std::move(path)), clock_(start) {}

  // Reads what is new or changed since the last call that came to its end. True if anything was, or is gone, or the wall clock was set. An
  // error if the directory cannot be read, or no file for want of descriptors or memory: what was known stays known.
  Result<bool> refresh(const Moment& now = Moment::now());

  // Names that begin with a dot (temporary files) are not among them.
  [[nodiscard]] const LeaseFiles& files() const { return files_; }

  // One file as it is now, past all caches; nullopt if there is none of that name. Errors as refresh().
  [[nodiscard]] Result<std::optional<LeaseFile>> read(const std::string& name) const;

  // Inode, device and modification time of the directory at the last refresh.
  [[nodiscard]] const LeaseFile::Version& version() const { return version_; }

  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  bool follow_clock(const Moment& now);
  Result<bool> refresh_file(int directory, const std::string& name, const Moment& now);

  std::string path_;
  LeaseClock clock_;
  LeaseFiles files_;
  uint64_t refreshes_ = 0;
  bool changed_ = false;  // seen by a refresh that did not come to its end
  LeaseFile::Version version_;
};

// The leases among `files` at `now`, by the rules in directory_store.h. `conf` is nullptr while it is not known.
LeaseSet make_lease_set(const LeaseFiles& files, SystemTime now, const NetConf* conf);

// Version of what stands at `path`; nullopt if nothing does.
std::optional<LeaseFile::Version> path_version(const std::string& path);

}  // namespace merino
