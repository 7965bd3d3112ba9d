#include "cluster/net_conf.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/file.h"
#include "cluster/json_object.h"
#include "cluster/lease.h"
#include "cluster/printable.h"

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

constexpr std::array kBackends{BackendType::vxlan, BackendType::host_gw, BackendType::alloc};

// flannel's other backends, and those that it had, and what to use in their place.
constexpr const char* kUseVxlanUnencrypted =
    R"(set "Backend": {"Type": "vxlan"} if the underlay may see the pods' traffic: vxlan does not encrypt)";
constexpr const char* kUseVxlanInCloud =
    R"(set "Backend": {"Type": "vxlan"}, which needs no routes in the cloud's table; or "host-gw" if the nodes share a segment)";
constexpr std::array kFlannelBackends{
    KnownBackend{"udp", R"(set "Backend": {"Type": "vxlan"}, which any kernel that runs merino has)"},
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

Status check_families(const JsonObject& object) {
  if (!TRY(object.boolean("EnableIPv4")).value_or(true)) {
    return with_remedy(fail(ErrorKind::unsupported, "{} is false, and this build cannot do without IPv4", object.where("EnableIPv4")),
                       "remove EnableIPv4 and define Network");
  }
  if (TRY(object.boolean("EnableIPv6")).value_or(false)) {
    return with_remedy(fail(ErrorKind::unsupported, "{} is true, and this build has IPv4 only", object.where("EnableIPv6")),
                       "set EnableIPv6 to false");
  }
  TRY(object.boolean("EnableNFTables"));  // merino's rules are nftables in any case
  return ok();
}

Result<Prefix> read_network(const JsonObject& object) {
  constexpr const char* kRemedy = R"(set "Network": "10.244.0.0/16", or another IPv4 network that nothing else uses)";
  const auto text = TRY(object.string("Network"));
  if (!text) {
    return with_remedy(
        fail(ErrorKind::invalid, "{} is missing: please define a correct Network parameter in the flannel config", object.where("Network")),
        kRemedy);
  }
  const auto network = Prefix::parse(*text);
  if (!network || network->family() != Family::v4 || network->masked() == Prefix(IpAddress::from_v4(0), 0)) {
    return with_remedy(fail(network ? ErrorKind::invalid : ErrorKind::decode,
                            "{} must be an IPv4 network, found \"{}\": please define a correct Network parameter in the flannel config",
                            object.where("Network"), printable(*text)),
                       kRemedy);
  }
  return network->masked();
}

Result<int> read_subnet_len(const JsonObject& object, const Prefix& network) {
  const std::string where = object.where("SubnetLen");
  const auto wanted = static_cast<int>(TRY(object.integer("SubnetLen", 0, 255)).value_or(0));
  if (wanted == 0) {
    if (network.length() > 28) {
      return with_remedy(fail(ErrorKind::invalid, "{} is {}: network is too small. Minimum useful network prefix is /28",
                              object.where("Network"), network.to_string()),
                         "define a larger Network");
    }
    return network.length() <= 22 ? 24 : network.length() + 2;
  }
  if (wanted > 30) {
    return with_remedy(fail(ErrorKind::invalid, "{} is {}: SubnetLen must be less than /31", where, wanted), "set it to 30 or less");
  }
  if (wanted < network.length() + 2) {
    return with_remedy(fail(ErrorKind::invalid, "{} is {} and Network is {}: network must be able to accommodate at least four subnets",
                            where, wanted, network.to_string()),
                       fmt::format("set SubnetLen to {} or more", network.length() + 2));
  }
  return wanted;
}

// SubnetMin or SubnetMax. 0.0.0.0 means the default, as for flannel.
Result<IpAddress> read_bound(const JsonObject& object, const char* key, const NetConf& conf, const IpAddress& otherwise) {
  const auto text = TRY(object.string(key));
  if (!text) return otherwise;
  const auto address = IpAddress::parse(*text);
  if (!address || !address->is_v4()) {
    return fail(ErrorKind::decode, "{} must be an IPv4 address, found \"{}\"", object.where(key), printable(*text));
  }
  if (address->v4() == 0) return otherwise;
  if (!conf.network.contains(*address)) {
    return with_remedy(fail(ErrorKind::invalid, "{} is {}: {} is not in the range of the Network", object.where(key), *text, key),
                       "choose an address in " + conf.network.to_string());
  }
  const IpAddress boundary = Prefix(*address, conf.subnet_len).masked().address();
  if (*address != boundary) {
    return with_remedy(fail(ErrorKind::invalid, "{} is not on a SubnetLen boundary: {}", object.where(key), *text),
                       fmt::format("set {} to {}, where a /{} begins", key, boundary.to_string(), conf.subnet_len));
  }
  return *address;
}

Status read_bounds(const JsonObject& object, NetConf& conf) {
  const Prefix first(conf.network.address(), conf.subnet_len);
  const IpAddress second = first.last().plus(1);  // the first subnet holds the network's own address
  const IpAddress last = Prefix(conf.network.last(), conf.subnet_len).masked().address();
  conf.subnet_min = TRY(read_bound(object, "SubnetMin", conf, second));
  conf.subnet_max = TRY(read_bound(object, "SubnetMax", conf, last));
  if (conf.subnet_min > conf.subnet_max) {
    return with_remedy(fail(ErrorKind::invalid, "{} {} is above SubnetMax {}: no subnet is left to lease", object.where("SubnetMin"),
                            conf.subnet_min.to_string(), conf.subnet_max.to_string()),
                       "swap them");
  }
  return ok();
}

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

Result<JsonObject> find_backend(const JsonObject& object) {
  const auto backend = object.object("Backend");
  if (!backend) return in_context(backend.error(), "error decoding Backend property of config");
  if (!*backend) {
    return with_remedy(fail(ErrorKind::unsupported, "{} is missing, which means flannel's \"udp\", and this build does not have it",
                            object.where("Backend")),
                       kUseVxlan);
  }
  return **backend;
}

}  // namespace

const char* backend_name(BackendType type) {
  switch (type) {
    case BackendType::vxlan:
      return "vxlan";
    case BackendType::host_gw:
      return "host-gw";
    case BackendType::alloc:
      return "alloc";
  }
  return "?";
}

Result<NetConf> parse_net_conf(const std::string& json, const std::string& path_for_errors) {
  const JsonObject object = TRY(JsonObject::parse(json, path_for_errors));
  TRY(check_families(object));
  NetConf conf;
  conf.network = TRY(read_network(object));
  conf.subnet_len = TRY(read_subnet_len(object, conf.network));
  TRY(read_bounds(object, conf));
  const JsonObject backend = TRY(find_backend(object));
  conf.backend = TRY(read_backend_type(backend));
  if (conf.backend == BackendType::vxlan) conf.vxlan = TRY(read_vxlan(backend));
  conf.fast_path = TRY(backend.boolean("FastPath")).value_or(conf.fast_path);
  return conf;
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
