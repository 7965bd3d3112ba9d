// What run_nft() prints as JSON, taken apart.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace merino {

// The objects of one kind ("chain", "rule", "table"), whatever else is in there. decode: no listing.
Result<std::vector<nlohmann::json>> nft_objects(const std::string& text, const char* kind);

// The text at `key`; empty if there is none.
std::string nft_text(const nlohmann::json& object, const char* key);

// By which a rule is deleted.
std::optional<uint64_t> nft_handle(const nlohmann::json& rule);

}  // namespace merino
