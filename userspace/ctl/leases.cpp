#include "ctl/leases.h"

#include <algorithm>

#include "base/agent_status.h"
#include "ctl/status.h"

namespace merino::ctl {

namespace {

std::string time_left(const ReportedLease& lease, std::chrono::system_clock::time_point now) {
  if (lease.subnet.empty()) return "-";
  if (lease.expires == kLeaseWithoutEnd) return "never";
  const auto left = std::chrono::seconds(lease.expires) - std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch());
  return left.count() > 0 ? format_span(left) : "run out";
}

}  // namespace

std::string leases_text(const std::vector<ReportedLease>& leases, std::chrono::system_clock::time_point now, Width width,
                        const Screen& screen) {
  if (leases.empty()) return "no leases\n";
  const bool wide = width == Width::wide;
  Table table{{{"SUBNET"}, {"NODE"}, {"ENDS IN"}, {"STATE"}}, {}};
  if (wide) table.columns.insert(table.columns.begin() + 2, {{"BACKEND"}, {"KEY"}});
  const bool named = std::any_of(leases.begin(), leases.end(), [](const ReportedLease& lease) { return !lease.name.empty(); });
  if (named) table.columns.insert(table.columns.begin() + 2, {"NAME"});
  for (const ReportedLease& lease : leases) {
    const bool ignored = lease.state == "ignored";
    std::vector<Cell> cells = {{lease.subnet.empty() ? lease.key : lease.subnet}, {lease.node.empty() ? "-" : lease.node}};
    if (named) cells.push_back({lease.name.empty() ? "-" : lease.name});
    if (wide) {
      cells.push_back({lease.backend.empty() ? "-" : lease.backend});
      cells.push_back({lease.key});
    }
    cells.push_back({time_left(lease, now)});
    cells.push_back({ignored ? "ignored: " + lease.why : lease.state, ignored ? Tone::bad : Tone::plain});
    table.rows.push_back(std::move(cells));
  }
  return format_table(table, screen);
}

std::string leases_json(const std::vector<ReportedLease>& leases) { return format_lease_report(leases); }

}  // namespace merino::ctl
