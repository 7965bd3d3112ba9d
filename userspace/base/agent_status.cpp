#include "base/agent_status.h"

#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "base/file.h"

namespace merino {

namespace {

using nlohmann::json;
using nlohmann::ordered_json;

std::string key_of(const std::string& key, Family family) { return family == Family::v4 ? key : key + "_ipv6"; }

template <class T>
void put(ordered_json& object, const std::string& key, const PerFamily<T>& value) {
  for (const Family family : kFamilies) {
    if (value[family]) object[key_of(key, family)] = value[family]->to_string();
  }
}

// Reads keys of one JSON object and remembers the first thing that is wrong.
class ObjectReader {
 public:
  ObjectReader(const json& object, std::string path, std::string& problem) : object_(object), path_(std::move(path)), problem_(problem) {}

  [[nodiscard]] ObjectReader inside(const char* key) const {
    static const json empty = json::object();
    const bool found = object_.is_object() && object_.contains(key) && object_[key].is_object();
    if (!found) complain(key);
    return {found ? object_[key] : empty, path_ + key + ".", problem_};
  }

  [[nodiscard]] const json& list(const char* key) const {
    static const json empty = json::array();
    if (object_.is_object() && object_.contains(key) && object_[key].is_array()) return object_[key];
    complain(key);
    return empty;
  }

  template <class T>
  void get(const char* key, T& value) const {
    try {
      if constexpr (std::is_integral_v<T> && !std::is_same_v<T, bool>) {
        // Not get<T>(): it converts fractions too, whatever their size.
        const auto number = object_.at(key).template get_ref<const json::number_integer_t&>();
        if (!std::in_range<T>(number)) return complain(key);
        value = static_cast<T>(number);
      } else {
        value = object_.at(key).template get<T>();
      }
    } catch (const json::exception&) {
      complain(key);
    }
  }

  // Addresses, prefixes or MAC addresses, from text: at least one.
  template <class T>
  void parse(const std::string& key, PerFamily<T>& value) const {
    for (const Family family : kFamilies) {
      const std::string name = key_of(key, family);
      if (!object_.is_object() || !object_.contains(name)) continue;
      std::string text;
      get(name.c_str(), text);
      auto parsed = T::parse(text);
      if (parsed) value[family] = *parsed;
      if (!parsed) complain(name.c_str());
    }
    if (value.empty()) complain(key.c_str());
  }

 private:
  void complain(const char* key) const {
    if (problem_.empty()) problem_ = path_ + key;
  }

  const json& object_;
  std::string path_;
  std::string& problem_;
};

void read_steps(const ObjectReader& root, AgentStatus& status, std::string& problem) {
  for (const json& element : root.list("steps")) {
    const ObjectReader reader(element, "steps.", problem);
    AgentStatus::Step step;
    reader.get("name", step.name);
    reader.get("condition", step.condition);
    reader.get("error", step.error);
    reader.get("since", step.since);
    status.steps.push_back(std::move(step));
  }
}

void read_rejected(const ObjectReader& root, AgentStatus& status, std::string& problem) {
  for (const json& element : root.list("rejected_leases")) {
    const ObjectReader reader(element, "rejected_leases.", problem);
    AgentStatus::Rejected rejected;
    reader.get("key", rejected.key);
    reader.get("reason", rejected.reason);
    if (element.is_object() && element.contains("node")) reader.get("node", rejected.node);
    status.rejected_leases.push_back(std::move(rejected));
  }
}

void read_node(const ObjectReader& node, AgentStatus& status) {
  node.parse("public_ip", status.public_ip);
  node.parse("address", status.address);
  node.get("uplink", status.uplink);
  node.get("uplink_index", status.uplink_index);
  node.get("uplink_mtu", status.uplink_mtu);
}

void read_network(const ObjectReader& network, AgentStatus& status) {
  network.get("backend", status.backend);
  network.get("vni", status.vni);
  network.get("port", status.port);
  network.parse("network", status.network);
  network.parse("subnet", status.subnet);
  network.parse("vtep_mac", status.vtep_mac);
  network.get("mtu", status.mtu);
  network.get("ip_masq", status.ip_masq);
}

}  // namespace

std::string format_agent_status(const AgentStatus& status) {
  ordered_json root;
  root["version"] = status.version;
  root["pid"] = status.pid;
  root["ready"] = status.ready;
  root["missing"] = status.missing;
  ordered_json& node = root["node"];
  put(node, "public_ip", status.public_ip);
  put(node, "address", status.address);
  node["uplink"] = status.uplink;
  node["uplink_index"] = status.uplink_index;
  node["uplink_mtu"] = status.uplink_mtu;
  ordered_json& network = root["network"];
  network["backend"] = status.backend;
  network["vni"] = status.vni;
  network["port"] = status.port;
  put(network, "network", status.network);
  put(network, "subnet", status.subnet);
  put(network, "vtep_mac", status.vtep_mac);
  network["mtu"] = status.mtu;
  network["ip_masq"] = status.ip_masq;
  root["lease_expires"] = status.lease_expires;
  root["fast_path"] = {{"on", status.fast_path}, {"why", status.fast_path_why}};
  root["host_notices"] = status.host_notices;
  root["rejected_leases"] = ordered_json::array();
  for (const auto& rejected : status.rejected_leases)
    root["rejected_leases"].push_back({{"key", rejected.key}, {"reason", rejected.reason}, {"node", rejected.node}});
  root["steps"] = ordered_json::array();
  for (const auto& step : status.steps) {
    root["steps"].push_back({{"name", step.name}, {"condition", step.condition}, {"error", step.error}, {"since", step.since}});
  }
  return root.dump(2, ' ', false, ordered_json::error_handler_t::replace) + "\n";
}

Result<AgentStatus> parse_agent_status(const std::string& text) {
  const json document = json::parse(text, nullptr, false);
  if (!document.is_object()) return fail(ErrorKind::decode, "not a JSON object");
  std::string problem;
  AgentStatus status;
  const ObjectReader root(document, "", problem);
  root.get("version", status.version);
  root.get("pid", status.pid);
  root.get("ready", status.ready);
  root.get("missing", status.missing);
  root.get("lease_expires", status.lease_expires);
  read_node(root.inside("node"), status);
  read_network(root.inside("network"), status);
  const ObjectReader fast_path = root.inside("fast_path");
  fast_path.get("on", status.fast_path);
  fast_path.get("why", status.fast_path_why);
  if (document.contains("host_notices")) root.get("host_notices", status.host_notices);
  read_rejected(root, status, problem);
  read_steps(root, status, problem);
  if (!problem.empty()) return fail(ErrorKind::decode, "{} is missing or of the wrong type", problem);
  return status;
}

Result<AgentStatus> load_agent_status(const std::string& path) {
  auto text = read_file(path);
  if (!text && text.error().kind == ErrorKind::not_found) {
    return with_remedy(fail(ErrorKind::not_found, "{} does not exist", path), "start merinod on this node");
  }
  if (!text) return tl::unexpected(std::move(text).error());
  auto status = parse_agent_status(*text);
  if (!status) return in_context(std::move(status).error(), path);
  return status;
}

}  // namespace merino
