// net-conf.json: flannel's keys (matched case-insensitively, unknown ones ignored), defaults and rules; plus merino's own `FastPath`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/result.h"

namespace merino {

enum class BackendType { vxlan };

struct VxlanConf {
  uint32_t vni = 1;
  uint16_t port = 8472;    // Backend.Port 0 or absent: the kernel's default, 8472
  std::optional<int> mtu;  // Backend.MTU: of the uplink, before the tunnel's overhead
  bool fast_path = true;   // merino's own key Backend.FastPath
};

struct NetConf {
  Prefix network;  // masked
  int subnet_len = 24;
  IpAddress subnet_min;  // first and last node subnet that may be leased
  IpAddress subnet_max;
  BackendType backend = BackendType::vxlan;
  VxlanConf vxlan;
};

// Parses and checks. Errors (invalid, decode) name file, key and remedy; where flannel has a text for it, that text is in it.
Result<NetConf> parse_net_conf(const std::string& json, const std::string& path_for_errors);
Result<NetConf> load_net_conf(const std::string& path);

}  // namespace merino
