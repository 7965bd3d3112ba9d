// Plays flanneld 0.20 on a machine. For each address family of its network: the devices of its backend, what the kernel must know of each
// peer, its rules, subnet.env, and its lease. As the real one it leaves everything in place when it ends.
//
//   vxlan           flannel.1 and flannel-v6.1; an FDB entry, a permanent neighbour and a route for each peer
//   direct_routing  the same, but only a route by the uplink for peers of the same segment
//   host_gw         a route for each peer
//   udp             a process that moves packets between the device flannel0 and a UDP socket (flannel_udp/main.cpp)
#pragma once

#include <string>

#include "lab/machine.h"
#include "lab/pod_network.h"

namespace merino::lab {

enum class FlannelRules { iptables_nft, iptables_legacy, nftables };  // the last two: of IPv4 only

struct FlannelOptions {
  PodNetwork network{};
  FlannelRules rules = FlannelRules::iptables_nft;
};

class Flanneld {
 public:
  // `number` of its subnets: see node_subnet(). A VTEP has the MAC that the device has, if there is one, else a new one.
  Flanneld(const Machine& machine, int number, int uplink_mtu, const FlannelOptions& options = {});

  // Devices, rules, subnet.env. Once, or when they are gone.
  void start();
  // Writes flannel's lease into the directory.
  void announce(const std::string& lease_dir) const;
  // Makes a peer of every other node's lease in the directory that says this backend.
  void follow_leases(const std::string& lease_dir) const;
  [[nodiscard]] std::string subnet(Family family = Family::v4) const;  // "10.244.200.0"
  [[nodiscard]] const std::string& vtep_mac(Family family = Family::v4) const { return vtep_mac_.of(family); }
  // What it tells pods. Of vxlan that is 20 bytes too much for IPv6.
  [[nodiscard]] int mtu() const;
  // The rendered configuration of flannel's CNI plugin: bridge and host-local, and portmap.
  [[nodiscard]] std::string rendered_conflist() const;

 private:
  struct Peer;

  void make_vxlan(Family family) const;
  void make_tun();
  void write_rules(Family family) const;
  void write_subnet_env() const;
  void add_peer(Family family, const Peer& peer) const;
  [[nodiscard]] std::string lease_value() const;
  [[nodiscard]] bool tunnels() const {
    return options_.network.backend == Backend::vxlan || options_.network.backend == Backend::direct_routing;
  }
  [[nodiscard]] std::vector<Family> families() const { return each(options_.network.families); }

  const Machine& machine_;
  int number_;
  int uplink_mtu_;
  FlannelOptions options_;
  PerFamilyText vtep_mac_;
  Process proxy_;
};

// The conflist of flannel's manifest, name "cbr0".
std::string flannel_conflist();

}  // namespace merino::lab
