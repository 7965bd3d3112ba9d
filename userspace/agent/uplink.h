// Which interface carries the traffic between nodes: flannel's choice, made over a snapshot of the host's network.
//
// Order: each --iface (address or name), each --iface-regex (all addresses first, then names), --iface-can-reach (the kernel's route),
// else --public-ip's interface if that is given, else the default route's. What does not fit is passed over; the error of the last resort
// names everything that was looked for and what there is. Of an interface's addresses the first is taken, global before link-local,
// permanent before dynamic, none that is temporary or deprecated while there is another.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "netlink/netlink.h"

namespace merino {

struct NetworkSnapshot {
  std::vector<Link> links;
  std::vector<LinkAddress> addresses;
  std::vector<Route> routes;  // IPv4, table main
};

struct UplinkRequest {
  std::vector<std::string> ifaces;
  std::vector<std::string> iface_regexes;
  std::optional<IpAddress> iface_can_reach;
  std::optional<IpAddress> public_ip;
};

struct Uplink {
  unsigned index = 0;
  std::string name;
  int mtu = 0;
  IpAddress address;    // of the interface: the tunnel's endpoint here
  IpAddress public_ip;  // what the lease says: --public-ip, else `address`

  bool operator==(const Uplink&) const = default;
};

using RouteLookup = std::function<Result<Route>(const IpAddress&)>;

// invalid or not_found, with the remedy.
Result<Uplink> choose_uplink(const UplinkRequest& request, const NetworkSnapshot& snapshot, const RouteLookup& route_to);

// The same uplink as it is now (index, MTU), as long as an interface of its name still has its address; not_found otherwise.
Result<Uplink> refresh_uplink(const Uplink& uplink, const NetworkSnapshot& snapshot);

}  // namespace merino
