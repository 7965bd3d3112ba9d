// `merinoctl status`: from what was read of a node to a verdict, and the verdict on one screen.
#pragma once

#include <chrono>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "abi.h"
#include "base/agent_status.h"
#include "base/result.h"
#include "base/subnet_env.h"
#include "ctl/table.h"
#include "ctl/views.h"
#include "datapath/counters.h"
#include "datapath/peer_table.h"

namespace merino::ctl {

enum class AgentProcess { running, gone };

enum class LinkState { up, down, missing };

// A network interface that the programs work on.
struct LinkFact {
  std::string role;  // "uplink", "device"
  std::string name;  // as it is called now; empty if it is gone
  LinkState state = LinkState::missing;
};

// One program at one place.
struct ProgramFact {
  std::string program;
  std::string interface;
  std::string direction;
  Result<bool> attached;
};

// What was read, with the reasons why something could not be.
struct StatusFacts {
  std::chrono::system_clock::time_point now;
  Result<AgentStatus> agent;
  AgentProcess process = AgentProcess::gone;
  Result<std::optional<merino_config>> config;
  uint64_t own_program_id = 0;
  std::vector<LinkFact> links;
  std::vector<ProgramFact> programs;
  Result<SubnetEnv> subnet_env;
  Result<std::vector<PodRow>> pods;
  std::vector<std::string> broken_records;
  Result<std::vector<Peer>> peers;
  Result<std::vector<Counter>> counters;
};

enum class Health {
  healthy,
  unhealthy,
  unknown,  // too little could be read: not root
};

struct Finding {
  std::string what;
  std::string remedy;
  bool operator==(const Finding&) const = default;
};

struct StatusReport {
  Health health = Health::unknown;
  std::vector<Finding> problems;  // the node does not do its work, or will not do it after the next change
  std::vector<Finding> notices;   // worth knowing; healthy nevertheless
};

// "23h 59m", "12m", "40s"
std::string format_span(std::chrono::seconds span);

// "healthy", "unhealthy", "unknown"
const char* health_name(Health health);

StatusReport assess(const StatusFacts& facts);

// An array of objects with "what" and "remedy".
nlohmann::ordered_json findings_json(const std::vector<Finding>& findings);
// A line for each with `mark` before it, and its remedy below.
std::string findings_text(const std::vector<Finding>& findings, Tone tone, const char* mark, const Screen& screen);

std::string status_text(const StatusFacts& facts, const StatusReport& report, const Screen& screen);
std::string status_json(const StatusFacts& facts, const StatusReport& report);

}  // namespace merino::ctl
