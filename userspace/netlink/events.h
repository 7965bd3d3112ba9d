// "Something changed" in a network namespace.
#pragma once

#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace merino {

// Link, address and route changes of the current namespace, without saying which: the receiver compares state anyway.
// Neighbours are left out, they change all the time.
class NetlinkEvents {
 public:
  static Result<NetlinkEvents> open();
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Reads what is pending; true if there was any (also on ENOBUFS: events were lost, so something happened). Never blocks.
  Result<bool> drain();

 private:
  explicit NetlinkEvents(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace merino
