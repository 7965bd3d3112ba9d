// The kernel's IPv6 settings of the two ends of a pod's veth. By themselves they would wait a second for each address to be proven unique,
// and believe whoever says that he is their router.
#pragma once

#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace merino::cni {

// Host side, before it is up: a router that believes no other one (CVE-2020-10749). No IPv6 at all if none of the pod's addresses is of it.
Status set_host_ipv6(const std::string& ifname, const std::vector<Prefix>& addresses);

// Pod side, before it is up; called in the pod's namespace. Nothing is changed for a pod without an IPv6 address. Runtimes make namespaces
// in which IPv6 is off: for the interface and for loopback it is turned on.
Status set_pod_ipv6(const std::string& ifname, const std::vector<Prefix>& addresses);

}  // namespace merino::cni
