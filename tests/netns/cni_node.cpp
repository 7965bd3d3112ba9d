#include "cni_node.h"

#include <fmt/core.h>

#include "abi.h"
#include "lab/counters.h"

namespace merino::lab {

using nlohmann::json;

CniNode::CniNode() : Machine("cninode") {
  must("rm -rf /var/lib/cni /run/merino; ip link set lo up; ip addr add 192.168.88.11/32 dev lo; sysctl -qw net.ipv4.ip_forward=1");
  must(CNI_PIN_PROGRAMS);
  write("/run/flannel/subnet.env", "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.98.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n");
}

void CniNode::make_netns(const std::string& name) {
  must(fmt::format("mkdir -p /run/netns && touch {0} && unshare --net sh -c 'ip link set lo up && mount --bind /proc/self/ns/net {0}'",
                   "/run/netns/" + name));
}

void CniNode::remove_netns(const std::string& name) { must(fmt::format("umount /run/netns/{0} && rm /run/netns/{0}", name)); }

Output CniNode::in(const std::string& name, const std::string& command) const {
  return run(fmt::format("exec nsenter --net=/run/netns/{} sh -c '{}'", name, command));
}

Output CniNode::call(const std::string& command, const json& conf, const CniCall& call) const {
  return run(fmt::format("exec env CNI_COMMAND={} CNI_CONTAINERID={} CNI_NETNS={} CNI_IFNAME={} CNI_ARGS='{}' CNI_PATH=/usr/lib/cni {} {}",
                         command, call.container, call.netns, call.ifname, call.args, call.prefix, MERINO_PLUGIN),
             conf.dump());
}

json CniNode::add(const json& conf, const CniCall& how) const {
  const Output output = call("ADD", conf, how);
  if (!output.ok()) throw Failure(fmt::format("ADD of {}: {}{}", how.container, output.out, output.err));
  return json::parse(output.out);
}

json CniNode::error(const std::string& command, const json& conf, const CniCall& how) const {
  const Output output = call(command, conf, how);
  if (output.exit_code != 1)
    throw Failure(fmt::format("{} should fail with exit code 1, it is {}: {}{}", command, output.exit_code, output.out, output.err));
  return json::parse(output.out);
}

std::string CniNode::leftovers() const {
  std::string text = must(
      "ip -o link | grep -o ' mr[0-9a-f]*' ; ip route | grep ' mr' ; ip -6 route | grep ' mr' ; ip neigh | grep ' mr' ; find /run/merino "
      "-path '*attachments/*' ;"
      "find /sys/fs/bpf/merino/links -type f ; find /var/lib/cni -type f ! -name lock ! -name 'last_reserved_ip*' ; true");
  if (const size_t entries = count_entries(outside_path(MERINO_PIN_ROOT "/pods")); entries != 0)
    text += fmt::format("{} pods entries\n", entries);
  return text;
}

json cni_conf(const std::string& keys, const std::string& version) {
  return json::parse(R"({"name":"cbr0","type":"merino","cniVersion":")" + version + "\"" + (keys.empty() ? "" : "," + keys) + "}");
}

json with(json conf, const std::string& key, const json& value) {
  conf[key] = value;
  return conf;
}

}  // namespace merino::lab
