// Where merinoctl's values come from: pins, files and the interfaces' flags. Never the agent.
#pragma once

#include "ctl/status.h"
#include "ctl/views.h"

namespace merino::ctl {

struct PodsRead {
  std::vector<PodRow> rows;
  std::vector<std::string> broken_records;
};

Result<PodsRead> read_pod_rows();

StatusFacts read_status_facts();

}  // namespace merino::ctl
