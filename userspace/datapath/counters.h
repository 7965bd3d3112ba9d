// counters: packets and bytes per reason, summed over the CPUs.
#pragma once

#include <cstdint>
#include <vector>

#include "abi.h"
#include "base/result.h"

namespace merino {

enum class Action { fast, stack, drop };
const char* action_name(Action action);

struct ReasonInfo {
  merino_reason reason;
  const char* name;  // lower case: "no_route"
  Action action;
  const char* meaning;
  const char* remedy;  // may be empty
};
// All reasons in the order of abi.h.
const std::vector<ReasonInfo>& reasons();

struct Counter {
  const ReasonInfo* reason;
  uint64_t packets;
  uint64_t bytes;
};
// One element per reason, in the order of abi.h. not_found when the map is not pinned (the agent never ran).
Result<std::vector<Counter>> read_counters();

}  // namespace merino
