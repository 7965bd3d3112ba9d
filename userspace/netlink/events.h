// "Something changed" in a network namespace.
#pragma once

#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace merino {

// Neighbours are apart: they change all the time.
enum class NetlinkTopic { network, neighbours };

// Changes of links, addresses and routes, or of neighbours, of the current namespace, without saying which: the receiver compares state
// anyway.
class NetlinkEvents {
 public:
  static Result<NetlinkEvents> open(NetlinkTopic topic = NetlinkTopic::network);
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Reads what is pending; true if there was any (also on ENOBUFS: events were lost, so something happened). Never blocks.
  Result<bool> drain();

 private:
  explicit NetlinkEvents(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

}  // namespace merino
