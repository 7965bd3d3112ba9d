// Which subnet a node gets: pure functions of the configuration and the leases, the same for every lease store.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "cluster/lease_store.h"

namespace merino {

// How many free subnets a node chooses among: enough that nodes which start at once seldom choose the same.
inline constexpr size_t kFreeSubnetChoices = 100;

// How many fresh subnets a node tries for in a row; each that is lost is another node's success.
inline constexpr int kLostRaces = 100;

// A number below its argument, at random.
using Pick = std::function<size_t(size_t)>;

// May a node have `subnet`: of the pool's length, from subnet_min to subnet_max?
bool fits(const SubnetPool& pool, const Prefix& subnet);
// One fitting subnet for each pool, and nothing else?
bool fits(const NetConf& conf, const Subnets& subnets);

struct SubnetChoice {
  Subnets subnets;
  bool held = false;  // the node's own lease already, to be renewed; else to be created
};

// flannel's order: a fitting lease of the node (the previous subnets' before others), else for each family the `previous` subnet if it
// fits and is free, else one of the first kFreeSubnetChoices free subnets from subnet_min. Free is what neither overlaps an entry of
// `leases` (all unexpired) nor stands in `blocked` (keys that could not be created); a lease that the node is to give back is in nobody's
// way. exhausted when none is.
Result<SubnetChoice> choose_subnets(const NetConf& conf, const LeaseList& leases, const std::vector<Subnets>& blocked,
                                    const PerFamily<IpAddress>& public_ip, const Subnets& previous, const Pick& pick);

// The leases of the node that are rejected because they overlap others: it has lost a race, or ended between taking a new lease and giving
// the old one back. They count for nobody and are to be given back; reservations stay.
std::vector<Subnets> passed_over_leases(const LeaseSet& set, const PerFamily<IpAddress>& public_ip);

// The leases of the node that do not fit `conf` any more (it changed) and are to be given back; reservations stay.
std::vector<Subnets> unfit_leases(const NetConf& conf, const LeaseList& leases, const PerFamily<IpAddress>& public_ip);

}  // namespace merino
