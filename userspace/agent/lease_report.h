// The leases as the agent sees them, for people (base/lease_report.h).
#pragma once

#include <chrono>
#include <functional>
#include <vector>

#include "agent/node.h"
#include "base/lease_report.h"

namespace merino {

// Each lease goes to `tell`. `ignored`: by the store and by PeerSelector.
void report_leases(const Node& node, const std::vector<RejectedLease>& ignored, const std::function<void(const ReportedLease&)>& tell);

// Writes the report when it has changed, at most once a second and in a twentieth of the time: with thousands of leases it is large, and
// they come one by one. The agent calls it after each pass, so that the last change is written some seconds later at the most.
class LeaseReporter {
 public:
  using Clock = std::chrono::steady_clock;
  Status report(const Node& node, const std::vector<RejectedLease>& ignored, Clock::time_point now);

 private:
  Clock::time_point next_write_;
  LeaseList leases_;
  size_t ignored_ = 0;
  bool written_ = false;
};

}  // namespace merino
