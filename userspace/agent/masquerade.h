// Masquerade of pod traffic that leaves the network: flannel's POSTROUTING rules, in the same order and with the same meaning, as the
// nftables tables "ip merino" and "ip6 merino", one for each family of the pod network, each replaced whole in one transaction.
//
// Whether the rules are still right is judged by how the kernel lists them. Versions of nftables spell the same rule differently, so the
// listing right after our own last transaction is right too, whatever it looks like.
//
// IPv6 needs no exception for what the neighbours say to each other: conntrack does not follow it, so that it is not translated; and what
// has a link-local address is not forwarded.
#pragma once

#include <string>

#include "base/per_family.h"
#include "base/result.h"

namespace merino {

enum class MasqueradePorts { fully_random, kept };

// Of one family.
struct MasqueradeRules {
  Prefix network;
  Prefix subnet;  // this node's
  MasqueradePorts ports = MasqueradePorts::fully_random;
};

// The table as `nft list table ip merino` prints it.
std::string masquerade_table(const MasqueradeRules& rules);

class Masquerade {
 public:
  // The family's table. True if it had to be made or replaced.
  Result<bool> ensure(const MasqueradeRules& rules);
  // True if there was one to remove.
  static Result<bool> ensure_absent(Family family);

 private:
  struct Written {
    std::string table;    // its text in our last transaction,
    std::string listing;  // and how it was listed right afterwards
  };
  PerFamily<Written> written_;
};

}  // namespace merino
