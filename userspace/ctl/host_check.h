// What on this host would keep a pod network from working, whoever made it: the mistakes of the first hour.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ctl/check.h"
#include "netlink/netlink.h"

namespace merino::ctl {

inline constexpr const char* kCniConfDir = "/etc/cni/net.d";

// A file of the runtime's configuration directory, as far as it matters.
struct CniConf {
  std::string file;
  std::vector<std::string> types;  // of its plugins; empty: it is not a configuration
};

struct HostFacts {
  enum class Answer { no, yes };
  Answer bpffs = Answer::no;         // mounted at /sys/fs/bpf
  Answer btf = Answer::no;           // the kernel's type information
  Answer br_netfilter = Answer::no;  // loaded
  size_t bridged_pods = 0;           // ports of flannel's bridge
  std::vector<CniConf> cni_confs;    // in the order in which a runtime looks at them
  std::vector<Prefix> networks;      // the pod network, of both families
  std::vector<Prefix> subnets;       // this node's
  // What else this host has addresses or routes for, with the interface's name.
  std::vector<std::pair<std::string, Prefix>> others;
};

// Files of the directory that a runtime takes for configurations, by name. None if there is no such directory.
std::vector<CniConf> read_cni_confs(const std::string& directory = kCniConfDir);

HostFacts read_host_facts(Netlink& netlink, const AgentStatus& agent, const merino_config& config, const std::vector<PodRow>& pods);

void assess_host(const HostFacts& facts, CheckReport& report);

}  // namespace merino::ctl
