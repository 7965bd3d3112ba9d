#include "agent/nft_json.h"

#include <nlohmann/json.hpp>

namespace merino {

using nlohmann::json;

Result<std::vector<json>> nft_objects(const std::string& text, const char* kind) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object() || !document.contains("nftables") || !document["nftables"].is_array()) {
    return fail(ErrorKind::decode, "nftables gave no JSON listing");
  }
  std::vector<json> out;
  for (const json& element : document["nftables"]) {
    if (element.is_object() && element.contains(kind) && element[kind].is_object()) out.push_back(element[kind]);
  }
  return out;
}

std::string nft_text(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::optional<uint64_t> nft_handle(const json& rule) {
  const auto found = rule.find("handle");
  if (found == rule.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<uint64_t>();
}

}  // namespace merino
