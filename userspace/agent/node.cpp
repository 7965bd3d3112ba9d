#include "agent/node.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "agent/version.h"
#include "datapath/convert.h"

namespace merino {

namespace {

// The status file is written and read whole: a flood of rejected leases must not make it large.
constexpr size_t kRejectedListed = 200;

int64_t to_unix(std::chrono::system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::seconds>(time.time_since_epoch()).count();
}

constexpr int kUdpHeader = 8;
constexpr int kVxlanHeaders = 8 + 14;  // VXLAN and the inner Ethernet
constexpr int ip_header(Family family) { return family == Family::v4 ? 20 : 40; }

// flannel's name of the backend in leases: udp and alloc have none.
std::string lease_backend(const Node& node) {
  const BackendType type = node.conf.backend;
  return type == BackendType::alloc || type == BackendType::udp ? "" : backend_name(type);
}

// Why a lease cannot become a peer of any family; empty if it can.
std::string lease_obstacle(const Node& node, const Lease& lease) {
  const LeaseAttributes& its = lease.attributes;
  if (its.backend_type != lease_backend(node))
    return fmt::format("backend type \"{}\", this node has {}", its.backend_type, backend_name(node.conf.backend));
  if (overlap(lease.subnet, node.lease.subnet)) return fmt::format("overlaps this node's subnet {}", to_string(node.lease.subnet));
  if (is_same_node(its.public_ip, node.uplink.public_ip) || is_same_node(its.public_ip, node.uplink.address)) {
    if (!lease.node_name.empty())  // a Node has one lease
      return fmt::format("Node {} has this node's public address; give each an address of its own by --iface or --public-ip",
                         lease.node_name);
    return fmt::format("an old lease of this node, which has {} now", to_string(node.lease.subnet));
  }
  return "";
}

// What of the lease concerns one family, if it can become a peer of that.
Result<Peer> candidate(const Node& node, const Lease& lease, Family family) {
  const auto& subnet = lease.subnet[family];
  const auto& address = lease.attributes.public_ip[family];
  const auto& vxlan = lease.attributes.vxlan[family];
  if (!subnet) return fail(ErrorKind::invalid, "it has no {} subnet", family_name(family));
  if (!address) return fail(ErrorKind::invalid, "it says no {} address of its node", family_name(family));
  const Prefix& network = node.conf.pools[family]->network;
  if (!network.contains(*subnet)) return fail(ErrorKind::invalid, "outside the network {}", network.to_string());
  if (node.conf.backend == BackendType::udp) return Peer{*subnet, *address, {}, PeerKind::udp};
  if (node.conf.backend != BackendType::vxlan) return Peer{*subnet, *address, {}, PeerKind::direct};
  if (!vxlan) return fail(ErrorKind::invalid, "it says no {} VtepMAC", family_name(family));
  // flannel's lease has room for 16 bits of the VNI.
  if ((vxlan->vni & 0xffffU) != (node.conf.vxlan.vni & 0xffffU))
    return fail(ErrorKind::invalid, "VNI {}, this node has {}", vxlan->vni, node.conf.vxlan.vni);
  return Peer{*subnet, *address, vxlan->vtep_mac, PeerKind::vxlan};
}

// The same by the way that the backend has to the node.
Result<Peer> make_peer(const Node& node, const Peer& peer) {
  if (!node.conf.has_direct_peers()) return peer;
  const auto found = node.segment.find(peer.underlay);
  if (found != node.segment.end() && found->second.obstacle.empty())
    return Peer{peer.subnet, peer.underlay, found->second.mac, PeerKind::direct};
  if (peer.kind == PeerKind::vxlan) return peer;
  if (found == node.segment.end()) return fail(ErrorKind::unavailable, "the way to it is not known yet");
  return fail(ErrorKind::unavailable, "{}: host-gw does not reach it, vxlan with DirectRouting does", found->second.obstacle);
}

bool is_off_segment(const Node& node, const Peer& peer) {
  if (node.conf.backend != BackendType::host_gw) return false;
  const auto host = node.segment.find(peer.underlay);
  return host != node.segment.end() && !host->second.obstacle.empty();
}

std::string condition_name(StepCondition condition) {
  switch (condition) {
    case StepCondition::waiting:
      return "waiting";
    case StepCondition::ok:
      return "ok";
    case StepCondition::failed:
      return "failed";
  }
  return "";
}

// Of the node, unless the key is that name.
std::string name_beside(const RejectedLease& lease) {
  return lease.lease && lease.lease->node_name != lease.key ? lease.lease->node_name : "";
}

bool is_aside(const std::string& step) { return std::find(std::begin(kStepsAside), std::end(kStepsAside), step) != std::end(kStepsAside); }

}  // namespace

std::vector<Family> families(const Node& node) {
  std::vector<Family> used;
  std::copy_if(kFamilies.begin(), kFamilies.end(), std::back_inserter(used),
               [&](Family family) { return node.conf.pools[family].has_value(); });
  return used;
}

int tunnel_overhead(const Node& node) {
  int largest = 0;
  for (const Family family : families(node)) {
    if (node.conf.backend == BackendType::vxlan) largest = std::max(largest, ip_header(family) + kUdpHeader + kVxlanHeaders);
    if (node.conf.backend == BackendType::udp) largest = std::max(largest, ip_header(family) + kUdpHeader);
  }
  return largest;
}

int tunnel_mtu(const Node& node) { return node.conf.vxlan.mtu.value_or(node.uplink.mtu) - tunnel_overhead(node); }

uint16_t tunnel_port(const Node& node) {
  if (node.conf.backend == BackendType::vxlan) return node.conf.vxlan.port;
  return node.conf.backend == BackendType::udp ? node.conf.udp.port : 0;
}

IpAddress device_address(const Prefix& subnet) { return subnet.masked().address(); }
IpAddress gateway_address(const Prefix& subnet) { return device_address(subnet).plus(1); }

LeaseAttributes lease_attributes(const Node& node) {
  LeaseAttributes attributes;
  attributes.public_ip = node.uplink.public_ip;
  attributes.backend_type = lease_backend(node);
  if (node.conf.backend != BackendType::vxlan) return attributes;
  for (const Family family : families(node)) attributes.vxlan[family] = VxlanLease{node.conf.vxlan.vni, node.vtep_mac[family].value()};
  return attributes;
}

std::string fast_path_obstacle(const Node& node) {
  if (!node.conf.fast_path) return "Backend.FastPath is false";
  if (!node.conntrack)
    return "the kernel cannot say which flows conntrack translates (nf_conntrack is not loaded, or lacks bpf_skb_ct_lookup)";
  return "";
}

merino_config programs_config(const Node& node) {
  merino_config config{};
  for (const Family family : families(node)) {
    merino_family& its = family == Family::v4 ? config.v4 : config.v6;
    const Prefix& network = node.conf.pools[family]->network;
    its.underlay = to_abi(node.uplink.address[family].value());
    its.network = to_abi(network.masked().address());
    its.network_len = static_cast<uint32_t>(network.mapped_length());
    if (node.vtep_mac[family]) to_abi(*node.vtep_mac[family], its.vtep_mac);
  }
  if (node.on_link) config.v4.on_link_len = static_cast<uint8_t>(node.on_link->mapped_length());
  config.uplink_ifindex = node.uplink.index;
  config.device_ifindex = node.device_index;
  config.vni = node.conf.vxlan.vni;
  config.pod_mtu = static_cast<uint32_t>(tunnel_mtu(node));
  config.tunnel_port = htons(tunnel_port(node));
  config.tunnel = node.conf.backend == BackendType::udp ? MERINO_PEER_UDP : MERINO_PEER_VXLAN;
  config.device_port = htons(node.conf.vxlan.port);
  config.direct = node.conf.has_direct_peers() ? 1 : 0;
  config.fast_path = fast_path_obstacle(node).empty() ? 1 : 0;
  return config;
}

Status check_backend(const Node& node) {
  if (node.conf.backend != BackendType::host_gw) return ok();
  for (const Family family : families(node)) {
    if (node.uplink.public_ip[family] == node.uplink.address[family]) continue;
    return with_remedy(fail(ErrorKind::invalid,
                            "host-gw: the public address {} is not that of {}, which is {}: other nodes would route to an address that is "
                            "not on their segment",
                            node.uplink.public_ip[family]->to_string(), node.uplink.name, node.uplink.address[family]->to_string()),
                       "leave --public-ip out, or set Backend.Type to \"vxlan\", which works through NAT");
  }
  return ok();
}

std::vector<IpAddress> direct_candidates(const Node& node) {
  std::vector<IpAddress> addresses;
  if (!node.conf.has_direct_peers()) return addresses;
  for (const Lease& lease : node.leases.leases) {
    if (lease.subnet == node.lease.subnet || !lease_obstacle(node, lease).empty()) continue;
    for (const Family family : families(node)) {
      if (const auto peer = candidate(node, lease, family)) addresses.push_back(peer->underlay);
    }
  }
  return addresses;
}

LeaseVerdict judge_lease(const Node& node, const Lease& lease) {
  LeaseVerdict verdict;
  if (lease.subnet == node.lease.subnet) return verdict;
  verdict.reason = lease_obstacle(node, lease);
  if (!verdict.reason.empty()) return verdict;
  for (const Family family : families(node)) {
    const auto wanted = candidate(node, lease, family);
    const auto peer = wanted ? make_peer(node, *wanted) : wanted;
    // One family that is not in order keeps those behind it out.
    if (peer && verdict.reason.empty()) verdict.peers.push_back(*peer);
    if (!peer && verdict.reason.empty()) verdict.reason = peer.error().what;
    if (wanted && is_off_segment(node, *wanted)) verdict.off_segment.push_back({wanted->subnet, wanted->underlay});
  }
  return verdict;
}

SubnetEnv make_subnet_env(const Node& node) {
  SubnetEnv env;
  for (const Family family : families(node)) {
    const Prefix& subnet = node.lease.subnet[family].value();
    (family == Family::v4 ? env.networks : env.networks_v6) = {node.conf.pools[family]->network};
    (family == Family::v4 ? env.subnet : env.subnet_v6) = Prefix(gateway_address(subnet), subnet.length());
  }
  env.mtu = tunnel_mtu(node);
  env.ip_masq = node.options.ip_masq;
  return env;
}

AgentStatus make_status(const Node& node, const std::vector<StepState>& steps, const std::vector<RejectedLease>& rejected,
                        const std::vector<OperatorNotice>& of_host) {
  AgentStatus status;
  status.version = kVersion;
  status.pid = getpid();
  status.public_ip = node.uplink.public_ip;
  status.address = node.uplink.address;
  status.uplink = node.uplink.name;
  status.uplink_index = node.uplink.index;
  status.uplink_mtu = node.uplink.mtu;
  status.backend = backend_name(node.conf.backend);
  if (node.conf.backend == BackendType::vxlan) status.vni = node.conf.vxlan.vni;
  status.port = tunnel_port(node);
  status.network = node.conf.networks();
  status.subnet = node.lease.subnet;
  status.vtep_mac = node.vtep_mac;
  status.mtu = tunnel_mtu(node);
  status.ip_masq = node.options.ip_masq;
  status.lease_expires = node.lease.expires == kNeverExpires ? kLeaseWithoutEnd : to_unix(node.lease.expires);
  status.fast_path_why = fast_path_obstacle(node);
  status.fast_path = status.fast_path_why.empty();
  for (const RejectedLease& lease : rejected) {
    if (status.rejected_leases.size() == kRejectedListed) {
      status.rejected_leases.push_back({"...", fmt::format("{} more", rejected.size() - kRejectedListed)});
      break;
    }
    status.rejected_leases.push_back({lease.key, lease.reason, name_beside(lease)});
  }
  for (const OperatorNotice& notice : of_host) status.host_notices.push_back(notice.message);
  for (const StepState& step : steps) {
    status.steps.push_back({step.name, condition_name(step.condition), step.error, to_unix(step.since)});
    if (step.condition != StepCondition::ok && !is_aside(step.name)) status.missing.push_back(fmt::format("{}: {}", step.name, step.error));
  }
  status.ready = status.missing.empty();
  return status;
}

}  // namespace merino
