#include "ctl/status.h"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>

#include "base/printable.h"

namespace merino::ctl {

namespace {

constexpr size_t kLongestNodeName = 253;
constexpr const char* kAgentLog = "see its log: journalctl -u merino";

bool is_permission(const Error& error) { return error.sys_errno == EACCES || error.sys_errno == EPERM; }

Finding as_finding(const Error& error) {
  Error plain = error;
  plain.remedy.clear();
  return {plain.message(), error.remedy};
}

// nullopt: it does not end.
std::optional<std::chrono::seconds> lease_left(const StatusFacts& facts) {
  if (facts.agent->lease_expires == kLeaseWithoutEnd) return std::nullopt;
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(facts.now.time_since_epoch());
  return std::chrono::seconds(facts.agent->lease_expires) - now;
}

void assess_steps(const AgentStatus& agent, StatusReport& report) {
  for (const std::string& missing : agent.missing) report.problems.push_back({"merinod is not ready: " + missing, kAgentLog});
  for (const auto& step : agent.steps) {
    const std::string failure = fmt::format("{}: {}", step.name, step.error);
    const bool named = std::find(agent.missing.begin(), agent.missing.end(), failure) != agent.missing.end();
    if (step.condition == "failed" && !named) report.problems.push_back({"merinod failed at " + failure, kAgentLog});
  }
}

void assess_agent(const StatusFacts& facts, StatusReport& report) {
  if (!facts.agent) {
    report.problems.push_back(as_finding(facts.agent.error()));
    return;
  }
  const AgentStatus& agent = *facts.agent;
  if (facts.process == AgentProcess::running) {
    assess_steps(agent, report);
  } else {
    report.problems.push_back(
        {fmt::format("merinod is not running (its last pid was {}): pods go on, but changes of other nodes are not followed", agent.pid),
         fmt::format("systemctl start merino; {}", kAgentLog)});
  }
  // The sentence has its remedy.
  for (const std::string& notice : agent.host_notices) report.problems.push_back({notice, ""});
  for (const auto& rejected : agent.rejected_leases) {
    const std::string whose = rejected.node.empty() ? "" : fmt::format(" of {}", printable(rejected.node, kLongestNodeName));
    report.notices.push_back(
        {fmt::format("lease {}{} is ignored: {}", rejected.key, whose, rejected.reason), "mend or remove it where the leases are kept"});
  }
  if (!agent.fast_path) {
    report.notices.push_back(
        {fmt::format("the fast path is off: {}", agent.fast_path_why), "pods talk through the kernel's stack meanwhile, only slower"});
  }
  if (const auto left = lease_left(facts); left && left->count() <= 0) {
    report.problems.push_back(
        {fmt::format("the lease of {} has run out: another node may take the subnet", to_string(agent.subnet)), kAgentLog});
  }
}

void assess_programs(const StatusFacts& facts, StatusReport& report) {
  if (!facts.config) {
    report.problems.push_back(as_finding(facts.config.error()));
    return;
  }
  if (!*facts.config) {
    if (facts.agent && facts.agent->backend == "alloc") return;  // something else moves the packets
    report.problems.push_back({"the BPF programs are not loaded: nothing is pinned below " MERINO_PIN_ROOT,
                               "start merinod; in a container, is the host's /sys/fs/bpf mounted?"});
    return;
  }
  if ((*facts.config)->program_id != facts.own_program_id) {
    report.notices.push_back({"the loaded BPF programs are another build's than this merinoctl", "restart merinod if it was upgraded"});
  }
  for (const LinkFact& link : facts.links) {
    if (link.state == LinkState::up) continue;
    report.problems.push_back({link.state == LinkState::missing ? fmt::format("the {} is gone", link.role)
                                                                : fmt::format("the {} {} is down", link.role, link.name),
                               "merinod makes and raises merino0; the uplink is yours: ip link"});
  }
  for (const ProgramFact& program : facts.programs) {
    if (program.attached && *program.attached) continue;
    const std::string place = fmt::format("{} is not attached to {} {}", program.program, program.interface, program.direction);
    const std::string reason = program.attached ? "" : ": " + program.attached.error().message();
    report.problems.push_back({place + reason, "a running merinod attaches it within seconds; " + std::string(kAgentLog)});
  }
}

void assess_subnet_env(const StatusFacts& facts, StatusReport& report) {
  if (!facts.subnet_env) {
    report.problems.push_back(as_finding(facts.subnet_env.error()));
    return;
  }
  if (!facts.agent) return;
  PerFamily<Prefix> said{facts.subnet_env->subnet, facts.subnet_env->subnet_v6};
  for (const Family family : kFamilies) {
    if (said[family]) said[family] = said[family]->masked();
  }
  if (said == facts.agent->subnet) return;
  report.problems.push_back({fmt::format("{} says {}, the lease {}: new pods get addresses that no peer knows", kSubnetEnvPath,
                                         to_string(said), to_string(facts.agent->subnet)),
                             kAgentLog});
}

void assess_pods(const StatusFacts& facts, StatusReport& report) {
  for (const std::string& record : facts.broken_records)
    report.notices.push_back({"broken record: " + record, "delete the pod that it belongs to"});
  if (!facts.pods) {
    report.problems.push_back(as_finding(facts.pods.error()));
    return;
  }
  for (const PodRow& row : *facts.pods) {
    const std::string trouble = pod_trouble(row);
    if (trouble.empty()) continue;
    auto& list = row.attachment && !row.attachment->complete ? report.notices : report.problems;
    list.push_back({fmt::format("pod {}: {}", row.address.to_string(), trouble), "merinoctl pods; a running merinod mends what it can"});
  }
}

Tone tone_of(Health health) {
  switch (health) {
    case Health::healthy:
      return Tone::good;
    case Health::unhealthy:
      return Tone::bad;
    case Health::unknown:
      break;
  }
  return Tone::warning;
}

std::string agent_line(const StatusFacts& facts) {
  if (!facts.agent) return "unknown";
  if (facts.process == AgentProcess::gone) return "not running";
  return fmt::format("running, pid {}, {}", facts.agent->pid, facts.agent->ready ? "ready" : "not ready");
}

std::string node_line(const AgentStatus& agent) {
  std::string line = fmt::format("{} on {}, MTU {}", to_string(agent.address), agent.uplink, agent.uplink_mtu);
  if (agent.public_ip != agent.address) line += fmt::format(", known to others as {}", to_string(agent.public_ip));
  return line;
}

std::string lease_line(const StatusFacts& facts) {
  std::string line = fmt::format("{} of {}", to_string(facts.agent->subnet), to_string(facts.agent->network));
  if (const auto left = lease_left(facts)) line += left->count() > 0 ? ", " + format_span(*left) + " left" : ", run out";
  return line;
}

std::string backend_line(const AgentStatus& agent) {
  std::string tunnel = agent.backend == "vxlan" ? fmt::format(", VNI {}", agent.vni) : "";
  if (agent.port != 0) tunnel += fmt::format(", UDP port {}", agent.port);
  return fmt::format("{}{}, pods' MTU {}, fast path {}{}", agent.backend, tunnel, agent.mtu, agent.fast_path ? "on" : "off",
                     agent.ip_masq ? ", masquerading" : "");
}

std::string programs_line(const StatusFacts& facts) {
  std::vector<std::string> places;
  size_t attached = 0;
  size_t on_pods = 0;
  for (const ProgramFact& program : facts.programs) {
    const bool is_there = program.attached && *program.attached;
    attached += is_there ? 1 : 0;
    if (program.program == "from_pod") {
      on_pods += is_there ? 1 : 0;
    } else if (is_there) {
      places.push_back(program.program + "@" + program.interface);
    }
  }
  if (on_pods > 0) places.push_back(fmt::format("from_pod@{} veth{}", on_pods, on_pods == 1 ? "" : "s"));
  return fmt::format("{} of {} attached{}{}", attached, facts.programs.size(), places.empty() ? "" : ": ", fmt::join(places, " "));
}

std::string counted_line(const std::vector<Counter>& counters) {
  uint64_t sums[3] = {};
  for (const Counter& counter : counters) sums[static_cast<size_t>(counter.reason->action)] += counter.packets;
  return fmt::format("{} packets fast, {} left to the stack, {} dropped", sums[static_cast<size_t>(Action::fast)],
                     sums[static_cast<size_t>(Action::stack)], sums[static_cast<size_t>(Action::drop)]);
}

}  // namespace

std::string format_span(std::chrono::seconds span) {
  using namespace std::chrono;
  if (span >= hours(1)) return fmt::format("{}h {}m", span / hours(1), span % hours(1) / minutes(1));
  if (span >= minutes(1)) return fmt::format("{}m", span / minutes(1));
  return fmt::format("{}s", span.count());
}

std::string findings_text(const std::vector<Finding>& findings, Tone tone, const char* mark, const Screen& screen) {
  std::string out;
  for (const Finding& finding : findings) {
    out += hang(paint(mark, tone, screen) + " ", 2, finding.what, screen);
    if (!finding.remedy.empty()) out += hang("    → ", 6, finding.remedy, screen);
  }
  return out;
}

const char* health_name(Health health) {
  switch (health) {
    case Health::healthy:
      return "healthy";
    case Health::unhealthy:
      return "unhealthy";
    case Health::unknown:
      break;
  }
  return "unknown";
}

StatusReport assess(const StatusFacts& facts) {
  StatusReport report;
  if (!facts.config && is_permission(facts.config.error())) {
    report.problems.push_back({"the pins below " MERINO_PIN_ROOT " cannot be read", "run merinoctl as root"});
    return report;
  }
  assess_agent(facts, report);
  assess_programs(facts, report);
  if (facts.config && *facts.config) {
    assess_pods(facts, report);
    if (!facts.peers) report.problems.push_back(as_finding(facts.peers.error()));
    if (!facts.counters) report.problems.push_back(as_finding(facts.counters.error()));
  }
  assess_subnet_env(facts, report);
  report.health = report.problems.empty() ? Health::healthy : Health::unhealthy;
  return report;
}

std::string status_text(const StatusFacts& facts, const StatusReport& report, const Screen& screen) {
  std::string out;
  const auto line = [&out, &screen](const char* title, const std::string& value) {
    out += hang(paint(fmt::format("{:<9}", title), Tone::faint, screen) + " ", 10, value, screen);
  };
  line("health", paint(health_name(report.health), tone_of(report.health), screen));
  line("agent", agent_line(facts));
  if (facts.agent) {
    line("node", node_line(*facts.agent));
    line("lease", lease_line(facts));
    line("backend", backend_line(*facts.agent));
  }
  if (facts.config && *facts.config) line("programs", programs_line(facts));
  if (facts.pods) line("pods", std::to_string(facts.pods->size()));
  if (facts.peers) line("peers", std::to_string(facts.peers->size()));
  if (facts.counters) line("counted", counted_line(*facts.counters));
  if (!report.problems.empty() || !report.notices.empty()) out += "\n";
  out += findings_text(report.problems, Tone::bad, "✗", screen);
  out += findings_text(report.notices, Tone::warning, "!", screen);
  return out;
}

}  // namespace merino::ctl
