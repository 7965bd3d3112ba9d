// The smallest network: two nodes that are ready, with a pod each. Taken apart by `auto& [lab, a, b, on_a, on_b] = two_nodes;`
#pragma once

#include "lab/lab.h"

namespace merino::lab {

struct TwoNodes {
  Lab lab;
  Node& a = lab.add_node("a");
  Node& b = lab.add_node("b");
  const Pod& on_a = (lab.wait_ready(), a.add_pod("a1"));
  const Pod& on_b = b.add_pod("b1");
};

}  // namespace merino::lab
