// Which peers follow from the leases: all of them, or what has changed since the last time.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "agent/node.h"
#include "cluster/lease_list.h"

namespace merino {

struct PeerUpdate {
  enum class Extent { all, difference } extent = Extent::all;
  std::vector<Peer> gone;  // of a difference: no peers any more, or not as they were
  std::vector<Peer> come;
};

// Remembers the leases that were judged last. A verdict holds as long as the node is what it was, so only other leases are judged again;
// where it is not, or was forgotten, all are new.
class PeerSelector {
 public:
  // What the peers are now, compared with the last call.
  PeerUpdate update(const Node& node);

  // The next update has all peers.
  void forget() { facts_.reset(); }

  // As of the last update: leases that make no peer, with the reason, those that the store rejected first.
  [[nodiscard]] std::vector<RejectedLease> ignored(const Node& node) const;
  [[nodiscard]] std::vector<OffSegment> off_segment() const;
  [[nodiscard]] size_t peers() const { return peers_; }

 private:
  // Of the node, all that verdicts depend on and that can change, but for the segment.
  struct Facts {
    Subnets subnet;
    PerFamily<IpAddress> public_ip;
    PerFamily<IpAddress> address;
    bool operator==(const Facts&) const = default;
  };
  // What there is to say of a lease.
  struct Remark {
    LeaseList::Item lease;
    std::string reason;
    std::vector<OffSegment> off_segment;
  };

  std::optional<Facts> facts_;
  LeaseList judged_;
  std::map<Subnets, Remark> remarks_;
  size_t peers_ = 0;
};

}  // namespace merino
