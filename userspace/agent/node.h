// What this node is and knows: configuration, uplink, lease, the other nodes' leases; and what follows from them. Pure, no system calls.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "abi.h"
#include "agent/options.h"
#include "agent/reconciler.h"
#include "agent/uplink.h"
#include "base/agent_status.h"
#include "base/result.h"
#include "base/subnet_env.h"
#include "cluster/lease_store.h"
#include "cluster/net_conf.h"
#include "datapath/peer_table.h"

namespace merino {

inline constexpr const char* kDeviceName = "merino0";

// IPv6 tunnels only: table of the tunnel's own routes, and priority of the rule that leads to it.
inline constexpr uint32_t kEndpointTable = 8472;
inline constexpr uint32_t kEndpointRule = 8472;

// What is known of another node's address, where peers without a tunnel are possible.
struct SegmentHost {
  std::string obstacle;  // why it is not on the uplink's segment; empty if it is
  MacAddress mac;        // of the neighbour; none as long as it is not known
  bool operator==(const SegmentHost&) const = default;
};

struct Node {
  AgentOptions options;
  NetConf conf;
  Uplink uplink;
  PerFamily<MacAddress> vtep_mac;  // vxlan: of each family that is used; they differ where flanneld's two devices had them before
  Lease lease;
  LeaseSet leases;                             // of all nodes, the own one among them
  unsigned device_index = 0;                   // merino0; 0 as long as there is none
  std::optional<Prefix> on_link;               // around the uplink's IPv4 address: who is in it is its neighbour
  std::map<IpAddress, SegmentHost> segment{};  // by public address, of the leases that are candidates for DIRECT peers
  bool conntrack = false;                      // the kernel can say whether a flow is translated
};

// The families of the pod network.
std::vector<Family> families(const Node& node);

// MTU of merino0 and of the pods: the uplink's less the most that the backend puts in front of a packet of any family.
int tunnel_overhead(const Node& node);
int tunnel_mtu(const Node& node);

// UDP port of the tunnel; 0: the backend has none.
uint16_t tunnel_port(const Node& node);

// The address of merino0 that the node's own traffic into the network has (flannel's: <subnet>.0), and the pods' gateway (<subnet>.1).
IpAddress device_address(const Prefix& subnet);
IpAddress gateway_address(const Prefix& subnet);

// Everything that the node says of itself in its lease.
LeaseAttributes lease_attributes(const Node& node);

// Why the fast path is off; empty if it is on.
std::string fast_path_obstacle(const Node& node);

// The programs' configuration, but for program_id and flow_seed.
merino_config programs_config(const Node& node);

// What the configuration and the uplink do not allow together.
Status check_backend(const Node& node);

// Addresses of other nodes for which `segment` is to be filled, of both families.
std::vector<IpAddress> direct_candidates(const Node& node);

// host-gw: the subnet of a node that is not on the uplink's segment, with the address by which it would be the next hop.
struct OffSegment {
  Prefix subnet;
  IpAddress address;
};

// What a lease means to this node: the peers that it makes, or why it makes none (of one family).
struct LeaseVerdict {
  std::vector<Peer> peers;
  std::string reason;
  std::vector<OffSegment> off_segment;
};
LeaseVerdict judge_lease(const Node& node, const Lease& lease);

SubnetEnv make_subnet_env(const Node& node);

// `steps` decide readiness: each must have succeeded, and not be failed now, unless its name is in kStepsAside.
AgentStatus make_status(const Node& node, const std::vector<StepState>& steps, const std::vector<RejectedLease>& rejected,
                        const std::vector<OperatorNotice>& of_host = {});

// Steps that do not keep a node from being ready: one pod that cannot be mended is that pod's matter; and what flanneld makes again beside
// merinod does no harm to what merinod has (a device that could not be taken over does, and shows as the route's). Without wire_xdp,
// from_wire drops what that would.
inline constexpr const char* kStepsAside[] = {"pods", "adoption", "takeover", "flannel-rules", "wire-xdp"};

}  // namespace merino
