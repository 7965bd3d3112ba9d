// merinod --cleanup: the way back to flannel, or to no pod network at all.
#pragma once

#include "agent/options.h"
#include "base/result.h"

namespace merino {

// Takes everything of merino's off the node: programs, pins, merino0 with its route, rules, /run/merino. What is gone already is passed
// over. Pods stay attached; those that merino attached become ports of the bridge with their gateway's addresses, the one that flannel's
// delegate has made or would make. subnet.env and the addresses in use stay, so that flanneld goes on with
// the same subnet. Goes on after a failure and returns the first one. exists: a merinod runs; nothing was done.
Status run_cleanup(const AgentOptions& options);

}  // namespace merino
