// Leases out of Nodes, and what a node writes into its own. Pure.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "cluster/kube_node.h"
#include "cluster/lease_store.h"

namespace merino {

// What a Node with flannel's annotations means to the others. It never ends by time: a node leaves with its Node.
struct NodeLease {
  std::string created;  // KubeNode::created
  Lease lease;
  std::string reason;              // why it is no lease; empty: the lease is valid
  PerFamily<IpAddress> overwrite;  // public-ip-overwrite and public-ipv6-overwrite, if they are addresses
  bool operator==(const NodeLease&) const = default;
};

using NodeLeases = std::map<std::string, NodeLease>;  // by the Node's name

// nullopt: the Node does not say kube-subnet-manager "true", and is nobody's business.
std::optional<NodeLease> read_node_lease(const KubeNode& node, const AnnotationNames& names);

// A Node's name as Lease::node_name has it.
std::string shown_name(const std::string& node);

// What the annotations say of the node; errors name the annotation.
Result<LeaseAttributes> read_attributes(const KubeNode& node, const AnnotationNames& names);

// The node's podCIDRs, one of each family at most. unavailable while it has none; decode for one that is no prefix.
Result<Subnets> read_pod_cidrs(const KubeNode& node);

// The leases that count. What lies outside of `networks` is rejected; subnets of a family without one are left out. Of nodes whose podCIDRs
// overlap, the one that was created first counts, of two with the same second the one whose name comes first: every node sees the same, and
// a newcomer takes nothing away from a node that is there. Leases bear their Node's name, rejected are named by it.
LeaseSet make_lease_set(const NodeLeases& nodes, const Subnets& networks);

// What is to be written as public-ip and public-ipv6: the overwrite if the node has it, else `attributes`' own. An overwrite that is no
// unicast address of its family is an error.
Result<PerFamily<IpAddress>> published_ip(const KubeNode& node, const AnnotationNames& names, const LeaseAttributes& attributes);

// The addresses of this node's own lease, as the agent that asked for `wanted` must see them: `wanted` if the Node says what follows from
// that, with public-ip-overwrite or without; else something else, so that the lease is renewed.
PerFamily<IpAddress> own_addresses(const NodeLease& node, const PerFamily<IpAddress>& wanted);

// The annotations that count before the node has an uplink; errors name the annotation and the remedy.
Result<NodeHints> read_hints(const KubeNode& node, const AnnotationNames& names);

// The strategic merge patch that makes the Node's annotations say `attributes`, with `public_ip` as its addresses: the members that
// differ, in alphabetical order. Annotations of a family that the node does not have are left as they are. Empty if none differs.
std::string annotations_patch(const KubeNode& node, const AnnotationNames& names, const LeaseAttributes& attributes,
                              const PerFamily<IpAddress>& public_ip);

// The patch that sets NetworkUnavailable to False, as flannel does. Empty if the Node has it so already.
std::string network_available_patch(const KubeNode& node, std::chrono::system_clock::time_point now);

}  // namespace merino
