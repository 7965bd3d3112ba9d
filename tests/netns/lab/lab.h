// The lab: machines on an underlay, a directory of leases that the nodes share, and a router between two segments.
//
//   machines ── eth0 ── veth ── lan0 (192.168.88.0/24, fd00:88::/64) ┐
//                                                                    ├ this program's own network namespace routes between them
//   machines ── eth0 ── veth ── lan1 (192.168.89.0/24, fd00:89::/64) ┘
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "lab/machine.h"
#include "lab/node.h"
#include "lab/stock_node.h"

namespace merino::lab {

struct Underlay {
  int mtu = 1500;
  std::string offloads;  // arguments of ethtool -K for every machine's eth0: "tso off gso off gro on"
};

enum class Segment { lan0, lan1 };

class Lab {
 public:
  explicit Lab(const Underlay& underlay = {});
  Lab(const Lab&) = delete;
  Lab& operator=(const Lab&) = delete;
  ~Lab();

  // A node with merinod, started; see wait_ready().
  Node& add_node(const std::string& name, const NodeOptions& options = {}, Segment segment = Segment::lan0);
  // A node as flannel makes it from kernel parts, with pods by the bridge plugin.
  StockNode& add_stock_node(const std::string& name, const FlannelOptions& options = {}, Segment segment = Segment::lan0);
  // A plain host, which knows nothing of the pod network.
  Machine& add_host(const std::string& name, Segment segment = Segment::lan0);

  // Until every merino node whose agent was started is ready and knows every other node, and the stock nodes know every lease.
  void wait_ready();

  // The underlay itself: bridges and routes.
  [[nodiscard]] const Place& underlay() const { return *here_; }
  [[nodiscard]] const std::string& lease_dir() const { return lease_dir_; }

 private:
  void connect(Machine& machine, Segment segment);

  Underlay options_;
  std::string lease_dir_;
  std::unique_ptr<Place> here_;
  int machine_count_ = 0;
  std::vector<std::string> ports_;
  std::vector<std::unique_ptr<Machine>> hosts_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<StockNode>> stock_nodes_;
};

}  // namespace merino::lab
