// merinod: start-up, then one thread that waits for events and lets the reconciler compare and mend.
#pragma once

#include "agent/options.h"
#include "base/result.h"

namespace merino {

// Runs until SIGTERM or SIGINT, and leaves everything in place: the network goes on without the agent. Errors are start-up errors (wrong
// configuration, no uplink, no lease to be had, another agent); whatever fails later is tried again.
Status run_agent(const AgentOptions& options);

}  // namespace merino
