// What nft and iptables print of rules that others wrote, and what the agent makes of it.
#include "agent/nft_json.h"

#include <nlohmann/json.hpp>

#include "agent/forward.h"
#include "property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merino;
  using fuzz::require_good;
  const std::string text(data, data + size);
  if (const auto chains = parse_forward_chains(text, Family::v4); !chains) require_good(chains.error());
  if (const auto rules = parse_forward_rules(text, Prefix::parse("10.244.0.0/16").value()); !rules) require_good(rules.error());
  if (const auto objects = nft_objects(text, "rule"); objects) {
    for (const nlohmann::json& object : *objects) {
      nft_handle(object);
      nft_text(object, "comment");
    }
  }
  legacy_policy_drops(text);
  return 0;
}
