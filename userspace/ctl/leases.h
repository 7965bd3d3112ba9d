// `merinoctl leases`: which node has which subnet, and what this node makes of it.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/lease_report.h"
#include "ctl/output.h"
#include "ctl/table.h"

namespace merino::ctl {

std::string leases_text(const std::vector<ReportedLease>& leases, std::chrono::system_clock::time_point now, Width width,
                        const Screen& screen);
std::string leases_json(const std::vector<ReportedLease>& leases);

}  // namespace merino::ctl
