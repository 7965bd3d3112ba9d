// The leases as the agent sees them, for people (base/lease_report.h).
#pragma once

#include <vector>

#include "agent/node.h"
#include "base/lease_report.h"

namespace merino {

// `ignored`: by the store and by select_peers().
std::vector<ReportedLease> report_leases(const Node& node, const std::vector<RejectedLease>& ignored);

// Writes the report when it has changed since the last call.
class LeaseReporter {
 public:
  Status report(const Node& node, const std::vector<RejectedLease>& ignored);

 private:
  std::vector<Lease> leases_;
  size_t ignored_ = 0;
  bool written_ = false;
};

}  // namespace merino
