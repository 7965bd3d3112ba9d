#include "lab/stock_node.h"

#include <fmt/core.h>

namespace merino::lab {

void StockNode::set_up(int uplink_mtu, const FlannelOptions& options) {
  flanneld_.emplace(*this, number_, uplink_mtu, options);
  flanneld_->start();
}

void StockNode::make_device_anew() {
  must("ip link del flannel.1");
  flanneld_->start();
}

void StockNode::explain() const {
  const Output output = run(
      "ip -br addr; ip route; ip -6 route; ip neigh; bridge fdb show | grep flannel; nstat -az 2>/dev/null | grep -i -e InHdr -e InAddr "
      "-e NoRoute");
  fmt::print(stderr, "--- {} (stock)\n{}{}", name(), output.out, output.err);
}

}  // namespace merino::lab
