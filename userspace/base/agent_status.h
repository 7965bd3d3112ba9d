// /run/merino/status.json: what the agent says of itself, for merinoctl and for people. Written atomically whenever it changes; it stays
// when the agent ends (see kAgentLockPath).
//
//   {"version": "0.1.0", "pid": 4711, "ready": true, "missing": [],
//    "node": {"public_ip": "192.168.88.12", "address": "192.168.88.12", "uplink": "eth0", "uplink_index": 2, "uplink_mtu": 1500},
//    "network": {"backend": "vxlan", "vni": 1, "port": 8472, "network": "10.244.0.0/16", "subnet": "10.244.98.0/24",
//                "vtep_mac": "46:65:8d:36:f7:4e", "mtu": 1450, "ip_masq": true},
//    "lease_expires": 1790000000,
//    "fast_path": {"on": true, "why": ""},
//    "host_notices": ["Backend.MTU is 9000, but the uplink eth0 carries 1500 bytes: ..."],
//    "rejected_leases": [{"key": "10.244.7.0-24", "reason": "...", "node": "worker-7"}],
//    "steps": [{"name": "device", "condition": "ok", "error": "", "since": 1780000000}]}
//
// What belongs to IPv6 stands under the same names with "_ipv6" at the end; what belongs to a family that the node does not use is left
// out; `host_notices` and `node` may be missing, as in the file of an older agent. Of many rejected leases the first 200 are listed, and
// the last entry ("...") counts the others. Times are seconds since the epoch; `lease_expires` is 0 for a lease that does not end;
// `condition` is "ok", "failed" or "waiting"; `missing` says what keeps the node from being ready.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/per_family.h"
#include "base/result.h"

namespace merino {

inline constexpr const char* kRunDir = "/run/merino";
inline constexpr const char* kAgentStatusPath = "/run/merino/status.json";
// Locked (flock) by the agent as long as it runs.
inline constexpr const char* kAgentLockPath = "/run/merino/merinod.lock";
// `lease_expires` of a lease that does not end: Kubernetes', a reservation.
inline constexpr int64_t kLeaseWithoutEnd = 0;

struct AgentStatus {
  struct Step {
    std::string name;
    std::string condition;
    std::string error;
    int64_t since = 0;
    bool operator==(const Step&) const = default;
  };
  struct Rejected {
    std::string key;
    std::string reason;
    std::string node{};  // its name, if it is known and not the key
    bool operator==(const Rejected&) const = default;
  };

  std::string version;
  int64_t pid = 0;
  bool ready = false;
  std::vector<std::string> missing;

  PerFamily<IpAddress> public_ip;  // what other nodes send to
  PerFamily<IpAddress> address;    // the tunnel's endpoint on the uplink
  std::string uplink;
  unsigned uplink_index = 0;
  int uplink_mtu = 0;

  std::string backend;
  uint32_t vni = 0;
  uint16_t port = 0;
  PerFamily<Prefix> network;
  PerFamily<Prefix> subnet;
  PerFamily<MacAddress> vtep_mac;
  int mtu = 0;  // of pods
  bool ip_masq = false;

  int64_t lease_expires = kLeaseWithoutEnd;
  bool fast_path = false;
  std::string fast_path_why;              // why it is off
  std::vector<std::string> host_notices;  // what configuration and interfaces do not fit: sentences with their remedies
  std::vector<Rejected> rejected_leases;
  std::vector<Step> steps;

  bool operator==(const AgentStatus&) const = default;
};

std::string format_agent_status(const AgentStatus& status);

// decode error that names the key when something is missing or of the wrong type; unknown keys are let pass.
Result<AgentStatus> parse_agent_status(const std::string& text);

// not_found, with the remedy, when no agent ever wrote it.
Result<AgentStatus> load_agent_status(const std::string& path = kAgentStatusPath);

}  // namespace merino
