// A node that moves from flannel to merino and back, beside a merino node and a stock one; and the traffic that must live through it.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lab/flanneld.h"
#include "lab/lab.h"
#include "lab/traffic.h"

namespace merino::lab {

// A 1 ms ping and a paced TCP stream between two pods.
class LiveTraffic {
 public:
  LiveTraffic(const Pod& from, const Pod& to);
  // Ends it, prints what was lost, and fails the test if the connection did not stay whole or more than `most_lost` pings were lost.
  // Returns their number.
  uint64_t expect_alive(const std::string& event, uint64_t most_lost);

 private:
  std::string name_;
  TrafficServer server_;
  Process ping_;
  Process tcp_;
};

class Moving : public testing::Test {
 protected:
  static constexpr int kNumber = 150;  // 10.244.150.0/24: no other node takes one beyond the first 100

  explicit Moving(const FlannelOptions& options = {});

  // The file that the runtime calls for type "flannel" on the node that moves.
  void install_flannel_plugin() const;
  void install_merino_plugin() const;
  Pod& add_pod(const std::string& name) { return node_.add_pod(name, {.conflist = flannel_conflist()}); }
  // flanneld with its peers, as after its start.
  void start_flanneld();
  // merinod until it is ready.
  void start_merinod();
  void stop_merinod();
  [[nodiscard]] Output cleanup() const;
  // ICMP, UDP, TCP and fragments between each two of them, and from the node to each.
  void expect_full_matrix(const std::vector<const Pod*>& pods) const;
  [[nodiscard]] size_t pods_in_map() const;

  Lab lab_;
  Node& node_;
  Node& peer_;
  StockNode& stock_;
  Flanneld flanneld_;
};

}  // namespace merino::lab
