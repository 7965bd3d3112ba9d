// peers, nodes and network as one table: the agent gives the whole desired set, the difference to what the maps hold is applied.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace merino {

enum class PeerKind {
  vxlan,
  direct,  // a node on the uplink's own segment, reached without a tunnel
  udp,     // flannel's udp backend, IPv4 only
};

inline constexpr std::array kPeerKinds = {PeerKind::vxlan, PeerKind::direct, PeerKind::udp};
// "vxlan": for people, JSON and metrics.
const char* peer_kind_name(PeerKind kind);

struct Peer {
  Prefix subnet;
  IpAddress underlay;   // direct: the next hop
  MacAddress vtep_mac;  // direct: the next hop's own; none as long as it is not known
  PeerKind kind = PeerKind::vxlan;

  bool operator==(const Peer&) const = default;
};

struct PeerChanges {
  size_t added = 0;
  size_t changed = 0;
  size_t removed = 0;
};

// How many subnets of a family have a length, in bits of the 128.
using PrefixLengths = std::map<std::pair<Family, int>, size_t>;

// Writes the maps. Order keeps traffic whole: a node before its subnets, a new prefix length before the first subnet that has it, and the
// reverse on removal. Errors: exhausted (a map is full; what fits is in), invalid (too many prefix lengths).
class PeerTable {
 public:
  // Makes the maps say exactly `desired`, whatever they say now.
  Result<PeerChanges> sync(const std::vector<Peer>& desired);

  // The same where `desired` is what it was for the last call but for these, and the maps are believed to say that: they are not read
  // as a whole. `gone` has peers as they were, `come` as they shall be. sync() is needed after any error: invalid, if the maps do not say
  // that, are not those that were written, or the last call has failed.
  Result<PeerChanges> apply(const std::vector<Peer>& gone, const std::vector<Peer>& come);

  // The maps may have been changed by somebody else.
  void forget() { known_.reset(); }

 private:
  struct Known {
    std::array<uint32_t, 3> maps{};  // ids of peers, nodes, network
    PrefixLengths lengths;
  };
  std::optional<Known> known_;
};

// What the maps hold.
Result<std::vector<Peer>> read_peers();

}  // namespace merino
