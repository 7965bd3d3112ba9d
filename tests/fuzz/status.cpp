// /run/merino/status.json, which merinoctl reads and anybody who can write there may have changed.
#include "base/agent_status.h"
#include "property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merino;
  using fuzz::require;
  const auto status = parse_agent_status(std::string(data, data + size));
  if (!status) {
    fuzz::require_good(status.error());
    return 0;
  }
  const auto again = parse_agent_status(format_agent_status(*status));
  require(again && *again == *status, "what is written is read again");
  return 0;
}
