#include "agent/lease_report.h"

#include <map>

#include "base/file.h"

namespace merino {

namespace {

int64_t expiry_of(const Lease& lease) {
  if (lease.expires == kNeverExpires) return kLeaseWithoutEnd;
  return std::chrono::duration_cast<std::chrono::seconds>(lease.expires.time_since_epoch()).count();
}

// Of both families: "10.244.1.0/24,fd00:1::/64".
template <class T>
std::string list_of(const PerFamily<T>& both) {
  std::string text;
  for (const Family family : kFamilies) {
    if (both[family]) text += (text.empty() ? "" : ",") + both[family]->to_string();
  }
  return text;
}

}  // namespace

std::vector<ReportedLease> report_leases(const Node& node, const std::vector<RejectedLease>& ignored) {
  std::map<std::string, std::string> reasons;
  for (const RejectedLease& lease : ignored) reasons.emplace(lease.key, lease.reason);
  std::vector<ReportedLease> report;
  for (const Lease& lease : node.leases.leases) {
    ReportedLease out;
    out.key = format_subnet_key(lease.subnet);
    out.subnet = list_of(lease.subnet);
    out.node = list_of(lease.attributes.public_ip);
    out.name = lease.node_name;
    out.backend = lease.attributes.backend_type;
    out.expires = expiry_of(lease);
    out.state = lease.subnet == node.lease.subnet ? "own" : "used";
    if (const auto reason = reasons.extract(out.key)) {
      out.state = "ignored";
      out.why = reason.mapped();
    }
    report.push_back(std::move(out));
  }
  for (const auto& [key, reason] : reasons) report.push_back({key, "", "", "", kLeaseWithoutEnd, "ignored", reason});
  return report;
}

Status LeaseReporter::report(const Node& node, const std::vector<RejectedLease>& ignored, Clock::time_point now) {
  if (written_ && now - last_write_ < std::chrono::seconds(1)) return ok();
  if (written_ && leases_ == node.leases.leases && ignored_ == ignored.size()) return ok();
  TRY(write_file_atomic(kLeaseReportPath, format_lease_report(report_leases(node, ignored))));
  leases_ = node.leases.leases;
  ignored_ = ignored.size();
  written_ = true;
  last_write_ = now;
  return ok();
}

}  // namespace merino
