// The only user of libnftables: commands as text or JSON, each run one transaction.
#pragma once

#include <string>

#include "base/address.h"
#include "base/result.h"

namespace merino {

enum class NftFormat { text, json };

// Runs `commands` (in `format`; a transaction: all or nothing) and returns what they print, without counters' values. `purpose` begins the
// error: "list the rules of table ip merino".
// unavailable: no answer within 30 s. Whatever becomes of libnftables, this process goes on.
Result<std::string> run_nft(NftFormat format, const std::string& commands, const std::string& purpose);

// The family's name in nftables: "ip" or "ip6".
const char* nft_protocol(Family family);

}  // namespace merino
