#include "bpf/topology.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <net/if.h>

#include <chrono>
#include <stdexcept>
#include <thread>

#include "base/address.h"
#include "datapath/convert.h"

namespace merino::test {

Topology::Topology() {
  node_.sysctl("ipv4.ip_forward", "1");
  node_.ip(fmt::format(
      "link set lo up\n"
      "link add name vetha address {} type veth peer name eth0 address {} netns {}\n"
      "link add name vethb address {} type veth peer name eth0 address {} netns {}\n"
      "link add name uplink address {} type veth peer name wire address {} netns {}\n"
      "link add name merino0 address {} mtu {} type vxlan external dstport {} nolearning\n"
      "link set vetha up\n"
      "link set vethb up\n"
      "link set uplink up\n"
      "link set merino0 arp off up\n"
      "addr add {}/24 dev uplink\n"
      "addr add {}/24 dev uplink\n"
      "addr add 10.244.1.0/32 dev merino0\n"
      "route add {} dev merino0\n"
      "neigh add {} lladdr {} dev uplink nud permanent\n"
      "neigh add {} lladdr {} dev uplink nud permanent\n"
      "route add {}/32 dev vetha\n"
      "neigh add {} lladdr {} dev vetha nud permanent\n"
      "route add {}/32 dev vethb\n"
      "neigh add {} lladdr {} dev vethb nud permanent",
      kHostAMac, kPodAMac, pod_a_.path(), kHostBMac, kPodBMac, pod_b_.path(), kUplinkMac, kWireMac, wire_.path(), kVtepMac, kPodMtu,
      kTunnelPort, kNode, kNodeOther, kNetwork, kPeer2, kWireMac, kPeer3, kWireMac, kPodA, kPodA, kPodAMac, kPodB, kPodB, kPodBMac));
  pod_a_.ip("link set eth0 up");
  pod_b_.ip("link set eth0 up");
  wire_.ip("link set wire up");
  node_.enter();
}

Topology::~Topology() { before_.enter(); }

uint32_t Topology::ifindex(const std::string& name) {
  const uint32_t index = ::if_nametoindex(name.c_str());
  if (index == 0) throw std::runtime_error(fmt::format("no interface {} in the test's node", name));
  return index;
}

merino_config Topology::config() const {
  merino_config config{};
  config.v4.underlay = to_abi(IpAddress::parse(kNode).value());
  config.v4.network = to_abi(Prefix::parse(kNetwork).value().address());
  config.v4.network_len = static_cast<uint32_t>(Prefix::parse(kNetwork).value().mapped_length());
  config.uplink_ifindex = ifindex("uplink");
  config.device_ifindex = ifindex("merino0");
  config.vni = kVni;
  config.pod_mtu = kPodMtu;
  config.tunnel_port = htons(kTunnelPort);
  config.tunnel = MERINO_PEER_VXLAN;
  config.device_port = config.tunnel_port;
  to_abi(MacAddress::parse(kVtepMac).value(), config.v4.vtep_mac);
  config.v6.underlay = to_abi(IpAddress::parse(kNode6).value());
  config.v6.network = to_abi(Prefix::parse(kNetwork6).value().address());
  config.v6.network_len = static_cast<uint32_t>(Prefix::parse(kNetwork6).value().mapped_length());
  to_abi(MacAddress::parse(kVtepMac6).value(), config.v6.vtep_mac);
  config.fast_path = 1;
  return config;
}

merino_config Topology::udp_config() const {
  merino_config udp = config();
  udp.tunnel = MERINO_PEER_UDP;
  udp.tunnel_port = htons(kUdpPort);
  return udp;
}

void Topology::enable_v6() const {
  for (const char* device : {"uplink", "vetha", "vethb", "merino0"}) node_.sysctl(fmt::format("ipv6.conf.{}.disable_ipv6", device), "0");
  node_.sysctl("ipv6.conf.all.forwarding", "1");
  node_.ip(
      fmt::format("addr add {}/64 dev uplink nodad\n"
                  "route add {} dev merino0\n"
                  "neigh add {} lladdr {} dev uplink nud permanent\n"
                  "route add {}/128 dev vetha\n"
                  "neigh add {} lladdr {} dev vetha nud permanent",
                  kNode6, kNetwork6, kPeer2V6, kWireMac, kPodA6, kPodA6, kPodAMac));
  // The kernel takes the address into use a moment later.
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (node_.run("ip -6 route show table local").find(fmt::format("local {} ", kNode6)) == std::string::npos) {
    if (std::chrono::steady_clock::now() > deadline) throw std::runtime_error("the node does not get its IPv6 address");
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace merino::test
