// A node as flannel makes it: flanneld's part (lab/flanneld.h), and a bridge with pods.
#pragma once

#include <optional>
#include <string>

#include "lab/flanneld.h"
#include "lab/machine.h"

namespace merino::lab {

class StockNode : public Machine {
 public:
  StockNode(const std::string& name, int number) : Machine(name), number_(number) {}

  // Devices, rules, subnet.env. `uplink_mtu` is that of eth0.
  void set_up(int uplink_mtu, const FlannelOptions& options);
  // As after its deletion and a restart of flanneld, with the MAC that it keeps; without peers. Of vxlan over IPv4.
  void make_device_anew();
  void announce(const std::string& lease_dir) const { flanneld_->announce(lease_dir); }
  void follow_leases(const std::string& lease_dir) const { flanneld_->follow_leases(lease_dir); }
  [[nodiscard]] std::string subnet(Family family = Family::v4) const { return flanneld_->subnet(family); }
  [[nodiscard]] int mtu() const { return flanneld_->mtu(); }
  // The rendered configuration of flannel's CNI plugin: bridge and host-local.
  [[nodiscard]] std::string conflist() const override { return flanneld_->rendered_conflist(); }
  // The bridge plugin would wait for the detection of duplicate addresses.
  [[nodiscard]] std::string before_attach() const override { return "sysctl -qw net.ipv6.conf.default.accept_dad=0"; }
  void explain() const override;

 private:
  int number_;
  std::optional<Flanneld> flanneld_;
};

}  // namespace merino::lab
