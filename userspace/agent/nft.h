// The only caller of nft: commands as text or JSON, each run one transaction.
#pragma once

#include <string>

#include "base/address.h"
#include "base/result.h"

namespace merino {

enum class NftFormat { text, json };

// Runs `commands` (a transaction: all or nothing) and returns what they print, in `format` and without counters' values; for json the
// commands may be either. `purpose` begins the error: "list the rules of table ip merino".
// not_found: there is no nft; unavailable: no answer within 30 s; system: nft refuses, in its words.
Result<std::string> run_nft(NftFormat format, const std::string& commands, const std::string& purpose);

// The family's name in nftables: "ip" or "ip6".
const char* nft_protocol(Family family);

}  // namespace merino
