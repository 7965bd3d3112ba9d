// Loads and pins the BPF programs on a machine without an agent: all that the CNI plugin needs of one.
#include <fmt/core.h>

#include "datapath/convert.h"
#include "datapath/programs.h"

int main() {
  using namespace merino;
  merino_config config{};
  config.v4.underlay = to_abi(*IpAddress::parse("192.168.88.11"));
  config.v4.network = to_abi(*IpAddress::parse("10.244.0.0"));
  config.v4.network_len = 112;
  config.uplink_ifindex = 1;
  config.device_ifindex = 1;
  config.vni = 1;
  config.pod_mtu = 1450;
  config.tunnel_port = __builtin_bswap16(8472);
  config.tunnel = MERINO_PEER_VXLAN;
  config.fast_path = 1;
  if (const Status loaded = load_programs(config); !loaded) {
    fmt::print(stderr, "{}\n", loaded.error().message());
    return 1;
  }
  return 0;
}
