// merinod's options: flanneld's flags with Go's syntax and meaning, plus merino's own; each is also an environment variable.
//
// -flag, --flag, --flag=x, -flag x; booleans are --flag or --flag=false, never two words. FLANNELD_<NAME> (upper case, '-' as '_') gives
// the value of a flag that the command line does not have. A flag of flanneld that this version cannot honour is `unsupported` as soon as
// its value is not flanneld's default.
//
// The lease store: the Kubernetes API with --kube-subnet-mgr, a directory with --lease-dir, else etcd, as in flanneld.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/log.h"
#include "base/per_family.h"
#include "base/result.h"
#include "cluster/etcd_source.h"
#include "cluster/kube_source.h"

namespace merino {

enum class StoreKind { etcd, kube, directory };

// Is there a program before from_wire, on the uplink's XDP hook?
enum class WireXdp {
  off,
  automatic,  // native where the driver can, else off
  native,
  generic,
};

struct AgentOptions {
  StoreKind store = StoreKind::etcd;
  std::string lease_dir;
  EtcdOptions etcd;
  KubeOptions kube;
  std::string net_conf_path = "/etc/kube-flannel/net-conf.json";
  std::string subnet_file = "/run/flannel/subnet.env";

  std::vector<std::string> ifaces;
  std::vector<std::string> iface_regexes;
  std::optional<IpAddress> iface_can_reach;
  PerFamily<IpAddress> public_ip;

  bool ip_masq = false;
  bool masq_fully_random = true;
  bool forward_rules = true;
  std::chrono::seconds rules_resync{5};
  std::chrono::seconds full_check{10};

  std::chrono::minutes renew_margin{60};

  WireXdp wire_xdp = WireXdp::off;

  std::string healthz_ip = "0.0.0.0";
  uint16_t healthz_port = 0;  // 0: off
  std::string metrics_ip = "0.0.0.0";
  uint16_t metrics_port = 0;  // 0: off

  std::string log_level = "info";
  LogFormat log_format = LogFormat::text;
};

enum class Command { run, cleanup, help, version };

struct CommandLine {
  Command command = Command::run;
  AgentOptions options;
};

using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// The process's own environment.
Environment process_environment();

// `arguments` without the program's name. Errors (invalid, unsupported) name the flag or the variable, and the remedy.
Result<CommandLine> parse_command_line(const std::vector<std::string>& arguments, const Environment& environment);

// Every flag with its default.
std::string help_text();

}  // namespace merino
