#include "agent/adopt.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "base/file.h"

namespace merino {

namespace {

using nlohmann::json;

constexpr size_t kMaxCacheFile = 1U << 20U;
// More files than a node has pods are not looked at.
constexpr size_t kMaxCacheFiles = 4096;

// Throws json::exception for what is missing or of another type.
Result<CachedResult> from_json(const json& cache) {
  if (cache.at("kind") != "cniCacheV1") return fail(ErrorKind::decode, "not a cached CNI result");
  CachedResult out;
  out.network = cache.at("networkName").get<std::string>();
  out.container_id = cache.at("containerId").get<std::string>();
  out.ifname = cache.at("ifName").get<std::string>();
  const json capabilities = cache.value("capabilityArgs", json::object());
  out.shaped = capabilities.is_object() && capabilities.contains("bandwidth");
  const json& result = cache.at("result");
  bool inside = false;
  for (const json& interface : result.at("interfaces")) {
    const std::string name = interface.at("name").get<std::string>();
    if (interface.value("sandbox", "").empty()) {
      out.host_ifnames.push_back(name);
    } else if (name == out.ifname) {
      out.pod_mac = TRY(MacAddress::parse(interface.at("mac").get<std::string>()));
      inside = true;
    }
  }
  for (const json& address : result.at("ips")) out.addresses.push_back(TRY(Prefix::parse(address.at("address").get<std::string>())));
  if (!inside || out.addresses.empty()) return fail(ErrorKind::invalid, "a result without an address in a container");
  return out;
}

// Names in these files become parts of paths.
bool is_file_name(const std::string& name) { return !name.empty() && name[0] != '.' && name.find('/') == std::string::npos; }

bool has(const std::vector<Prefix>& addresses, const Prefix& wanted) {
  return std::find(addresses.begin(), addresses.end(), wanted) != addresses.end();
}

}  // namespace

Result<CachedResult> parse_cached_result(const std::string& text) {
  try {
    return from_json(json::parse(text));
  } catch (const json::exception& broken) {
    return fail(ErrorKind::decode, "a cached CNI result: {}", broken.what());
  }
}

Result<std::vector<CachedResult>> read_cached_results(const std::string& cni_dir) {
  std::vector<CachedResult> all;
  for (const char* directory : {"/results", "/cache/results", "/cache"}) {
    for (const std::string& name : TRY(list_directory(cni_dir + directory))) {
      if (all.size() == kMaxCacheFiles) return all;
      const std::filesystem::path path = cni_dir + directory + "/" + name;
      std::error_code unknown;
      if (!std::filesystem::is_regular_file(path, unknown)) continue;
      const auto text = read_file(path, kMaxCacheFile);
      if (!text) continue;
      if (auto cached = parse_cached_result(*text)) all.push_back(*std::move(cached));
    }
  }
  return all;
}

std::string address_holder(const std::string& cni_dir, const std::string& network, const IpAddress& address) {
  if (!is_file_name(network)) return "";
  const auto text = read_file(fmt::format("{}/networks/{}/{}", cni_dir, network, address.to_string()), 4096);
  return text ? text->substr(0, text->find_first_of("\r\n")) : "";
}

Result<Attachment> prove_pod(const AdoptionSite& site, const CachedResult& cached, const PerFamily<Prefix>& subnets,
                             const std::vector<std::string>& holders) {
  const auto unproven = [](const std::string& why) { return fail(ErrorKind::invalid, "{}", why); };
  if (cached.shaped || site.host_side.qdisc != "noqueue") return unproven("its bandwidth is shaped on the host side of its veth");
  if (site.pod_side.link.mac != cached.pod_mac) return unproven("its interface has another MAC than the runtime knows");
  Attachment pod;
  for (size_t i = 0; i < cached.addresses.size(); ++i) {
    const Prefix& address = cached.addresses[i];
    const std::string text = address.address().to_string();
    const auto& subnet = subnets[address.family()];
    if (subnet && !subnet->contains(address.address())) return unproven(fmt::format("{} is not in this node's subnet", text));
    if (!has(site.pod_side.addresses, address)) return unproven(fmt::format("its interface does not have {}", text));
    if (i >= holders.size() || holders[i] != cached.container_id)
      return unproven(fmt::format("host-local does not say that {} is its", text));
    pod.addresses.push_back(address);
  }
  pod.network = cached.network;
  pod.container_id = cached.container_id;
  pod.ifname = cached.ifname;
  pod.host_ifname = site.host_side.name;
  pod.host_ifindex = site.host_side.index;
  pod.pod_mac = cached.pod_mac;
  pod.host_mac = site.bridge ? site.bridge->mac : site.host_side.mac;
  pod.complete = true;
  return pod;
}

}  // namespace merino
