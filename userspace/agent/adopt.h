// Pods that another plugin attached (flannel's, to its bridge), taken into the datapath: a program on the host side of their veth sees
// their packets before the bridge does.
//
// Only what is proven: the runtime's cached result names the pod's interface and address, host-local holds that address for that container,
// and the kernel's truth agrees (the veth's other end has that MAC and address, and the host reaches it by this veth or its bridge). Every
// other pod stays on the kernel's path, which works too.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/per_family.h"
#include "base/result.h"
#include "datapath/pod_table.h"
#include "netlink/netlink.h"

namespace merino {

// What a runtime keeps of an ADD (libcni's cache).
struct CachedResult {
  std::string network;
  std::string container_id;
  std::string ifname;
  std::vector<std::string> host_ifnames;  // the result's interfaces of the host
  MacAddress pod_mac;
  std::vector<Prefix> addresses;
  bool shaped = false;  // a bandwidth was asked for
};

// decode: no JSON of that kind; invalid: a result that says nothing of an interface in a container with addresses.
Result<CachedResult> parse_cached_result(const std::string& text);

// Everything that the runtimes of this host keep below `cni_dir` (/var/lib/cni); a file that cannot be read is passed over.
Result<std::vector<CachedResult>> read_cached_results(const std::string& cni_dir);

// A veth on which a pod may be, as the kernel has it.
struct AdoptionSite {
  Link host_side;
  std::optional<Link> bridge;  // whose port it is
  VethEnd pod_side;
};

// The pod as an attachment without gateway (the host goes on answering who asks for that), or why it cannot be one: all of its addresses
// must be proven, in this node's subnet of their family if there is one. `holders` are the containers that host-local has for the
// addresses, empty if there is none.
Result<Attachment> prove_pod(const AdoptionSite& site, const CachedResult& cached, const PerFamily<Prefix>& subnets,
                             const std::vector<std::string>& holders);

// The container that holds the address in host-local's directory; empty: nobody.
std::string address_holder(const std::string& cni_dir, const std::string& network, const IpAddress& address);

}  // namespace merino
