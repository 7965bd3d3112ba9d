#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "agent/steps.h"
#include "agent/takeover.h"
#include "netlink/sysctl.h"

namespace merino {

namespace {

Result<bool> set_sysctl(const std::string& key, const std::string& value) {
  if (!TRY(ensure_sysctl(key, value))) return false;
  spdlog::info("sysctl {} set to {}", key, value);
  return true;
}

// A host that forwards IPv6 does not take router advertisements any more, and would lose the default route that it has from one, unless it
// is told to (ip-sysctl.rst, accept_ra).
Result<bool> forward_ipv6(const Node& node) {
  bool changed = false;
  const std::string uplink = "net/ipv6/conf/" + node.uplink.name + "/accept_ra";
  if (TRY(read_sysctl("net.ipv6.conf.all.forwarding")) != "1" && TRY(read_sysctl(uplink)) == "1") changed |= TRY(set_sysctl(uplink, "2"));
  changed |= TRY(set_sysctl("net.ipv6.conf.all.forwarding", "1"));
  return changed;
}

// Packets of peers without a tunnel that the fast path leaves to the stack come in by the uplink, while the route back to their sources is
// by merino0: a strict reverse path filter would drop them. Where there is none, none is switched on.
Result<bool> loosen_uplink(const Uplink& uplink) {
  const std::string settings = "net/ipv4/conf/" + uplink.name;
  bool changed = TRY(set_sysctl(settings + "/forwarding", "1"));
  // The larger of the two holds: 0 off, 1 strict, 2 loose.
  const std::string in_force = std::max(TRY(read_sysctl("net.ipv4.conf.all.rp_filter")), TRY(read_sysctl(settings + "/rp_filter")));
  if (in_force == "1") changed |= TRY(set_sysctl(settings + "/rp_filter", "2"));
  return changed;
}

bool is_in_network(const NetConf& conf, const IpAddress& address) {
  const auto& pool = conf.pools[address.family()];
  return pool && pool->network.contains(address);
}

// A subnet that this node had before must not go on answering here.
Result<bool> remove_stale_addresses(Site& site, const std::vector<Prefix>& wanted) {
  const Node& node = site.node;
  bool changed = false;
  for (const LinkAddress& address : TRY(site.netlink.addresses(node.device_index))) {
    const bool ours = std::find(wanted.begin(), wanted.end(), address.prefix) != wanted.end();
    if (ours || !is_in_network(node.conf, address.prefix.address())) continue;
    TRY(site.netlink.remove_address(node.device_index, address.prefix));
    spdlog::info("address {} removed from {}: it is of another subnet than this node's", address.prefix.to_string(), kDeviceName);
    changed = true;
  }
  return changed;
}

Result<bool> keep_addresses(Site& site) {
  std::vector<Prefix> wanted;
  for (const Family family : families(site.node)) {
    // The first is the source of the node's own traffic into the network; pods reach the node by the second, their gateway.
    const Prefix& subnet = site.node.lease.subnet[family].value();
    wanted.emplace_back(device_address(subnet), address_bits(family));
    wanted.emplace_back(gateway_address(subnet), address_bits(family));
  }
  bool changed = TRY(remove_stale_addresses(site, wanted));
  for (const Prefix& address : wanted) {
    const uint32_t flags = address.family() == Family::v6 ? IFA_F_NODAD | IFA_F_NOPREFIXROUTE : 0;
    if (!TRY(site.netlink.ensure_address(site.node.device_index, address, flags))) continue;
    spdlog::info("address {} added to {}", address.to_string(), kDeviceName);
    changed = true;
  }
  return changed;
}

}  // namespace

Result<bool> keep_device(Site& site) {
  Node& node = site.node;
  VxlanSpec spec{kDeviceName, node.conf.vxlan.port, node.vtep_mac.first(), tunnel_mtu(node)};
  // They have the port until everything else is in place.
  for (const Family family : kFamilies) {
    const auto flannel = TRY(flannel_device(site.netlink, node.conf.vxlan.vni, family));
    if (flannel && flannel->is_up()) spec.activation = Activation::later;
  }
  const Netlink::VxlanResult device = TRY(site.netlink.ensure_vxlan(spec));
  bool changed = device.changed || device.index != node.device_index;
  node.device_index = device.index;
  if (device.changed) {
    spdlog::info("device {} made or mended: index {}, UDP port {}, MAC {}, MTU {}", kDeviceName, device.index, spec.port,
                 spec.mac.to_string(), spec.mtu);
  }
  changed |= TRY(keep_addresses(site));
  return changed;
}

Result<bool> keep_sysctls(Site& site) {
  const std::string device = kDeviceName;
  bool changed = false;
  if (site.node.conf.pools.v4) {
    changed |= TRY(set_sysctl("net.ipv4.ip_forward", "1"));
    changed |= TRY(set_sysctl("net.ipv4.conf." + device + ".forwarding", "1"));
    // What comes out of the tunnel has sources that the route table may know by another device (a peer's own address): loose.
    changed |= TRY(set_sysctl("net.ipv4.conf." + device + ".rp_filter", "2"));
    if (site.node.conf.has_direct_peers()) changed |= TRY(loosen_uplink(site.node.uplink));
  }
  if (site.node.conf.pools.v6) changed |= TRY(forward_ipv6(site.node));
  std::error_code error;
  if (std::filesystem::exists("/proc/sys/net/ipv6/conf/" + device, error)) {
    changed |= TRY(set_sysctl("net.ipv6.conf." + device + ".accept_ra", "0"));
  }
  return changed;
}

Result<bool> keep_route(Site& site) {
  const Node& node = site.node;
  bool changed = false;
  for (const Family family : families(node)) {
    Route route;
    route.destination = node.conf.pools[family]->network;
    route.source = device_address(node.lease.subnet[family].value());
    route.link_index = node.device_index;
    route.scope = RT_SCOPE_LINK;
    if (!TRY(site.netlink.ensure_route(route))) continue;
    spdlog::info("route {} dev {} src {} set", route.destination.to_string(), kDeviceName, route.source->to_string());
    changed = true;
  }
  return changed;
}

// A "packet too big" from a peer's address makes the kernel send no larger packets to that host for ten minutes: right for what this host
// sends to it, but the tunnel would lose every larger packet, and nobody would be told, since a packet with a tunnel key has no route whose
// MTU could be lowered. Any pod that asks a node's host process for more than fits its own MTU is enough. So the tunnel goes by routes of
// its own that no such message changes; pods know its MTU.
Result<bool> keep_endpoint_routes(Site& site) {
  const Node& node = site.node;
  std::vector<Route> routes;
  std::set<Prefix> seen;
  for (const Route& main : TRY(site.netlink.routes(Family::v6))) {
    if (main.link_index != node.uplink.index || !seen.insert(main.destination).second) continue;
    Route own = main;
    own.mtu = node.uplink.mtu;
    routes.push_back(own);
  }
  bool changed = TRY(site.netlink.ensure_locked_routes(kEndpointTable, routes));
  changed |= TRY(site.netlink.ensure_udp_rule(kEndpointRule, kEndpointTable, node.conf.vxlan.port));
  if (changed)
    spdlog::info("{} routes of {} copied for the IPv6 tunnel: ip -6 route show table {}", routes.size(), node.uplink.name, kEndpointTable);
  return changed;
}

Result<bool> keep_rules(Site& site) {
  const Node& node = site.node;
  const auto ports = node.options.masq_fully_random ? MasqueradePorts::fully_random : MasqueradePorts::kept;
  bool changed = false;
  for (const Family family : kFamilies) {
    const auto& pool = node.conf.pools[family];
    const bool wanted = node.options.ip_masq && pool;
    changed |= wanted ? TRY(site.masquerade.ensure({pool->network, node.lease.subnet[family].value(), ports}))
                      : TRY(Masquerade::ensure_absent(family));
  }
  return changed;
}

Result<bool> keep_forward(Site& site) {
  if (!site.node.options.forward_rules) return false;
  bool changed = false;
  for (const Family family : families(site.node)) changed |= TRY(ensure_forwarding(site.node.conf.pools[family]->network));
  return changed;
}

}  // namespace merino
