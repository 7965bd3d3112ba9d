// What `merinoctl check` sees inside of a pod of this node: what something in there can take away and nobody on the host puts back.
#pragma once

#include <optional>
#include <string>

#include "ctl/status.h"
#include "ctl/views.h"

namespace merino::ctl {

struct InsideOfPod {
  enum class Interface { up, down, gone };

  Interface interface = Interface::up;
  bool has_address = true;
  std::string no_route;  // why packets to another node's pods do not leave it; empty if they do
};

// Of a pod with a record. nullopt: it cannot be entered from here (in a container, or it is just going). `elsewhere` is an address of the
// pod network on another node.
std::optional<InsideOfPod> look_inside(const PodRow& row, const IpAddress& elsewhere);

// nullopt: nothing is wrong.
std::optional<Finding> diagnose(const PodRow& row, const InsideOfPod& inside);

}  // namespace merino::ctl
