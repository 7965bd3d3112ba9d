// A node as flannel makes it: flanneld's part (lab/flanneld.h), and a bridge with pods.
#pragma once

#include <optional>
#include <string>

#include "lab/flanneld.h"
#include "lab/machine.h"

namespace merino::lab {

class StockNode : public Machine {
 public:
  StockNode(const std::string& name, std::string subnet);

  // Device, rules, subnet.env. `uplink_mtu` is that of eth0.
  void set_up(int uplink_mtu);
  // As after its deletion and a restart of flanneld, with the MAC that it keeps; without peers.
  void make_device_anew();
  // Writes flannel's lease into the directory.
  void announce(const std::string& lease_dir) const { flanneld_->announce(lease_dir); }
  void add_peer(const StockPeer& peer) const { flanneld_->add_peer(peer); }
  [[nodiscard]] StockPeer as_peer() const { return flanneld_->as_peer(); }
  [[nodiscard]] const std::string& subnet() const { return subnet_; }
  // The rendered configuration of flannel's CNI plugin: bridge and host-local.
  [[nodiscard]] std::string conflist() const override { return flanneld_->rendered_conflist(); }
  void explain() const override;

 private:
  std::string subnet_;
  std::optional<Flanneld> flanneld_;
};

}  // namespace merino::lab
