// Small files read and written whole, and lock files.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace merino {

// The whole content of `path`. not_found if it is missing; invalid if it is larger than `max_bytes` (input is hostile).
Result<std::string> read_file(const std::string& path, size_t max_bytes = 16U << 20U);

// Replaces `path` atomically and durably: temporary file in the same directory, fsync, rename, fsync of the directory. The
// mode is exact, whatever the umask. Readers see the old content or the new, never half.
Status write_file_atomic(const std::string& path, const std::string& content, mode_t mode = 0644);

// The names in the directory `path`, in no order, without "." and "..". A missing one has none.
Result<std::vector<std::string>> list_directory(const std::string& path);

// mkdir -p with `mode` for what is missing.
Status make_directories(const std::string& path, mode_t mode = 0755);

// Unlinks; a file that is gone already is success.
Status remove_file(const std::string& path);

// An exclusive flock(2) on a file that is created when missing; blocks until it is had, is let go by the destructor, and dies
// with the process. The file is never removed (that would race with a waiter).
class FileLock {
 public:
  static Result<FileLock> acquire(const std::string& path);

 private:
  explicit FileLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace merino
