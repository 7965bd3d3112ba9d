#include "cluster/net_conf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/file.h"
#include "base/printable.h"
#include "cluster/json_object.h"
#include "cluster/lease.h"
#include "cluster/subnet_pool.h"

namespace merino {
namespace {

constexpr size_t kMaxBytes = 1U << 20U;
constexpr int64_t kSmallestMtu = 576;  // what every IPv4 host must be able to receive
constexpr int64_t kLargestMtu = 65535;
constexpr uint16_t kKernelVxlanPort = 8472;
constexpr const char* kUseVxlan = R"(set "Backend": {"Type": "vxlan"})";

struct KnownBackend {
  std::string_view type;
  const char* instead;
};

constexpr std::array kBackends{BackendType::vxlan, BackendType::host_gw, BackendType::udp, BackendType::alloc};

// flannel's other backends, and those that it had, and what to use in their place.
constexpr const char* kUseVxlanUnencrypted =
    R"(set "Backend": {"Type": "vxlan"} if the underlay may see the pods' traffic: vxlan does not encrypt)";
constexpr const char* kUseVxlanInCloud =
    R"(set "Backend": {"Type": "vxlan"}, which needs no routes in the cloud's table; or "host-gw" if the nodes share a segment)";
constexpr std::array kFlannelBackends{
    KnownBackend{"ipip",
                 R"(set "Backend": {"Type": "vxlan"}, which takes 50 bytes of the MTU instead of 20, or "host-gw", which takes none)"},
    KnownBackend{"wireguard", kUseVxlanUnencrypted},
    KnownBackend{"ipsec", kUseVxlanUnencrypted},
    KnownBackend{"extension", R"(set "Backend": {"Type": "vxlan"}; commands of an extension are not run)"},
    KnownBackend{"tencent-vpc", kUseVxlanInCloud},
    KnownBackend{"ali-vpc", kUseVxlanInCloud},
    KnownBackend{"aws-vpc", kUseVxlanInCloud},
    KnownBackend{"gce", kUseVxlanInCloud},
};

std::string lower_case(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

Result<BackendType> read_backend_type(const JsonObject& backend) {
  const std::string written = TRY(backend.string("Type")).value_or("");
  const std::string type = lower_case(written);
  for (const BackendType ours : kBackends) {
    if (type == backend_name(ours)) return ours;
  }
  const auto* known = std::find_if(kFlannelBackends.begin(), kFlannelBackends.end(), [&](const KnownBackend& b) { return b.type == type; });
  if (known == kFlannelBackends.end()) {
    return with_remedy(fail(ErrorKind::invalid, "{}: unknown backend type: \"{}\"", backend.where("Type"), printable(written)), kUseVxlan);
  }
  return with_remedy(
      fail(ErrorKind::unsupported, "{} is \"{}\", a backend of flannel that this build does not have", backend.where("Type"), type),
      known->instead);
}

Status refuse_if_set(const JsonObject& backend, const char* key, const char* why) {
  if (!TRY(backend.boolean(key)).value_or(false)) return ok();
  return with_remedy(fail(ErrorKind::unsupported, "{} is true, which this build cannot honour: {}", backend.where(key), why),
                     fmt::format("set {} to false", key));
}

Result<VxlanConf> read_vxlan(const JsonObject& backend) {
  TRY(refuse_if_set(backend, "GBP", "group policy tags are not carried"));
  TRY(refuse_if_set(backend, "Learning", "peers come from leases, never from what packets claim"));
  VxlanConf vxlan;
  vxlan.direct_routing = TRY(backend.boolean("DirectRouting")).value_or(vxlan.direct_routing);
  vxlan.vni = static_cast<uint32_t>(TRY(backend.integer("VNI", 0, kLargestVni)).value_or(vxlan.vni));
  const auto port = static_cast<uint16_t>(TRY(backend.integer("Port", 0, 65535)).value_or(0));
  vxlan.port = port == 0 ? kKernelVxlanPort : port;
  const auto mtu = TRY(backend.integer("MTU", 0, kLargestMtu));
  if (mtu && *mtu != 0) {
    if (*mtu < kSmallestMtu) {
      return with_remedy(fail(ErrorKind::invalid, "{} is {}: too small for a tunnel", backend.where("MTU"), *mtu),
                         fmt::format("leave it out to take the uplink's, or set it to {} or more", kSmallestMtu));
    }
    vxlan.mtu = static_cast<int>(*mtu);
  }
  return vxlan;
}

Result<UdpConf> read_udp(const JsonObject& backend) {
  UdpConf udp;
  const auto port = static_cast<uint16_t>(TRY(backend.integer("Port", 0, 65535)).value_or(0));
  if (port != 0) udp.port = port;
  return udp;
}

Status check_udp(const JsonObject& backend, const NetConf& conf) {
  if (!conf.pools.v6) return ok();
  return with_remedy(
      fail(ErrorKind::unsupported, "{} is \"udp\", as it is without a Backend; udp carries IPv4 only, and EnableIPv6 is true",
           backend.where("Type")),
      R"(set EnableIPv6 to false, or "Backend": {"Type": "vxlan"})");
}

Status read_backend(const JsonObject& object, NetConf& conf) {
  auto backend = object.object("Backend");
  if (!backend) return in_context(backend.error(), "error decoding Backend property of config");
  if (!*backend) *backend = TRY(JsonObject::parse(R"({"Type": "udp"})", object.where("Backend")));  // as flannel
  conf.backend = TRY(read_backend_type(**backend));
  if (conf.backend == BackendType::vxlan) conf.vxlan = TRY(read_vxlan(**backend));
  if (conf.backend == BackendType::udp) {
    TRY(check_udp(**backend, conf));
    conf.udp = TRY(read_udp(**backend));
    // merino0 has a socket of its own.
    if (conf.udp.port == conf.vxlan.port) conf.vxlan.port++;
  }
  conf.fast_path = TRY((*backend)->boolean("FastPath")).value_or(conf.fast_path);
  return ok();
}

// Whoever switches the fast path off relies on rules that it would pass by: unlike flannel's keys, this one is not ignored in a wrong
// place.
Status refuse_outer_fast_path(const JsonObject& object) {
  if (!TRY(object.boolean("FastPath"))) return ok();
  return with_remedy(fail(ErrorKind::invalid, "{} stands beside Backend, where it has no effect", object.where("FastPath")),
                     "move it into Backend");
}

}  // namespace

const char* backend_name(BackendType type) {
  switch (type) {
    case BackendType::vxlan:
      return "vxlan";
    case BackendType::host_gw:
      return "host-gw";
    case BackendType::udp:
      return "udp";
    case BackendType::alloc:
      return "alloc";
  }
  return "?";
}

Result<NetConf> parse_net_conf(const std::string& json, const std::string& path_for_errors) {
  const JsonObject object = TRY(JsonObject::parse(json, path_for_errors));
  NetConf conf;
  TRY(object.boolean("EnableNFTables"));  // merino's rules are nftables in any case
  conf.pools = TRY(read_pools(object));
  TRY(refuse_outer_fast_path(object));
  TRY(read_backend(object, conf));
  return conf;
}

Subnets NetConf::networks() const {
  Subnets out;
  for (const Family family : kFamilies) {
    if (pools[family]) out[family] = pools[family]->network;
  }
  return out;
}

Result<NetConf> load_net_conf(const std::string& path) {
  auto text = read_file(path, kMaxBytes);
  if (!text && text.error().kind == ErrorKind::not_found) {
    return with_remedy(
        tl::unexpected(std::move(text).error()),
        R"(write it, for instance {"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}}, or name another by --net-config-path)");
  }
  return parse_net_conf(TRY(std::move(text)), path);
}

}  // namespace merino
