// net-conf.json: flannel's keys (matched case-insensitively, unknown ones ignored), defaults and rules; plus merino's own `FastPath`.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/per_family.h"
#include "base/result.h"
#include "cluster/lease.h"

namespace merino {

// vxlan: in a tunnel. host_gw: without, to nodes of the uplink's own segment. udp: in a tunnel that is nothing but UDP, IPv4 only. alloc: a
// lease and nothing else; something else moves packets.
enum class BackendType { vxlan, host_gw, udp, alloc };
// "vxlan", "host-gw", "udp", "alloc", as net-conf.json spells it.
const char* backend_name(BackendType type);

struct VxlanConf {
  uint32_t vni = 1;
  uint16_t port = 8472;         // Backend.Port 0 or absent: the kernel's default, 8472
  std::optional<int> mtu;       // Backend.MTU: of the uplink, before the tunnel's overhead
  bool direct_routing = false;  // no tunnel to nodes of the uplink's own segment
};

struct UdpConf {
  uint16_t port = 8285;
};

// The pod network of one family, and how it is cut into node subnets.
struct SubnetPool {
  Prefix network;  // masked
  int subnet_len = 0;
  IpAddress subnet_min;  // first and last node subnet that may be leased
  IpAddress subnet_max;
};

struct NetConf {
  PerFamily<SubnetPool> pools;  // of the enabled families, at least one
  BackendType backend = BackendType::vxlan;
  VxlanConf vxlan;
  UdpConf udp;
  bool fast_path = true;  // merino's own key Backend.FastPath

  // Without the rest of the pools.
  [[nodiscard]] Subnets networks() const;
  // May there be peers that are reached without a tunnel?
  [[nodiscard]] bool has_direct_peers() const {
    return backend == BackendType::host_gw || (backend == BackendType::vxlan && vxlan.direct_routing);
  }
};

// Parses and checks. Errors (invalid, decode) name file, key and remedy; where flannel has a text for it, that text is in it.
Result<NetConf> parse_net_conf(const std::string& json, const std::string& path_for_errors);
Result<NetConf> load_net_conf(const std::string& path);

}  // namespace merino
