// Names of nodes beside their addresses, where the leases bear them (a store of Kubernetes).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/lease_report.h"

namespace merino::ctl {

using NodeNames = std::map<IpAddress, std::string>;

// By the nodes' own addresses. A lease that is passed over names only an address that no other lease names.
NodeNames node_names(const std::vector<ReportedLease>& leases);

// By the report that merinod writes. It is no error if there is none: then there are no names.
NodeNames read_node_names();

// Empty if it is not known.
std::string node_name(const IpAddress& address, const NodeNames& names);

// "192.168.88.12 (worker-2)", or the address alone.
std::string node_title(const IpAddress& address, const NodeNames& names);

}  // namespace merino::ctl
