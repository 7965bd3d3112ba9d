// /run/merino/leases.json: all leases as the agent sees them, for `merinoctl leases`. Written atomically whenever they change.
//
//   [{"key": "10.244.1.0-24", "subnet": "10.244.1.0/24", "node": "192.168.88.11", "backend": "vxlan", "expires": 1790000000,
//     "state": "own", "why": ""}]
//
// `state`: "own", "used" (its node is a peer) or "ignored", with the reason in `why`. What is not even a lease has a key (as the store
// names it) and a reason only. `expires` is kLeaseWithoutEnd for a lease that does not end. Where the store knows the node's name, it
// stands behind the node's address: "name": "worker-1".
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace merino {

inline constexpr const char* kLeaseReportPath = "/run/merino/leases.json";

struct ReportedLease {
  std::string key;
  std::string subnet;  // of both families: separated by a comma
  std::string node;    // its address; of both families: separated by a comma
  std::string backend;
  int64_t expires = 0;
  std::string state;
  std::string why;
  std::string name = {};  // the node's

  bool operator==(const ReportedLease&) const = default;
};

// The file's text, lease by lease: of tens of thousands there is never more than that text.
class LeaseReportText {
 public:
  void add(const ReportedLease& lease);
  [[nodiscard]] std::string finish() &&;

 private:
  std::string text_ = "[";
};

std::string format_lease_report(const std::vector<ReportedLease>& leases);

// not_found, with the remedy, when no agent ever wrote it; decode when it is none.
Result<std::vector<ReportedLease>> load_lease_report(const std::string& path = kLeaseReportPath);

}  // namespace merino
