#include "lab/pod_network.h"

#include <fmt/core.h>

namespace merino::lab {
namespace {

// Keys of the Backend object.
const char* backend_keys(Backend backend) {
  switch (backend) {
    case Backend::vxlan:
      return R"("Type": "vxlan")";
    case Backend::direct_routing:
      return R"("Type": "vxlan", "DirectRouting": true)";
    case Backend::host_gw:
      return R"("Type": "host-gw")";
    case Backend::udp:
      return R"("Type": "udp")";
  }
  return "";
}

// What flannel does not assume: IPv4 is on, IPv6 is off.
std::string family_keys(Families families) {
  std::string keys;
  if (!has(families, Family::v4)) keys += R"("EnableIPv4": false, )";
  if (has(families, Family::v4)) keys += fmt::format(R"("Network": "{}", )", pod_prefix(Family::v4));
  if (has(families, Family::v6)) keys += fmt::format(R"("EnableIPv6": true, "IPv6Network": "{}", )", pod_prefix(Family::v6));
  return keys;
}

}  // namespace

bool has(Families families, Family family) { return families == Families::dual || (families == Families::ipv4) == (family == Family::v4); }

std::vector<Family> each(Families families) {
  std::vector<Family> list;
  for (const Family family : {Family::v4, Family::v6}) {
    if (has(families, family)) list.push_back(family);
  }
  return list;
}

std::string pod_prefix(Family family) { return family == Family::v4 ? "10.244.0.0/16" : "fd10:244::/48"; }

Prefix node_subnet(Family family, int number) {
  const std::string text = family == Family::v4 ? fmt::format("10.244.{}.0/24", number) : fmt::format("fd10:244:0:{:x}::/64", number);
  return Prefix::parse(text).value();
}

std::string net_conf(const PodNetwork& network, const std::string& keys, const std::string& top) {
  return fmt::format(R"({{{}{}"Backend": {{{}{}{}}}}})", family_keys(network.families), top.empty() ? "" : top + ", ",
                     backend_keys(network.backend), keys.empty() ? "" : ", ", keys);
}

const char* to_string(Family family) { return family == Family::v4 ? "IPv4" : "IPv6"; }

std::string to_string(Backend backend) {
  switch (backend) {
    case Backend::vxlan:
      return "Vxlan";
    case Backend::direct_routing:
      return "DirectRouting";
    case Backend::host_gw:
      return "HostGw";
    case Backend::udp:
      return "Udp";
  }
  return "";
}

std::string to_string(const PodNetwork& network) {
  const char* families = network.families == Families::dual ? "Dual" : network.families == Families::ipv4 ? "IPv4" : "IPv6";
  return to_string(network.backend) + families;
}

}  // namespace merino::lab
