// Peers without a tunnel: which nodes are on the uplink's own segment, by the kernel's routes, and under which MAC addresses, by its
// neighbour table.
#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include "agent/steps.h"
#include "datapath/peer_table.h"

namespace merino {

namespace {

constexpr std::chrono::seconds kProbeAgain{10};
constexpr size_t kProbesAtOnce = 64;

// Why packets to a node do not reach it as the next hop on the uplink; empty if they do.
std::string segment_obstacle(const Uplink& uplink, const Result<Route>& route) {
  if (!route) return route.error().what;
  if (route->gateway) return fmt::format("behind the router {}, not on the segment of {}", route->gateway->to_string(), uplink.name);
  if (route->link_index != uplink.index)
    return fmt::format("not on the segment of {}: its route leaves by another interface (index {})", uplink.name, route->link_index);
  return "";
}

// What the programs went by before this agent started: until the kernel knows a MAC address, the last one holds.
std::map<IpAddress, MacAddress> pinned_neighbours() {
  std::map<IpAddress, MacAddress> neighbours;
  const auto peers = read_peers();
  if (!peers) return neighbours;
  for (const Peer& peer : *peers) {
    if (peer.kind == PeerKind::direct) neighbours.emplace(peer.underlay, peer.vtep_mac);
  }
  return neighbours;
}

// Lets the kernel look for one neighbour: not too often, and not for all of a large segment at the same time.
Status probe(Site& site, const IpAddress& address, size_t& probes) {
  const auto now = std::chrono::steady_clock::now();
  const auto before = site.probed.find(address);
  if (probes == kProbesAtOnce || (before != site.probed.end() && now - before->second < kProbeAgain)) return ok();
  site.probed[address] = now;
  probes++;
  return site.netlink.probe_neighbour(site.node.uplink.index, address);
}

}  // namespace

Result<bool> keep_segment(Site& site) {
  Node& node = site.node;
  TRY(check_backend(node));
  const auto pinned = node.segment.empty() ? pinned_neighbours() : std::map<IpAddress, MacAddress>();
  std::map<IpAddress, SegmentHost> segment;
  for (const IpAddress& address : direct_candidates(node)) {
    SegmentHost host{segment_obstacle(node.uplink, site.netlink.route_to(address)), {}};
    const auto known = node.segment.find(address);
    if (known != node.segment.end()) host.mac = known->second.mac;
    const auto last = pinned.find(address);
    if (last != pinned.end()) host.mac = last->second;
    segment.insert_or_assign(address, host);
  }
  if (segment == node.segment) return false;
  node.segment = std::move(segment);
  std::erase_if(site.probed, [&](const auto& probed) { return !node.segment.contains(probed.first); });
  return true;
}

Result<bool> keep_neighbours(Site& site) {
  Node& node = site.node;
  std::map<IpAddress, MacAddress> found;
  for (const Family family : families(node)) {
    for (const Neighbour& neighbour : TRY(site.netlink.neighbours(node.uplink.index, family)))
      found.emplace(neighbour.address, neighbour.mac);
  }
  bool changed = false;
  size_t probes = 0;
  for (auto& [address, host] : node.segment) {
    if (!host.obstacle.empty()) continue;
    const auto neighbour = found.find(address);
    if (neighbour != found.end() && neighbour->second.is_unicast()) {
      changed |= neighbour->second != host.mac;
      host.mac = neighbour->second;
    } else if (host.mac.is_none()) {
      // The kernel forgets neighbours that are not used; an address that was known is good until another one is.
      TRY(probe(site, address, probes));
    }
  }
  return changed;
}

// As flanneld makes them without a tunnel: a peer's subnet by its address, on the uplink. They would lead the host's own traffic past
// merino0, and nobody would remove them when the peer goes.
Result<bool> take_over_routes(Site& site) {
  const Node& node = site.node;
  std::map<Prefix, IpAddress> peers;
  for (const Lease& lease : node.leases.leases) {
    for (const Family family : families(node)) {
      if (lease.subnet[family] && lease.attributes.public_ip[family])
        peers.emplace(*lease.subnet[family], *lease.attributes.public_ip[family]);
    }
  }
  bool changed = false;
  for (const Family family : families(node)) {
    for (const Route& route : TRY(site.netlink.routes(family))) {
      const auto peer = peers.find(route.destination);
      if (peer == peers.end() || route.link_index != node.uplink.index || route.gateway != peer->second) continue;
      TRY(site.netlink.remove_route(route));
      spdlog::info("route {} via {} removed: it is flanneld's, and {} leads there", route.destination.to_string(),
                   route.gateway->to_string(), kDeviceName);
      changed = true;
    }
  }
  return changed;
}

}  // namespace merino
