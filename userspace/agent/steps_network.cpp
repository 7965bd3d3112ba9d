#include <linux/rtnetlink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>

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

// A subnet that this node had before must not go on answering here.
Result<bool> remove_stale_addresses(Site& site, const std::vector<Prefix>& wanted) {
  const Node& node = site.node;
  bool changed = false;
  for (const LinkAddress& address : TRY(site.netlink.addresses(node.device_index))) {
    const bool ours = std::find(wanted.begin(), wanted.end(), address.prefix) != wanted.end();
    if (ours || !node.conf.network.contains(address.prefix.address())) continue;
    TRY(site.netlink.remove_address(node.device_index, address.prefix));
    spdlog::info("address {} removed from {}: it is of another subnet than this node's", address.prefix.to_string(), kDeviceName);
    changed = true;
  }
  return changed;
}

Result<bool> keep_addresses(Site& site) {
  // The first is the source of the node's own traffic into the network; pods reach the node by the second, their gateway.
  const std::vector<Prefix> wanted = {{device_address(site.node), 32}, {gateway_address(site.node), 32}};
  bool changed = TRY(remove_stale_addresses(site, wanted));
  for (const Prefix& address : wanted) {
    if (!TRY(site.netlink.ensure_address(site.node.device_index, address))) continue;
    spdlog::info("address {} added to {}", address.to_string(), kDeviceName);
    changed = true;
  }
  return changed;
}

}  // namespace

Result<bool> keep_device(Site& site) {
  Node& node = site.node;
  VxlanSpec spec{kDeviceName, node.conf.vxlan.port, node.vtep_mac, tunnel_mtu(node)};
  // It has the port until everything else is in place.
  const auto flannel = TRY(flannel_device(site.netlink, node.conf.vxlan.vni));
  if (flannel && flannel->is_up()) spec.activation = Activation::later;
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
  bool changed = TRY(set_sysctl("net.ipv4.ip_forward", "1"));
  changed |= TRY(set_sysctl("net.ipv4.conf." + device + ".forwarding", "1"));
  // What comes out of the tunnel has sources that the route table may know by another device (a peer's own address): loose.
  changed |= TRY(set_sysctl("net.ipv4.conf." + device + ".rp_filter", "2"));
  if (site.node.conf.has_direct_peers()) changed |= TRY(loosen_uplink(site.node.uplink));
  std::error_code error;
  if (std::filesystem::exists("/proc/sys/net/ipv6/conf/" + device, error)) {
    changed |= TRY(set_sysctl("net.ipv6.conf." + device + ".accept_ra", "0"));
  }
  return changed;
}

Result<bool> keep_route(Site& site) {
  const Node& node = site.node;
  Route route;
  route.destination = node.conf.network;
  route.source = device_address(node);
  route.link_index = node.device_index;
  route.scope = RT_SCOPE_LINK;
  if (!TRY(site.netlink.ensure_route(route))) return false;
  spdlog::info("route {} dev {} src {} set", route.destination.to_string(), kDeviceName, route.source->to_string());
  return true;
}

Result<bool> keep_rules(Site& site) {
  const Node& node = site.node;
  if (!node.options.ip_masq) return Masquerade::ensure_absent();
  const auto ports = node.options.masq_fully_random ? MasqueradePorts::fully_random : MasqueradePorts::kept;
  return site.masquerade.ensure({node.conf.network, node.lease.subnet, ports});
}

Result<bool> keep_forward(Site& site) {
  if (!site.node.options.forward_rules) return false;
  return ensure_forwarding(site.node.conf.network);
}

}  // namespace merino
