#include "cluster/net_conf.h"

#include "property.h"

namespace {

void require_good(const merino::SubnetPool& pool, merino::Family family) {
  using merino::fuzz::require;
  require(pool.network == pool.network.masked() && pool.network.family() == family, "the network is one of its family");
  require(pool.subnet_len >= pool.network.length() + 2, "four subnets fit");
  require(pool.subnet_len <= merino::address_bits(family) - 2, "a subnet has four addresses");
  require(pool.network.contains(pool.subnet_min) && pool.network.contains(pool.subnet_max), "the bounds lie in the network");
  require(pool.subnet_min <= pool.subnet_max, "at least one subnet can be leased");
  for (const merino::IpAddress& bound : {pool.subnet_min, pool.subnet_max}) {
    const merino::Prefix subnet(bound, pool.subnet_len);
    require(subnet == subnet.masked(), "the bounds are subnets");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merino;
  using fuzz::require;
  const auto conf = parse_net_conf(std::string(data, data + size), "net-conf.json");
  if (!conf) {
    fuzz::require_good(conf.error());
    return 0;
  }
  require(!conf->pools.empty(), "there is a network");
  for (const Family family : kFamilies) {
    if (conf->pools[family]) require_good(*conf->pools[family], family);
  }
  require(conf->backend != BackendType::udp || !conf->pools.v6, "udp carries IPv4 only");
  require(conf->udp.port != 0, "udp has a port");
  require(conf->vxlan.vni < 1U << 24U && conf->vxlan.port != 0, "the tunnel can be made");
  require(!conf->vxlan.mtu || (*conf->vxlan.mtu >= 576 && *conf->vxlan.mtu <= 65535), "the MTU is sane");
  return 0;
}
