// What an operator must know of this node: passed to the lease store, which has a place for it if it is Kubernetes.
#pragma once

#include <chrono>
#include <map>
#include <vector>

#include "agent/node.h"
#include "cluster/lease_store.h"
#include "netlink/netlink.h"

namespace merino {

// What this node's configuration and interfaces do not fit: sentences with their remedies.
std::vector<OperatorNotice> host_notices(const Node& node, const std::vector<LinkAddress>& addresses);

// What holds now: of the host, of leases that are passed over, of a kernel that lacks something. Of leases that concern other nodes only
// one node speaks, the one with the first subnet: otherwise each trouble would be told by every node of the cluster.
std::vector<OperatorNotice> current_notices(const Node& node, const std::vector<RejectedLease>& ignored,
                                            std::vector<OperatorNotice> of_host);

// Tells each notice once, and again as long as it holds: Kubernetes forgets Events after an hour.
class NoticeTeller {
 public:
  using Clock = std::chrono::steady_clock;
  static constexpr std::chrono::minutes kAgain{55};

  void tell(LeaseStore& store, const std::vector<OperatorNotice>& notices, Clock::time_point now);

 private:
  std::map<OperatorNotice, Clock::time_point> told_;
};

}  // namespace merino
