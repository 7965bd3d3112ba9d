#include "lab/cni.h"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

#ifndef MERINO_PLUGIN_DIR
#define MERINO_PLUGIN_DIR "/nonexistent"
#endif

namespace merino::lab {
namespace {

using nlohmann::json;

// The first is the machine's own.
constexpr const char* kCniPath = "/run/cni/bin:" MERINO_PLUGIN_DIR ":/usr/lib/cni:/opt/cni/bin";

// libcni, buildOneConfig and injectRuntimeConfig: name and version of the list; of the runtime's arguments those that the plugin declares.
json plugin_conf(const json& list, const json& plugin, const json& runtime_config, const json& previous_result) {
  json conf = plugin;
  conf["name"] = list.at("name");
  conf["cniVersion"] = list.at("cniVersion");
  json arguments = json::object();
  const json capabilities = plugin.value("capabilities", json::object());
  for (const auto& [name, wanted] : capabilities.items()) {
    if (wanted == true && runtime_config.contains(name)) arguments[name] = runtime_config[name];
  }
  if (!arguments.empty()) conf["runtimeConfig"] = arguments;
  if (!previous_result.is_null()) conf["prevResult"] = previous_result;
  return conf;
}

std::string cache_path(const std::string& network, const CniAttachment& attachment) {
  return fmt::format("/var/lib/cni/results/{}-{}-{}", network, attachment.container_id, attachment.ifname);
}

// libcni, cacheAdd.
std::string cache_entry(const std::string& network, const CniAttachment& attachment, const std::string& result) {
  const json entry = {{"kind", "cniCacheV1"},
                      {"containerId", attachment.container_id},
                      {"config", ""},
                      {"ifName", attachment.ifname},
                      {"networkName", network},
                      {"capabilityArgs", json::parse(attachment.runtime_config)},
                      {"result", json::parse(result)}};
  return entry.dump();
}

json parse(const std::string& text) { return text.empty() ? json() : json::parse(text); }

}  // namespace

Output CniNetwork::call(const std::string& command, size_t plugin, const CniAttachment& attachment, const std::string& previous_result) {
  const json list = json::parse(conflist_);
  const json& entry = list.at("plugins").at(plugin);
  const json conf = plugin_conf(list, entry, json::parse(attachment.runtime_config), parse(previous_result));
  const std::string environment = fmt::format(
      "CNI_COMMAND={} CNI_CONTAINERID={} CNI_NETNS={} CNI_IFNAME={} CNI_ARGS='IgnoreUnknown=1;K8S_POD_NAMESPACE=default;"
      "K8S_POD_NAME={}' CNI_PATH={}",
      command, attachment.container_id, attachment.netns, attachment.ifname, attachment.container_id, kCniPath);
  const std::string find =
      fmt::format("for d in $(echo {0} | tr ':' ' '); do test -x $d/{1} && exec env {2} $d/{1}; done; echo no plugin {1} >&2; exit 127",
                  kCniPath, entry.at("type").get<std::string>(), environment);
  return where_.run(find, conf.dump());
}

CniResult CniNetwork::add(const CniAttachment& attachment) {
  const size_t count = json::parse(conflist_).at("plugins").size();
  CniResult result;
  for (size_t i = 0; i < count; i++) {
    const Output output = call("ADD", i, attachment, result.json);
    if (!output.ok()) throw Failure(fmt::format("{}: CNI ADD of {}: {}{}", where_.name(), attachment.container_id, output.out, output.err));
    result.json = output.out;
  }
  const json ips = json::parse(result.json).value("ips", json::array());
  if (ips.empty()) throw Failure("no address in the CNI result: " + result.json);
  for (const json& ip : ips) {
    const std::string address = ip.at("address").get<std::string>();
    const Family family = Prefix::parse(address).value().family();
    result.address.of(family) = address.substr(0, address.find('/'));
    result.gateway.of(family) = ip.value("gateway", "");
  }
  const std::string network = json::parse(conflist_).at("name").get<std::string>();
  where_.write(cache_path(network, attachment), cache_entry(network, attachment, result.json));
  return result;
}

void CniNetwork::del(const CniAttachment& attachment, const std::string& result) {
  for (size_t i = json::parse(conflist_).at("plugins").size(); i-- > 0;) {
    const Output output = call("DEL", i, attachment, result);
    if (!output.ok()) throw Failure(fmt::format("{}: CNI DEL of {}: {}{}", where_.name(), attachment.container_id, output.out, output.err));
  }
  where_.must("rm -f " + cache_path(json::parse(conflist_).at("name").get<std::string>(), attachment));
}

void CniNetwork::check(const CniAttachment& attachment, const std::string& result) {
  const size_t count = json::parse(conflist_).at("plugins").size();
  for (size_t i = 0; i < count; i++) {
    const Output output = call("CHECK", i, attachment, result);
    if (!output.ok())
      throw Failure(fmt::format("{}: CNI CHECK of {}: {}{}", where_.name(), attachment.container_id, output.out, output.err));
  }
}

}  // namespace merino::lab
