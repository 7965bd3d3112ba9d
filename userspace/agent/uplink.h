// Which interface carries the traffic between nodes: flannel's choice, made over a snapshot of the host's network.
//
// Order: each --iface (address or name), each --iface-regex (all addresses first, then names), --iface-can-reach (the kernel's route),
// else --public-ip's interface if that is given, else the default route's (with both families, both have to lead there). What does not fit
// is passed over; the error of the last resort names everything that was looked for and what there is. Of an interface's addresses the
// first of each family is taken, global before link-local, permanent before dynamic, none that is temporary or deprecated while there is
// another. IPv6's link-local addresses are none that another node could be told.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/per_family.h"
#include "base/result.h"
#include "netlink/netlink.h"

namespace merino {

struct NetworkSnapshot {
  std::vector<Link> links;
  std::vector<LinkAddress> addresses;
  std::vector<Route> routes;  // of both families, table main
};

struct UplinkRequest {
  std::vector<std::string> ifaces;
  std::vector<std::string> iface_regexes;
  std::optional<IpAddress> iface_can_reach;
  PerFamily<IpAddress> public_ip;
  std::vector<Family> families = {Family::v4};  // of each the uplink must have an address
};

struct Uplink {
  unsigned index = 0;
  std::string name;
  int mtu = 0;
  PerFamily<IpAddress> address;    // of the interface: the tunnel's endpoints here
  PerFamily<IpAddress> public_ip;  // what the lease says: --public-ip, else `address`

  bool operator==(const Uplink&) const = default;
};

using RouteLookup = std::function<Result<Route>(const IpAddress&)>;

// invalid or not_found, with the remedy.
Result<Uplink> choose_uplink(const UplinkRequest& request, const NetworkSnapshot& snapshot, const RouteLookup& route_to);

// The same uplink as it is now (index, MTU), as long as an interface of its name still has its addresses; not_found otherwise.
Result<Uplink> refresh_uplink(const Uplink& uplink, const NetworkSnapshot& snapshot);

// The longest prefix around the uplink's `address` within which everybody is its neighbour, by the routes that lead over it; none if there
// is no such route, or one within it leads elsewhere.
std::optional<Prefix> on_link_prefix(const Uplink& uplink, const IpAddress& address, const std::vector<Route>& routes);

}  // namespace merino
