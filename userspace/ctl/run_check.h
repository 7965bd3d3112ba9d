// Gathers what `merinoctl check` reports: reads this host's state and sends the probes.
#pragma once

#include <string>
#include <vector>

#include "ctl/check.h"

namespace merino::ctl {

struct CheckRequest {
  std::vector<std::string> nodes;  // names or addresses of nodes, or their subnets; empty: all
  std::vector<std::string> pods;   // addresses of pods, or names of this node's; with these, no nodes but those that are named
  int count = 5;                   // of echoes to each
  size_t limit = 64;               // of peers, unless they are named
};

// not_found if a node that is named is no peer, if an address that is named is no pod's of a known subnet, or if merinod never ran here.
Result<CheckReport> run_check(const CheckRequest& request, const std::string& version);

}  // namespace merino::ctl
