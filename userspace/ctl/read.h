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

// Where the programs should be, and whether they are.
std::vector<ProgramFact> read_programs(const merino_config& config, const std::vector<PodRow>& pods);

StatusFacts read_status_facts();

}  // namespace merino::ctl
