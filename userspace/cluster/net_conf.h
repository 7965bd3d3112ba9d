// net-conf.json: flannel's keys (matched case-insensitively, unknown ones ignored), defaults and rules; plus merino's own `FastPath`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/result.h"

namespace merino {

// vxlan: in a tunnel. host_gw: without, to nodes of the uplink's own segment. alloc: a lease and nothing else; something else moves
// packets.
enum class BackendType { vxlan, host_gw, alloc };
// "vxlan", "host-gw", "alloc", as net-conf.json spells it.
const char* backend_name(BackendType type);

struct VxlanConf {
  uint32_t vni = 1;
  uint16_t port = 8472;         // Backend.Port 0 or absent: the kernel's default, 8472
  std::optional<int> mtu;       // Backend.MTU: of the uplink, before the tunnel's overhead
  bool direct_routing = false;  // no tunnel to nodes of the uplink's own segment
};

struct NetConf {
  Prefix network;  // masked
  int subnet_len = 24;
  IpAddress subnet_min;  // first and last node subnet that may be leased
  IpAddress subnet_max;
  BackendType backend = BackendType::vxlan;
  VxlanConf vxlan;
  bool fast_path = true;  // merino's own key Backend.FastPath

  // May there be peers that are reached without a tunnel?
  [[nodiscard]] bool has_direct_peers() const {
    return backend == BackendType::host_gw || (backend == BackendType::vxlan && vxlan.direct_routing);
  }
};

// Parses and checks. Errors (invalid, decode) name file, key and remedy; where flannel has a text for it, that text is in it.
Result<NetConf> parse_net_conf(const std::string& json, const std::string& path_for_errors);
Result<NetConf> load_net_conf(const std::string& path);

}  // namespace merino
