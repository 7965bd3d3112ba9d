#include "cni/config.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "cni/json_fields.h"

namespace merino::cni {
namespace {

constexpr int kMinMtu = 576;
constexpr int kMaxMtu = 65535;

Outcome<SpecVersion> parse_spec_version(const Json& json) {
  const std::string text = TRY(string_field(json, "cniVersion"));
  const std::optional<SpecVersion> version = parse_version(text);
  if (version) return *version;
  return fail_with(
      Code::incompatible_version, fmt::format("cniVersion \"{}\" is not supported", text),
      fmt::format("set cniVersion in the network configuration to one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, {}", version_text(kLatestVersion)));
}

Outcome<std::string> parse_name(const Json& json) {
  std::string name = TRY(string_field(json, "name"));
  if (name.empty()) return fail_with(Code::invalid_config, "the network configuration has no \"name\"");
  if (!is_valid_identifier(name)) return fail_with(Code::invalid_config, fmt::format(R"("name" is no network name: "{}")", name));
  return name;
}

Result<std::optional<int>> parse_mtu(const Json& json) {
  const std::optional<int64_t> mtu = TRY(integer_field(json, "mtu"));
  if (!mtu || *mtu == 0) return std::nullopt;
  if (*mtu < kMinMtu || *mtu > kMaxMtu) return fail(ErrorKind::invalid, "key \"mtu\" is {}, it must be {} to {}", *mtu, kMinMtu, kMaxMtu);
  return static_cast<int>(*mtu);
}

// What is limited on its way into a pod must pass the host side's qdisc; what a pod sends is held back before the stack gets it, and a
// program that sends it on would go round that.
Result<Delivery> chosen_delivery(const Json& json) {
  const std::string text = TRY(string_field(json, "delivery"));
  const auto given = text.empty() ? Delivery::peer : parse_delivery(text);
  if (!given || *given == Delivery::stack)
    return fail(ErrorKind::invalid, R"(key "delivery" is "{}", it must be "peer" or "redirect")", text);
  const Json* runtime_config = TRY(find_object(json, "runtimeConfig"));
  const Json* bandwidth = runtime_config == nullptr ? nullptr : find_field(*runtime_config, "bandwidth");
  if (bandwidth == nullptr) return *given;
  const bool limits_sending =
      bandwidth->is_object() && bandwidth->value("egressRate", Json()).is_number() && bandwidth->at("egressRate") > 0;
  return limits_sending ? Delivery::stack : Delivery::redirect;
}

Result<std::string> parse_ipam_type(const Json& json) {
  const Json* ipam = TRY(find_object(json, "ipam"));
  if (ipam == nullptr) return "host-local";
  std::string type = TRY(string_field(*ipam, "type"));
  if (type.find('/') != std::string::npos) return fail(ErrorKind::invalid, R"(key "ipam.type" is "{}", it must be a file name)", type);
  return type.empty() ? "host-local" : type;
}

Result<std::vector<AttachmentId>> parse_valid_attachments(const Json& json) {
  // libcni writes both names since the spec once had the second one.
  const char* key = json.contains("cni.dev/valid-attachments") ? "cni.dev/valid-attachments" : "cni.dev/attachments";
  if (!json.contains(key)) {
    return fail(ErrorKind::invalid, "GC without \"cni.dev/valid-attachments\" would take every pod's network away");
  }
  std::vector<AttachmentId> valid;
  const Json* array = TRY(find_array(json, key));
  if (array == nullptr) return valid;
  for (const Json& element : *array) {
    if (!element.is_object()) return fail(ErrorKind::invalid, "key \"{}\" must be an array of objects", key);
    AttachmentId id;
    id.container_id = TRY(string_field(element, "containerID"));
    id.ifname = TRY(string_field(element, "ifname"));
    if (id.container_id.empty() || id.ifname.empty()) {
      return fail(ErrorKind::invalid, "an element of \"{}\" lacks containerID or ifname", key);
    }
    valid.push_back(std::move(id));
  }
  return valid;
}

Status parse_prev_result(const Json& json, Command command, NetworkConf& conf) {
  const Json* prev_result = find_field(json, "prevResult");
  conf.has_prev_result = prev_result != nullptr;
  if (prev_result == nullptr || (command != Command::check && command != Command::del)) return ok();
  auto parsed = prev_result->is_object() ? parse_result(*prev_result)
                                         : Result<AddResult>(fail(ErrorKind::invalid, "key \"prevResult\" must be an object"));
  if (parsed) {
    conf.prev_result = std::move(*parsed);
  } else if (command == Command::check) {
    return in_context(std::move(parsed.error()), "prevResult");
  }
  return ok();
}

Status parse_host_local_part(const Json& json, const Environment& environment, Command command, NetworkConf& conf) {
  if (conf.ipam_type != "host-local") return ok();
  auto parsed = parse_host_local(json, environment.args);
  if (parsed) {
    conf.host_local = std::move(*parsed);
    return ok();
  }
  if (command == Command::add || command == Command::status) return in_context(std::move(parsed.error()), "ipam");
  conf.host_local.network = conf.name;
  if (const Json* ipam = TRY(find_object(json, "ipam"))) {
    const std::string data_dir = TRY(string_field(*ipam, "dataDir"));
    if (!data_dir.empty()) conf.host_local.data_dir = data_dir;
  }
  return ok();
}

}  // namespace

bool NetworkConf::needs_subnet_env() const { return !mtu || (ipam_type == "host-local" && host_local.ranges.empty()); }

Outcome<NetworkConf> parse_network_conf(const std::string& text, const Environment& environment, Command command) {
  const Json json = TRY(parse_object(text, "the network configuration"));
  NetworkConf conf;
  conf.text = text;
  conf.name = TRY(parse_name(json));
  conf.version = TRY(parse_spec_version(json));
  conf.type = TRY(string_field(json, "type")) == "flannel" ? ConfType::flannel : ConfType::merino;
  const std::string subnet_file = TRY(string_field(json, "subnetFile"));
  if (!subnet_file.empty()) conf.subnet_file = subnet_file;
  const std::string data_dir = TRY(string_field(json, "dataDir"));
  if (!data_dir.empty()) conf.data_dir = data_dir;
  conf.mtu = TRY(parse_mtu(json));
  conf.delivery = TRY(chosen_delivery(json));
  conf.dns = TRY(parse_dns(json));
  conf.ipam_type = TRY(parse_ipam_type(json));
  TRY(parse_host_local_part(json, environment, command, conf));
  TRY(parse_prev_result(json, command, conf));
  if (command == Command::gc) conf.valid_attachments = TRY(parse_valid_attachments(json));
  return conf;
}

Outcome<NetworkConf> parse_bridge_conf(const std::string& text, const Environment& environment, Command command) {
  NetworkConf conf = TRY(parse_network_conf(text, environment, command));
  const Json json = TRY(parse_object(text, "the network configuration"));
  const bool ends = command != Command::add && command != Command::status;
  for (const char* key : {"vlan", "vlanTrunk"}) {
    const Json* vlan = find_field(json, key);
    if (ends || vlan == nullptr || *vlan == 0 || vlan->empty()) continue;
    return fail_with(Code::invalid_config, fmt::format(R"("delegate" has "{}", and merino has no VLANs)", key),
                     "leave it out, or have the bridge plugin attach pods with flannel's own plugin");
  }
  const Json* by_gateway = find_field(json, "isDefaultGateway");
  conf.default_route = by_gateway != nullptr && *by_gateway == true ? DefaultRoute::gateway : DefaultRoute::as_given;
  return conf;
}

SpecVersion version_of(const std::string& text) {
  const auto json = parse_object(text, "the network configuration");
  if (!json) return kLatestVersion;
  return parse_version(string_field(*json, "cniVersion").value_or("")).value_or(kLatestVersion);
}

void apply_subnet_env(NetworkConf& conf, const SubnetEnv& env) {
  if (!conf.mtu) conf.mtu = env.mtu;
  HostLocalConf& host_local = conf.host_local;
  if (conf.ipam_type != "host-local" || !host_local.ranges.empty()) return;
  for (const auto& subnet : {env.subnet, env.subnet_v6}) {
    if (!subnet) continue;
    // The gateway is the subnet's first address, which is also how the agent writes the subnet.
    if (auto range = make_range(subnet->masked(), {})) host_local.ranges.push_back({*range});
  }
  for (const auto& networks : {env.networks, env.networks_v6}) {
    for (const Prefix& network : networks) host_local.routes.push_back({network.masked(), std::nullopt, 0});
  }
}

}  // namespace merino::cni
