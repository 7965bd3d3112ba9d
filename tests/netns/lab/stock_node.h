// A node as flannel 0.20 makes it: the kernel's VXLAN device, an FDB entry, an ARP entry and a route for each peer, and a bridge with pods.
#pragma once

#include <string>

#include "lab/machine.h"

namespace merino::lab {

struct StockPeer {
  std::string subnet;  // "10.244.98.0", a /24
  std::string public_ip;
  std::string vtep_mac;
};

class StockNode : public Machine {
 public:
  StockNode(const std::string& name, std::string subnet);

  // Device, bridge, rules. `uplink_mtu` is that of eth0.
  void set_up(int uplink_mtu);
  // Writes flannel's lease into the directory.
  void announce(const std::string& lease_dir) const;
  void add_peer(const StockPeer& peer) const;
  [[nodiscard]] StockPeer as_peer() const { return {subnet_, address(), vtep_mac_}; }
  [[nodiscard]] const std::string& subnet() const { return subnet_; }
  // The rendered configuration of flannel's CNI plugin: bridge and host-local.
  [[nodiscard]] std::string conflist() const override;
  void explain() const override;

 private:
  std::string subnet_;
  std::string vtep_mac_;
  int mtu_ = 1450;
};

}  // namespace merino::lab
