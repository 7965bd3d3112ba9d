#include "agent/lease_report.h"

#include <algorithm>
#include <map>

#include "base/clocks.h"
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

void report_leases(const Node& node, const std::vector<RejectedLease>& ignored, const std::function<void(const ReportedLease&)>& tell) {
  std::map<std::string, std::string> reasons;
  for (const RejectedLease& lease : ignored) reasons.emplace(lease.key, lease.reason);
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
    tell(out);
  }
  for (const auto& [key, reason] : reasons) tell({key, "", "", "", kLeaseWithoutEnd, "ignored", reason});
}

Status LeaseReporter::report(const Node& node, const std::vector<RejectedLease>& ignored, Clock::time_point now) {
  if (written_ && now < next_write_) return ok();
  if (written_ && leases_ == node.leases.leases && ignored_ == ignored.size()) return ok();
  const auto before = thread_cpu_time();
  LeaseReportText text;
  report_leases(node, ignored, [&](const ReportedLease& lease) { text.add(lease); });
  TRY(write_file_atomic(kLeaseReportPath, std::move(text).finish()));
  leases_ = node.leases.leases;
  ignored_ = ignored.size();
  written_ = true;
  constexpr int kShare = 20;
  next_write_ = now + std::max<Clock::duration>(std::chrono::seconds(1), (thread_cpu_time() - before) * kShare);
  return ok();
}

}  // namespace merino
