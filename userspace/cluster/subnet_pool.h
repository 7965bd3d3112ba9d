// The keys of net-conf.json that say which networks there are and how they are cut into node subnets. Internal to cluster/.
#pragma once

#include "base/result.h"
#include "cluster/json_object.h"
#include "cluster/net_conf.h"

namespace merino {

// One pool for each family that EnableIPv4 and EnableIPv6 enable, by flannel's rules and defaults. Errors as parse_net_conf()'s.
Result<PerFamily<SubnetPool>> read_pools(const JsonObject& object);

}  // namespace merino
