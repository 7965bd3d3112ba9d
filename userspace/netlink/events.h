// "Something changed" in a network namespace.
#pragma once

#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace merino {

// Neighbours are apart: they change all the time. lost_neighbours: entries that are gone. packet_filter: nftables' rules.
enum class NetlinkTopic { network, neighbours, lost_neighbours, packet_filter };

// Changes of links, addresses and routes, or of another topic, of the current namespace, without saying which: the receiver compares state
// anyway.
class NetlinkEvents {
 public:
  static Result<NetlinkEvents> open(NetlinkTopic topic = NetlinkTopic::network);
  [[nodiscard]] int fd() const { return fd_.get(); }
  // Reads what is pending; true if there was any (also on ENOBUFS: events were lost, so something happened). Never blocks.
  Result<bool> drain();

 private:
  NetlinkEvents(Fd fd, NetlinkTopic topic) : fd_(std::move(fd)), topic_(topic) {}
  Fd fd_;
  NetlinkTopic topic_;
};

}  // namespace merino
