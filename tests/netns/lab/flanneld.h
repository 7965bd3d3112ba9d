// Plays flanneld 0.20 on a machine: the kernel's VXLAN device, an FDB entry, an ARP entry and a route for each peer, its rules, subnet.env,
// and its lease. As the real one it leaves everything in place when it ends.
#pragma once

#include <string>

#include "lab/machine.h"

namespace merino::lab {

struct StockPeer {
  std::string subnet;  // "10.244.98.0", a /24
  std::string public_ip;
  std::string vtep_mac;
};

enum class FlannelRules { iptables_nft, iptables_legacy, nftables };

class Flanneld {
 public:
  // `subnet`: "10.244.98.0", a /24 of 10.244.0.0/16. The VTEP has the MAC that the device has, if there is one, else a new one.
  Flanneld(const Machine& machine, std::string subnet, int uplink_mtu, FlannelRules rules = FlannelRules::iptables_nft);

  // Device, rules, subnet.env. Once, or when they are gone.
  void start();
  // Writes flannel's lease into the directory.
  void announce(const std::string& lease_dir) const;
  void add_peer(const StockPeer& peer) const;
  [[nodiscard]] StockPeer as_peer() const { return {subnet_, machine_.address(), vtep_mac_}; }
  [[nodiscard]] const std::string& subnet() const { return subnet_; }
  [[nodiscard]] const std::string& vtep_mac() const { return vtep_mac_; }
  // The rendered configuration of flannel's CNI plugin: bridge and host-local, and portmap.
  [[nodiscard]] std::string rendered_conflist() const;

 private:
  void write_rules() const;

  const Machine& machine_;
  std::string subnet_;
  std::string vtep_mac_;
  int mtu_;
  FlannelRules rules_;
};

// The conflist of flannel's manifest, name "cbr0".
std::string flannel_conflist();

}  // namespace merino::lab
