// peers, nodes and network as one table: the agent gives the whole desired set, the difference to what the maps hold is applied.
#pragma once

#include <array>
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

// Makes the maps say exactly `desired`. Order keeps traffic whole: a node before its subnets, a new prefix length before the first
// subnet that has it, and the reverse on removal. Errors: exhausted (a map is full; what fits is in), invalid (too many prefix lengths).
Result<PeerChanges> sync_peers(const std::vector<Peer>& desired);

// What the maps hold.
Result<std::vector<Peer>> read_peers();

}  // namespace merino
