// From options to a node with a lease, before anything is changed on the host but its lease.
#pragma once

#include <memory>

#include "agent/node.h"
#include "base/fd.h"
#include "base/result.h"
#include "netlink/netlink.h"

namespace merino {

// One agent per node: held as long as the returned descriptor is open. exists, naming the holder, if there is another.
Result<Fd> take_instance_lock(const std::string& path);

// The store that the options name; it has asked nobody yet.
Result<std::unique_ptr<LeaseStore>> open_store(const AgentOptions& options);

// Reads the configuration, chooses the uplink, and acquires the lease: the previous subnet and VTEP MAC, if there were any. unavailable
// when the store does not answer, or not yet: worth another attempt.
Result<Node> start_node(const AgentOptions& options, Netlink& netlink, LeaseStore& store);

}  // namespace merino
