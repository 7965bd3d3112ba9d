// What the agent keeps right on its node. Each step compares what should be with what is read back and applies the difference; true means
// that something had to be changed. Every change is one line in the log.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "agent/forward.h"
#include "agent/masquerade.h"
#include "agent/node.h"
#include "agent/peer_selector.h"
#include "base/clocks.h"
#include "base/result.h"
#include "datapath/pod_table.h"
#include "netlink/netlink.h"

namespace merino {

// When the own lease was renewed last, and its end as it stood in the store then.
struct Renewal {
  std::chrono::nanoseconds at;  // of boot_time()
  std::chrono::system_clock::time_point end;
};

// What the steps share: the node's knowledge, which they keep up to date, and the ways to the outside.
struct Site {
  Node& node;
  LeaseStore& store;
  Netlink& netlink;
  Masquerade masquerade{};
  PeerSelector peer_selector{};
  PeerTable peer_table{};
  bool peers_awaited = false;                        // since the programs were loaded, keep_peers() has not come to its end
  std::vector<RejectedLease> ignored_leases{};       // by store and selector, as of the last keep_peers()
  std::optional<std::vector<Attachment>> adopted{};  // pods that another plugin attached; nullopt as long as nobody has looked
  int device_takeovers = 0;                          // how often flanneld's device, and its rules, had to make way
  int rules_takeovers = 0;
  std::map<IpAddress, std::chrono::steady_clock::time_point> probed{};  // neighbours that the kernel was asked to find, and when
  bool modprobe_tried = false;
  bool followed_uplink = false;
  std::vector<OperatorNotice> host_notices{};  // as of the last follow_uplink()
  std::string uplink_outage{};                 // what keeps the uplink from carrying packets, likewise; empty: nothing
  std::string wire_xdp_obstacle{};             // why --wire-xdp=auto attached nothing, as it was logged last
  bool announced = false;                      // the store has been told that the network is up
  Renewal renewal{boot_time(), node.lease.expires};
  LeaseAttributes written{node.lease.attributes};     // what this node said of itself last
  std::vector<std::chrono::nanoseconds> put_right{};  // when the own lease was, because somebody else had written it; of boot_time()
  LeaseSet followed{};                                // as of the last follow_leases()
};

// The snapshot that choose_uplink() wants.
Result<NetworkSnapshot> take_snapshot(Netlink& netlink);

// The uplink by its options, at the start.
Result<Uplink> find_uplink(const Node& node, Netlink& netlink);

// steps_node.cpp
Result<bool> follow_uplink(Site& site);    // its index and MTU; another uplink only when this one's name or address is gone
Result<bool> keep_lease(Site& site);       // all leases read; the own one renewed when it is due, changed or gone
Result<bool> follow_leases(Site& site);    // whether any lease is another than in the last pass
Result<bool> keep_subnet_env(Site& site);  // what the CNI plugin reads
Result<bool> announce(Site& site);         // once: the store learns that the network is up
// steps_network.cpp
Result<bool> keep_device(Site& site);           // merino0 and its two addresses
Result<bool> keep_sysctls(Site& site);          // what forwarding needs
Result<bool> keep_route(Site& site);            // the network's one route
Result<bool> keep_endpoint_routes(Site& site);  // IPv6 tunnels: their own copy of the uplink's routes
Result<bool> keep_rules(Site& site);            // masquerade
Result<bool> keep_forward(Site& site);          // accept rules where FORWARD drops
// takeover.cpp
Result<bool> take_over_device(Site& site);  // flanneld's device makes way for merino0
Result<bool> take_over_rules(Site& site);   // flanneld's rules go, when merino's stand
// steps_adopt.cpp
Result<bool> keep_adopted(Site& site);  // map entry and program of each pod that another plugin attached, as far as it is proven
// steps_segment.cpp
Result<bool> keep_segment(Site& site);      // which nodes are on the uplink's own segment
Result<bool> keep_neighbours(Site& site);   // and their MAC addresses
Result<bool> take_over_routes(Site& site);  // flanneld's to peers without a tunnel go, when merino's stands
// steps_datapath.cpp
Result<bool> keep_programs(Site& site);  // loaded with this node's configuration, and pinned
Result<bool> keep_peers(Site& site);     // the maps of peers
Result<bool> keep_links(Site& site);     // programs attached to uplink and merino0
Result<bool> keep_wire_xdp(Site& site);  // the program before from_wire, if it is wanted
Result<bool> keep_pods(Site& site);      // map entry, program, route and neighbour of each attached pod

// All of them, in their order.
void add_steps(Reconciler& reconciler, Site& site);

}  // namespace merino
