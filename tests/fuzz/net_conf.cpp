#include "cluster/net_conf.h"

#include "property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merino;
  using fuzz::require;
  const auto conf = parse_net_conf(std::string(data, data + size), "net-conf.json");
  if (!conf) {
    fuzz::require_good(conf.error());
    return 0;
  }
  require(conf->network == conf->network.masked() && conf->network.family() == Family::v4, "the network is an IPv4 network");
  require(conf->subnet_len >= conf->network.length() + 2 && conf->subnet_len <= 30, "four subnets fit, each of four addresses");
  require(conf->network.contains(conf->subnet_min) && conf->network.contains(conf->subnet_max), "the bounds lie in the network");
  require(conf->subnet_min <= conf->subnet_max, "at least one subnet can be leased");
  for (const IpAddress& bound : {conf->subnet_min, conf->subnet_max}) {
    const Prefix subnet(bound, conf->subnet_len);
    require(subnet == subnet.masked(), "the bounds are subnets");
  }
  require(conf->vxlan.vni < 1U << 24U && conf->vxlan.port != 0, "the tunnel can be made");
  require(!conf->vxlan.mtu || (*conf->vxlan.mtu >= 576 && *conf->vxlan.mtu <= 65535), "the MTU is sane");
  return 0;
}
