#include "lab/stock_node.h"

#include <fmt/core.h>

namespace merino::lab {

StockNode::StockNode(const std::string& name, std::string subnet) : Machine(name), subnet_(std::move(subnet)) {}

void StockNode::set_up(int uplink_mtu) {
  flanneld_.emplace(*this, subnet_, uplink_mtu);
  flanneld_->start();
}

void StockNode::make_device_anew() {
  must("ip link del flannel.1");
  flanneld_->start();
}

void StockNode::explain() const {
  const Output output =
      run("ip -br addr; ip route; ip neigh show dev flannel.1; bridge fdb show dev flannel.1; nstat -az 2>/dev/null | grep -i -e InHdr -e "
          "InAddr -e NoRoute");
  fmt::print(stderr, "--- {} (stock)\n{}{}", name(), output.out, output.err);
}

}  // namespace merino::lab
