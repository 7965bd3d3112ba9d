// What the route events of netlink do not tell: files and pins that somebody removes, a bpffs that somebody unmounts, neighbour entries
// that somebody flushes, rules of the packet filter that somebody changes. All behind one descriptor; what comes out is a cause for a pass,
// which compares state anyway. A watch that cannot be had is none: the slow full check sees everything too.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"
#include "netlink/events.h"

namespace merino {

class HostWatches {
 public:
  static Result<HostWatches> open(const std::string& subnet_file);

  // Readable when something happened.
  [[nodiscard]] int fd() const { return epoll_.get(); }

  // Reads what is pending: causes of reconciler.h, 0 for none. Never blocks.
  Result<unsigned> drain();

  // Watches directories that have been made since, or made again. To be called after each pass.
  void renew();

 private:
  struct Directory {
    std::string path;
    std::string only;  // the one file in it that counts; empty: all do
    unsigned cause = 0;
  };

  HostWatches() = default;
  void add(int fd, unsigned events) const;
  [[nodiscard]] unsigned drain_files();

  Fd epoll_;
  Fd inotify_;
  Fd mounts_;  // /proc/self/mountinfo: an exceptional condition when the mounts change
  std::optional<NetlinkEvents> lost_neighbours_;
  std::optional<NetlinkEvents> packet_filter_;
  std::vector<Directory> directories_;
  std::map<int, Directory> watched_;
};

}  // namespace merino
