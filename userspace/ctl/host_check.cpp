#include "ctl/host_check.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/file.h"

namespace merino::ctl {

namespace {

using nlohmann::json;
using Answer = HostFacts::Answer;
constexpr const char* kBridgeName = "cni0";

Answer answer(bool fact) { return fact ? Answer::yes : Answer::no; }

bool is_bpffs() {
  struct statfs fs {};
  return ::statfs("/sys/fs/bpf", &fs) == 0 && fs.f_type == BPF_FS_MAGIC;
}

bool exists(const char* path) { return ::access(path, F_OK) == 0; }

std::vector<std::string> plugin_types(const std::string& text) {
  const json document = json::parse(text, nullptr, false);
  std::vector<std::string> types;
  const auto take = [&types](const json& plugin) {
    if (plugin.is_object() && plugin.contains("type") && plugin["type"].is_string()) types.push_back(plugin["type"].get<std::string>());
  };
  if (document.is_object() && document.contains("plugins") && document["plugins"].is_array()) {
    for (const json& plugin : document["plugins"]) take(plugin);
  } else {
    take(document);
  }
  return types;
}

bool is_merinos(const CniConf& conf) {
  return std::any_of(conf.types.begin(), conf.types.end(), [](const std::string& type) { return type == "merino" || type == "flannel"; });
}

void assess_cni_confs(const std::vector<CniConf>& confs, CheckReport& report) {
  const auto ours = std::find_if(confs.begin(), confs.end(), is_merinos);
  if (ours == confs.end()) {
    report.notices.push_back({fmt::format("no configuration in {} names merino: a container runtime would not call it", kCniConfDir),
                              "merinod install-cni --conf=FILE puts one there; not needed where nothing but `ip netns` is used"});
    return;
  }
  const CniConf& first = confs.front();
  if (!is_merinos(first)) {
    report.problems.push_back(
        {fmt::format("another network comes first: {}/{} ({}) stands before {}, and runtimes take the first one", kCniConfDir, first.file,
                     first.types.empty() ? "no configuration" : fmt::format("{}", fmt::join(first.types, ", ")), ours->file),
         fmt::format("remove {}/{}, or give merino's a name that sorts before it; then make the pods anew", kCniConfDir, first.file)});
    return;
  }
  report.sound.push_back(fmt::format("{}/{} is the first network configuration, and merino's", kCniConfDir, first.file));
}

void assess_overlap(const HostFacts& facts, CheckReport& report) {
  for (const auto& [name, prefix] : facts.others) {
    const auto hit = std::find_if(facts.networks.begin(), facts.networks.end(),
                                  [&other = prefix](const Prefix& network) { return network.overlaps(other); });
    if (hit == facts.networks.end()) continue;
    report.problems.push_back({fmt::format("the pod network {} overlaps {} of {}: addresses there are taken for pods, or pods for them",
                                           hit->to_string(), prefix.to_string(), name),
                               "choose another Network in net-conf.json (and podCIDR in Kubernetes), or renumber the other one"});
    return;
  }
  report.sound.emplace_back("the pod network overlaps nothing that this host has addresses or routes for");
}

// Services' rules see what passes from one port of a bridge to another only with it.
void assess_bridge(const HostFacts& facts, CheckReport& report) {
  const bool loaded = facts.br_netfilter == Answer::yes;
  if (facts.bridged_pods > 0 && !loaded) {
    report.problems.push_back(
        {fmt::format("br_netfilter is not loaded, and {} pods of flannel are on its bridge {}: they do not reach a service "
                     "whose backend is there too",
                     facts.bridged_pods, kBridgeName),
         "modprobe br_netfilter, or make those pods anew: merino's are on no bridge"});
    return;
  }
  report.sound.push_back(fmt::format(
      "br_netfilter is {}: {}", loaded ? "loaded" : "not loaded",
      facts.bridged_pods > 0 ? "pods of flannel on its bridge need it" : "merino does not need it, for its pods are on no bridge"));
}

}  // namespace

std::vector<CniConf> read_cni_confs(const std::string& directory) {
  std::vector<CniConf> confs;
  for (const std::string& file : list_directory(directory).value_or(std::vector<std::string>{})) {
    if (!file.ends_with(".conf") && !file.ends_with(".conflist") && !file.ends_with(".json")) continue;
    confs.push_back({file, plugin_types(read_file(directory + "/" + file, 1U << 20U).value_or(""))});
  }
  std::sort(confs.begin(), confs.end(), [](const CniConf& a, const CniConf& b) { return a.file < b.file; });
  return confs;
}

HostFacts read_host_facts(Netlink& netlink, const AgentStatus& agent, const merino_config& config, const std::vector<PodRow>& pods) {
  HostFacts facts;
  facts.bpffs = answer(is_bpffs());
  facts.btf = answer(exists("/sys/kernel/btf/vmlinux"));
  facts.br_netfilter = answer(exists("/proc/sys/net/bridge/bridge-nf-call-iptables"));
  facts.cni_confs = read_cni_confs();
  for (const Family family : kFamilies) {
    if (agent.network[family]) facts.networks.push_back(*agent.network[family]);
    if (agent.subnet[family]) facts.subnets.push_back(*agent.subnet[family]);
  }
  const auto links = netlink.links().value_or(std::vector<Link>{});
  const auto bridge = std::find_if(links.begin(), links.end(), [](const Link& each) { return each.name == kBridgeName; });
  if (bridge != links.end()) {
    facts.bridged_pods = static_cast<size_t>(
        std::count_if(links.begin(), links.end(), [&](const Link& each) { return each.master_index == bridge->index; }));
  }
  const auto name_of = [&links](unsigned index) {
    const auto link = std::find_if(links.begin(), links.end(), [index](const Link& each) { return each.index == index; });
    return link == links.end() ? fmt::format("interface {}", index) : link->name;
  };
  const auto is_ours = [&](const Prefix& prefix, unsigned index) {
    const auto is_the_pods = [index](const PodRow& row) { return row.entry && row.entry->host_ifindex == index; };
    return index == config.device_ifindex || prefix.length() == 0 || std::any_of(pods.begin(), pods.end(), is_the_pods) ||
           std::any_of(facts.subnets.begin(), facts.subnets.end(), [&](const Prefix& subnet) { return subnet.contains(prefix.masked()); });
  };
  for (const LinkAddress& address : netlink.addresses().value_or(std::vector<LinkAddress>{})) {
    if (!is_ours(address.prefix, address.link_index)) facts.others.emplace_back(name_of(address.link_index), address.prefix.masked());
  }
  for (const Family family : {Family::v4, Family::v6}) {
    for (const Route& route : netlink.routes(family).value_or(std::vector<Route>{})) {
      if (!is_ours(route.destination, route.link_index))
        facts.others.emplace_back("the route by " + name_of(route.link_index), route.destination);
    }
  }
  return facts;
}

void assess_host(const HostFacts& facts, CheckReport& report) {
  if (facts.bpffs == Answer::yes) report.sound.emplace_back("a BPF file system is mounted at /sys/fs/bpf");
  if (facts.bpffs == Answer::no)
    report.problems.push_back(
        {"no BPF file system is mounted at /sys/fs/bpf", "mount -t bpf bpf /sys/fs/bpf; in a container, mount the host's"});
  if (facts.btf == Answer::yes) report.sound.emplace_back("the kernel has its type information (BTF)");
  if (facts.btf == Answer::no) {
    report.problems.push_back({"the kernel has no type information: /sys/kernel/btf/vmlinux does not exist",
                               "take a kernel built with CONFIG_DEBUG_INFO_BTF: every distribution's since 2021 is"});
  }
  assess_cni_confs(facts.cni_confs, report);
  assess_overlap(facts, report);
  assess_bridge(facts, report);
}

}  // namespace merino::ctl
