// What an operator must know of this node: passed to the lease store, which has a place for it if it is Kubernetes.
#pragma once

#include <array>
#include <chrono>
#include <map>
#include <vector>

#include "agent/node.h"
#include "agent/reconciler.h"
#include "cluster/lease_store.h"
#include "netlink/netlink.h"

namespace merino {

// Every reason that a notice can have.
inline constexpr std::array kNoticeReasons = {"SubnetConflict",     "LeaseIgnored",      "MtuMismatch", "NetworkOverlap",
                                              "KernelLacksFeature", "ProgramsNotLoaded", "StepFailed"};

// A step may fail in passing, and one whose error changes has only now got it; programs that a kernel does not take it will not take later.
inline constexpr std::chrono::minutes kStepPatience{1};

// What the uplink has.
struct UplinkFacts {
  std::vector<LinkAddress> addresses;
  std::vector<Route> routes;
};

// What this node's configuration does not fit: the uplink, and its routes to other nodes; sentences with their remedies. Leases say nothing
// of MTUs: what other nodes' uplinks and whatever lies between carry is not known here, `merinoctl check` measures it.
std::vector<OperatorNotice> host_notices(const Node& node, const UplinkFacts& uplink);

// What the steps found.
struct NoticeFacts {
  std::vector<OperatorNotice> of_host;  // host_notices()
  std::vector<RejectedLease> ignored;   // leases that are passed over
  std::vector<StepState> steps;
  std::chrono::system_clock::time_point now;
};

// What holds now: of the host, of leases that are passed over, of a kernel that lacks something, of steps that fail. Of leases that
// concern other nodes only one node speaks, the one with the first subnet: otherwise each trouble would be told by every node of the
// cluster.
std::vector<OperatorNotice> current_notices(const Node& node, const NoticeFacts& facts);

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
