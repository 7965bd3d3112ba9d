// A CNI result: an IPAM plugin's, prevResult, or the one that a runtime has cached.
#include <nlohmann/json.hpp>

#include "cni/json_fields.h"
#include "cni/result.h"
#include "property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merino;
  using fuzz::require;
  const auto json = cni::parse_object(std::string(data, data + size), "the result");
  if (!json) return 0;
  const auto result = cni::parse_result(*json);
  if (!result) {
    require(!result.error().message().empty(), "an error has a text");
    return 0;
  }
  const std::string text = cni::format_result(*result, cni::kLatestVersion);
  const auto again = cni::parse_result(nlohmann::json::parse(text));
  require(again && *again == *result, "what is written is read again");
  cni::format_result(*result, cni::SpecVersion::v0_3_1);
  return 0;
}
