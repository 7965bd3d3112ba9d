// Which subnet a node gets: pure functions of the configuration and the leases, the same for every lease store.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "base/address.h"
#include "base/result.h"
#include "cluster/lease.h"
#include "cluster/net_conf.h"

namespace merino {

// How many free subnets a node chooses among: enough that nodes which start at once seldom choose the same.
inline constexpr size_t kFreeSubnetChoices = 100;

// A number below its argument, at random.
using Pick = std::function<size_t(size_t)>;

// May the node use `subnet`: of the configured length, from subnet_min to subnet_max?
bool fits(const NetConf& conf, const Prefix& subnet);

struct SubnetChoice {
  Prefix subnet;
  bool held = false;  // the node's own lease already, to be renewed; else to be created
};

// flannel's order: a fitting lease of `public_ip` (the previous subnet's before others), else `previous` if it fits and is free, else
// one of the first kFreeSubnetChoices free subnets from subnet_min. Free is what neither overlaps an entry of `leases` (all unexpired) nor
// stands in `blocked` (subnets that could not be created). exhausted when none is.
Result<SubnetChoice> choose_subnet(const NetConf& conf, const std::vector<Lease>& leases, const std::vector<Prefix>& blocked,
                                   const IpAddress& public_ip, const std::optional<Prefix>& previous, const Pick& pick);

// The leases of `public_ip` that do not fit `conf` any more (it changed) and are to be given back; reservations stay.
std::vector<Prefix> unfit_leases(const NetConf& conf, const std::vector<Lease>& leases, const IpAddress& public_ip);

}  // namespace merino
