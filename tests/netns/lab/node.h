// A node with merinod.
#pragma once

#include <string>

#include "lab/counters.h"
#include "lab/machine.h"

namespace merino::lab {

// later: by start_agent().
enum class AgentStart { now, later };

struct NodeOptions {
  std::string net_conf{R"({"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}})"};
  std::string flags{"--ip-masq"};
  std::string before_start{};  // a shell command
  std::string store{};         // flags of the lease store; empty: the lab's directory
  AgentStart agent = AgentStart::now;
  std::string prefix{};  // a command that runs merinod
};

class Node : public Machine {
 public:
  Node(const std::string& name, const std::string& lease_dir);

  // Writes the configuration and starts the agent.
  void set_up(const NodeOptions& options);
  void start_agent();
  // Until /readyz answers 200. A Failure with the log if the agent ends or takes too long.
  void wait_ready();
  [[nodiscard]] int http_status(const std::string& path) const;
  [[nodiscard]] Process& agent() { return agent_; }
  [[nodiscard]] bool was_started() const { return agent_.pid() > 0; }

  // From subnet.env: 10.244.98.1/24 gives the prefix 10.244.98.0/24, the subnet "10.244.98.0" and the gateway "10.244.98.1".
  [[nodiscard]] Prefix prefix(Family family = Family::v4) const { return first_address(family).masked(); }
  [[nodiscard]] std::string subnet(Family family = Family::v4) const { return prefix(family).address().to_string(); }
  [[nodiscard]] std::string gateway(Family family = Family::v4) const { return first_address(family).address().to_string(); }
  [[nodiscard]] int mtu() const;
  [[nodiscard]] std::string vtep_mac() const;
  [[nodiscard]] Counters counters() const { return Counters::read(outside_path(MERINO_PIN_ROOT "/counters")); }
  [[nodiscard]] size_t peer_count() const { return count_entries(outside_path(MERINO_PIN_ROOT "/peers")); }
  [[nodiscard]] std::string conflist() const override;
  void explain() const override;

 private:
  [[nodiscard]] Prefix first_address(Family family) const;

  std::string store_;
  std::string log_path_;
  std::string flags_;
  std::string prefix_;
  Process agent_;
};

}  // namespace merino::lab
