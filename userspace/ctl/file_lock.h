// Who holds a lock, without asking for it.
#pragma once

#include <sys/types.h>

#include <string>

namespace merino::ctl {

struct FileIdentity {
  unsigned device_major;
  unsigned device_minor;
  ino_t inode;
};

// Does a process hold a flock(2) on the file? `proc_locks` is the content of /proc/locks (proc(5)). Waiters do not count.
bool is_locked(const std::string& proc_locks, const FileIdentity& file);

}  // namespace merino::ctl
