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

// flannel's name of the backend in leases: alloc has none.
std::string lease_backend(const Node& node) { return node.conf.backend == BackendType::alloc ? "" : backend_name(node.conf.backend); }

// Why a lease cannot become a peer, whatever the way to it; empty if it can.
std::string lease_obstacle(const Node& node, const Lease& lease) {
  const LeaseAttributes& its = lease.attributes;
  const bool is_vxlan = node.conf.backend == BackendType::vxlan;
  if (its.backend_type != lease_backend(node) || is_vxlan != its.vxlan.has_value())
    return fmt::format("backend type \"{}\", this node has {}", its.backend_type, backend_name(node.conf.backend));
  // flannel's lease has room for 16 bits of the VNI.
  if (is_vxlan && (its.vxlan->vni & 0xffffU) != (node.conf.vxlan.vni & 0xffffU))
    return fmt::format("VNI {}, this node has {}", its.vxlan->vni, node.conf.vxlan.vni);
  if (!node.conf.network.contains(lease.subnet)) return fmt::format("outside the network {}", node.conf.network.to_string());
  if (lease.subnet.overlaps(node.lease.subnet)) return fmt::format("overlaps this node's subnet {}", node.lease.subnet.to_string());
  if (its.public_ip == node.uplink.public_ip || its.public_ip == node.uplink.address) {
    return fmt::format("an old lease of this node, which has {} now", node.lease.subnet.to_string());
  }
  return "";
}

// The peer of a lease that has no obstacle, by the way that the backend has to it.
Result<Peer> make_peer(const Node& node, const Lease& lease) {
  const IpAddress& address = lease.attributes.public_ip;
  const auto found = node.segment.find(address);
  if (found != node.segment.end() && found->second.obstacle.empty())
    return Peer{lease.subnet, address, found->second.mac, PeerKind::direct};
  if (node.conf.backend == BackendType::vxlan) return Peer{lease.subnet, address, lease.attributes.vxlan->vtep_mac, PeerKind::vxlan};
  if (found == node.segment.end()) return fail(ErrorKind::unavailable, "the way to it is not known yet");
  return fail(ErrorKind::unavailable, "{}: host-gw does not reach it, vxlan with DirectRouting does", found->second.obstacle);
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

bool is_aside(const std::string& step) { return std::find(std::begin(kStepsAside), std::end(kStepsAside), step) != std::end(kStepsAside); }

}  // namespace

int tunnel_overhead(const Node& node) { return node.conf.backend == BackendType::vxlan ? kVxlanOverhead : 0; }
int tunnel_mtu(const Node& node) { return node.conf.vxlan.mtu.value_or(node.uplink.mtu) - tunnel_overhead(node); }

IpAddress device_address(const Node& node) { return node.lease.subnet.masked().address(); }
IpAddress gateway_address(const Node& node) { return device_address(node).plus(1); }

LeaseAttributes lease_attributes(const Node& node) {
  LeaseAttributes attributes;
  attributes.public_ip = node.uplink.public_ip;
  attributes.backend_type = lease_backend(node);
  if (node.conf.backend == BackendType::vxlan) attributes.vxlan = VxlanLease{node.conf.vxlan.vni, node.vtep_mac};
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
  config.v4.underlay = to_abi(node.uplink.address);
  config.v4.network = to_abi(node.conf.network.masked().address());
  config.v4.network_len = static_cast<uint32_t>(node.conf.network.mapped_length());
  config.uplink_ifindex = node.uplink.index;
  config.device_ifindex = node.device_index;
  config.vni = node.conf.vxlan.vni;
  config.pod_mtu = static_cast<uint32_t>(tunnel_mtu(node));
  config.tunnel_port = node.conf.backend == BackendType::vxlan ? htons(node.conf.vxlan.port) : 0;
  config.device_port = htons(node.conf.vxlan.port);
  config.tunnel = node.conf.backend == BackendType::vxlan ? MERINO_PEER_VXLAN : 0;
  config.direct = node.conf.has_direct_peers() ? 1 : 0;
  to_abi(node.vtep_mac, config.v4.vtep_mac);
  config.fast_path = fast_path_obstacle(node).empty() ? 1 : 0;
  return config;
}

Status check_backend(const Node& node) {
  if (node.conf.backend != BackendType::host_gw || node.uplink.public_ip == node.uplink.address) return ok();
  return with_remedy(fail(ErrorKind::invalid,
                          "host-gw: the public address {} is not that of {}, which is {}: other nodes would route to an address that is "
                          "not on their segment",
                          node.uplink.public_ip.to_string(), node.uplink.name, node.uplink.address.to_string()),
                     "leave --public-ip out, or set Backend.Type to \"vxlan\", which works through NAT");
}

std::vector<IpAddress> direct_candidates(const Node& node) {
  std::vector<IpAddress> addresses;
  if (!node.conf.has_direct_peers()) return addresses;
  for (const Lease& lease : node.leases.leases) {
    if (lease.subnet != node.lease.subnet && lease_obstacle(node, lease).empty()) addresses.push_back(lease.attributes.public_ip);
  }
  return addresses;
}

PeerSelection select_peers(const Node& node) {
  PeerSelection selection;
  selection.ignored = node.leases.rejected;
  for (const Lease& lease : node.leases.leases) {
    if (lease.subnet == node.lease.subnet) continue;
    std::string reason = lease_obstacle(node, lease);
    if (reason.empty()) {
      auto peer = make_peer(node, lease);
      if (peer) {
        selection.peers.push_back(*std::move(peer));
        continue;
      }
      reason = peer.error().what;
    }
    selection.ignored.push_back({format_subnet_key(lease.subnet), reason});
  }
  return selection;
}

SubnetEnv make_subnet_env(const Node& node) {
  SubnetEnv env;
  env.networks = {node.conf.network};
  env.subnet = Prefix(gateway_address(node), node.lease.subnet.length());
  env.mtu = tunnel_mtu(node);
  env.ip_masq = node.options.ip_masq;
  return env;
}

AgentStatus make_status(const Node& node, const std::vector<StepState>& steps, const std::vector<RejectedLease>& rejected) {
  AgentStatus status;
  status.version = kVersion;
  status.pid = getpid();
  status.public_ip = node.uplink.public_ip;
  status.address = node.uplink.address;
  status.uplink = node.uplink.name;
  status.uplink_index = node.uplink.index;
  status.uplink_mtu = node.uplink.mtu;
  status.backend = backend_name(node.conf.backend);
  if (node.conf.backend == BackendType::vxlan) {
    status.vni = node.conf.vxlan.vni;
    status.port = node.conf.vxlan.port;
  }
  status.network = node.conf.network;
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
    status.rejected_leases.push_back({lease.key, lease.reason});
  }
  for (const StepState& step : steps) {
    status.steps.push_back({step.name, condition_name(step.condition), step.error, to_unix(step.since)});
    if (step.condition != StepCondition::ok && !is_aside(step.name)) status.missing.push_back(fmt::format("{}: {}", step.name, step.error));
  }
  status.ready = status.missing.empty();
  return status;
}

}  // namespace merino
