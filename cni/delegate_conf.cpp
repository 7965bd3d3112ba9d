#include "cni/delegate_conf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "cni/json_fields.h"

namespace merino::cni {
namespace {

// As Go writes JSON: what a browser could take for markup is escaped, wherever it stands (it can stand in texts only).
std::string go_text(const Json& json) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 5> kEscapes = {
      {{"<", "\\u003c"}, {">", "\\u003e"}, {"&", "\\u0026"}, {"\xe2\x80\xa8", "\\u2028"}, {"\xe2\x80\xa9", "\\u2029"}}};
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  for (const auto& [raw, escaped] : kEscapes) {
    for (size_t at = text.find(raw); at != std::string::npos; at = text.find(raw, at + escaped.size())) {
      text.replace(at, raw.size(), escaped);
    }
  }
  return text;
}

Outcome<Json> base_delegate(const Json& conf) {
  const Json* given = TRY(find_object(conf, "delegate"));
  if (given == nullptr) return Json::object();
  const auto refuse = [](const char* key, const char* why) {
    return fail_with(Code::invalid_config, fmt::format(R"("delegate" must not have "{}")", key), why);
  };
  if (given->contains("type") && !given->at("type").is_string()) {
    return fail_with(Code::invalid_config, R"("type" in "delegate" must be a text)");
  }
  if (given->contains("name")) return refuse("name", "it is the network's: leave it out");
  if (given->contains("ipam")) return refuse("ipam", R"(leave it out, or put "ipam" beside "delegate")");
  return *given;
}

Json ranges(const SubnetEnv& env) {
  Json sets = Json::array();
  for (const auto& subnet : {env.subnet, env.subnet_v6}) {
    if (subnet) sets.push_back(Json::array({{{"subnet", subnet->masked().to_string()}}}));
  }
  return sets;
}

Outcome<Json> routes(const Json* ipam, const SubnetEnv& env) {
  Json all = Json::array();
  if (ipam != nullptr) {
    if (const Json* given = TRY(find_array(*ipam, "routes"))) all = *given;
  }
  std::vector<Prefix> seen;
  for (const auto& networks : {env.networks, env.networks_v6}) {
    for (const Prefix& network : networks) {
      if (std::find(seen.begin(), seen.end(), network.masked()) != seen.end()) continue;
      seen.push_back(network.masked());
      all.push_back({{"dst", network.masked().to_string()}});
    }
  }
  return all;
}

Outcome<Json> delegate_ipam(const Json& conf, const SubnetEnv& env) {
  const Json* given = TRY(find_object(conf, "ipam"));
  Json ipam = given != nullptr ? *given : Json::object();
  if (!ipam.contains("type")) ipam["type"] = "host-local";
  ipam["ranges"] = ranges(env);
  ipam["routes"] = TRY(routes(given, env));
  return ipam;
}

}  // namespace

Outcome<DelegateConf> render_delegate(const std::string& text, const SubnetEnv& env) {
  const Json conf = TRY(parse_object(text, "the network configuration"));
  Json delegate = TRY(base_delegate(conf));
  if (const Json* runtime_config = TRY(find_object(conf, "runtimeConfig"))) delegate["runtimeConfig"] = *runtime_config;
  delegate["name"] = TRY(string_field(conf, "name"));
  if (!delegate.contains("type")) delegate["type"] = "bridge";
  if (!delegate.contains("ipMasq")) delegate["ipMasq"] = !env.ip_masq;
  if (!delegate.contains("mtu")) delegate["mtu"] = env.mtu;
  const std::string type = delegate["type"].get<std::string>();
  if (type == "bridge" && !delegate.contains("isGateway")) delegate["isGateway"] = true;
  const std::string version = TRY(string_field(conf, "cniVersion"));
  if (!version.empty()) delegate["cniVersion"] = version;
  delegate["ipam"] = TRY(delegate_ipam(conf, env));
  return DelegateConf{type, go_text(delegate)};
}

Outcome<DelegateConf> parse_delegate(const std::string& text) {
  const Json json = TRY(parse_object(text, "the delegate's configuration"));
  const std::string type = TRY(string_field(json, "type"));
  if (type.empty()) return fail_with(Code::invalid_config, "the delegate's configuration has no \"type\"");
  return DelegateConf{type, text};
}

}  // namespace merino::cni
