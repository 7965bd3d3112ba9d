#include <nlohmann/json.hpp>

#include "ctl/status.h"

namespace merino::ctl {

namespace {

using Json = nlohmann::ordered_json;

Json programs_json(const std::vector<ProgramFact>& programs) {
  Json list = Json::array();
  for (const ProgramFact& program : programs) {
    list.push_back({{"program", program.program},
                    {"interface", program.interface},
                    {"direction", program.direction},
                    {"attached", program.attached && *program.attached}});
  }
  return list;
}

Json packets_json(const std::vector<Counter>& counters) {
  Json packets = {{"fast", 0}, {"stack", 0}, {"drop", 0}};
  for (const Counter& counter : counters) {
    Json& sum = packets[action_name(counter.reason->action)];
    sum = sum.get<uint64_t>() + counter.packets;
  }
  return packets;
}

}  // namespace

Json findings_json(const std::vector<Finding>& findings) {
  Json list = Json::array();
  for (const Finding& finding : findings) list.push_back({{"what", finding.what}, {"remedy", finding.remedy}});
  return list;
}

std::string status_json(const StatusFacts& facts, const StatusReport& report) {
  Json root;
  root["health"] = health_name(report.health);
  root["problems"] = findings_json(report.problems);
  root["notices"] = findings_json(report.notices);
  root["agent_running"] = facts.process == AgentProcess::running;
  // The agent's own words, as they stand in its file.
  root["agent"] = facts.agent ? Json::parse(format_agent_status(*facts.agent)) : Json();
  root["programs"] = programs_json(facts.programs);
  root["pods"] = facts.pods ? Json(facts.pods->size()) : Json();
  root["peers"] = facts.peers ? Json(facts.peers->size()) : Json();
  root["packets"] = facts.counters ? packets_json(*facts.counters) : Json();
  return root.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace merino::ctl
