#include "ctl/file_lock.h"

#include <fmt/format.h>

#include <sstream>

namespace merino::ctl {

// A line: "1: FLOCK  ADVISORY  WRITE 3817 00:29:107 0 EOF"; one that waits has "->" after the number.
bool is_locked(const std::string& proc_locks, const FileIdentity& file) {
  const std::string wanted = fmt::format("{:02x}:{:02x}:{}", file.device_major, file.device_minor, file.inode);
  std::istringstream lines(proc_locks);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string number;
    std::string kind;
    std::string advisory;
    std::string mode;
    std::string pid;
    std::string identity;
    words >> number >> kind >> advisory >> mode >> pid >> identity;
    if (kind == "FLOCK" && identity == wanted) return true;
  }
  return false;
}

}  // namespace merino::ctl
