// Masquerade of pod traffic that leaves the network: flannel's POSTROUTING rules, in the same order and with the same meaning, as the
// nftables table "ip merino", replaced whole in one transaction.
//
// Whether the rules are still right is judged by how the kernel lists them. Versions of nftables spell the same rule differently, so the
// listing right after our own last transaction is right too, whatever it looks like.
#pragma once

#include <string>

#include "base/address.h"
#include "base/result.h"

namespace merino {

enum class MasqueradePorts { fully_random, kept };

struct MasqueradeRules {
  Prefix network;
  Prefix subnet;  // this node's
  MasqueradePorts ports = MasqueradePorts::fully_random;
};

// The table as `nft list table ip merino` prints it.
std::string masquerade_table(const MasqueradeRules& rules);

class Masquerade {
 public:
  // True if the table had to be made or replaced.
  Result<bool> ensure(const MasqueradeRules& rules);
  // True if there was one to remove.
  static Result<bool> ensure_absent();

 private:
  std::string applied_;  // the table's text in our last transaction,
  std::string listing_;  // and how it was listed right afterwards
};

}  // namespace merino
