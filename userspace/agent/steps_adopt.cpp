#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <map>
#include <set>

#include "agent/adopt.h"
#include "agent/steps.h"
#include "agent/takeover.h"
#include "datapath/attach.h"
#include "datapath/pod_table.h"
#include "netlink/sysctl.h"

namespace merino {

namespace {

constexpr const char* kCniDir = "/var/lib/cni";

const Link* find_link(const std::vector<Link>& links, unsigned index) {
  const auto found = std::find_if(links.begin(), links.end(), [&](const Link& link) { return link.index == index; });
  return found == links.end() ? nullptr : &*found;
}

// Pods on the bridge take the other pods of this node's subnet for neighbours and ask for their MACs: the host answers in their place, at
// once. In IPv4 as far as it routes them elsewhere than to the bridge; in IPv6 the kernel has to be told each address.
Result<bool> keep_bridge_answering(Site& site, const Link& bridge, const std::vector<IpAddress>& beside) {
  struct Setting {
    Family family;
    const char* key;
    const char* value;
  };
  constexpr Setting kSettings[] = {{Family::v4, "net/ipv4/conf/{}/proxy_arp", "1"},
                                   {Family::v4, "net/ipv4/neigh/{}/proxy_delay", "0"},
                                   {Family::v6, "net/ipv6/conf/{}/forwarding", "1"},
                                   {Family::v6, "net/ipv6/conf/{}/proxy_ndp", "1"},
                                   {Family::v6, "net/ipv6/neigh/{}/proxy_delay", "0"}};
  bool changed = false;
  for (const auto& [family, key, value] : kSettings) {
    const std::string name = fmt::format(fmt::runtime(key), bridge.name);
    if (!site.node.lease.subnet[family] || !TRY(ensure_sysctl(name, value))) continue;
    spdlog::info("sysctl {} set to {}: pods on {} find pods that are not on it", name, value, bridge.name);
    changed = true;
  }
  const auto& subnet = site.node.lease.subnet.v6;
  if (!subnet || !TRY(site.netlink.ensure_proxies(bridge.index, *subnet, beside))) return changed;
  spdlog::info("{} answers for {} IPv6 addresses of pods that are not on it", bridge.name, beside.size());
  return true;
}

// The IPv6 addresses of this node's pods that the host reaches otherwise than by the bridge.
Result<std::vector<IpAddress>> beside_bridge(Site& site, const std::vector<Attachment>& adopted) {
  std::vector<Attachment> pods = TRY(list_attachments()).attachments;
  pods.insert(pods.end(), adopted.begin(), adopted.end());
  std::vector<IpAddress> beside;
  for (const Attachment& pod : pods) {
    const auto link = pod.complete ? TRY(site.netlink.link_by_index(pod.host_ifindex)) : std::nullopt;
    if (!link || link->master_index != 0) continue;
    for (const Prefix& address : pod.addresses) {
      if (address.family() == Family::v6) beside.push_back(address.address());
    }
  }
  return beside;
}

// Does the host's stack send to the pod by this veth, or by the bridge whose port it is?
bool host_reaches(Netlink& netlink, const Attachment& pod, unsigned link_index) {
  return std::all_of(pod.addresses.begin(), pod.addresses.end(), [&](const Prefix& address) {
    const auto route = netlink.route_to(address.address());
    return route && route->link_index == link_index && !route->gateway;
  });
}

std::optional<Attachment> prove(Site& site, const AdoptionSite& where, const std::vector<CachedResult>& cached) {
  for (const CachedResult& result : cached) {
    const auto& names = result.host_ifnames;
    if (std::find(names.begin(), names.end(), where.host_side.name) == names.end()) continue;
    std::vector<std::string> holders;
    for (const Prefix& address : result.addresses) holders.push_back(address_holder(kCniDir, result.network, address.address()));
    const auto pod = prove_pod(where, result, site.node.lease.subnet, holders);
    if (!pod) spdlog::debug("container {} is not adopted: {}", result.container_id, pod.error().message());
    if (pod && host_reaches(site.netlink, *pod, where.bridge ? where.bridge->index : where.host_side.index)) return *pod;
  }
  return std::nullopt;
}

// Veths of pods that have no record of merino's: ports of the bridge, or routed to.
Result<std::vector<AdoptionSite>> adoption_sites(Site& site, const std::vector<Link>& links, const Link* bridge) {
  std::set<std::string> recorded;
  for (const Attachment& attachment : TRY(list_attachments()).attachments) recorded.insert(attachment.host_ifname);
  std::vector<AdoptionSite> sites;
  for (const Link& link : links) {
    const bool on_bridge = bridge != nullptr && link.master_index == bridge->index;
    if (link.kind != "veth" || !link.peer_netns || !link.is_up() || recorded.contains(link.name)) continue;
    if (!on_bridge && link.master_index != 0) continue;
    auto end = TRY(site.netlink.veth_peer(link));
    if (!end) continue;
    sites.push_back({link, on_bridge ? std::optional(*bridge) : std::nullopt, *std::move(end)});
  }
  return sites;
}

Result<std::vector<Attachment>> provable_pods(Site& site, const std::vector<Link>& links, const Link* bridge) {
  const std::vector<AdoptionSite> sites = TRY(adoption_sites(site, links, bridge));
  std::vector<Attachment> pods;
  if (sites.empty()) return pods;
  const std::vector<CachedResult> cached = TRY(read_cached_results(kCniDir));
  std::map<IpAddress, int> claims;
  for (const AdoptionSite& where : sites) {
    const auto pod = prove(site, where, cached);
    if (!pod) continue;
    pods.push_back(*pod);
    for (const Prefix& address : pod->addresses) ++claims[address.address()];
  }
  // Two that have one address: nobody can say whose it is.
  std::erase_if(pods, [&](const Attachment& pod) {
    return std::any_of(pod.addresses.begin(), pod.addresses.end(), [&](const Prefix& address) { return claims[address.address()] > 1; });
  });
  return pods;
}

bool is_among(const std::vector<Attachment>& pods, const Attachment& pod) { return std::find(pods.begin(), pods.end(), pod) != pods.end(); }

}  // namespace

Result<std::optional<Link>> gateway_bridge(Netlink& netlink, const PerFamily<IpAddress>& gateways) {
  for (const LinkAddress& address : TRY(netlink.addresses())) {
    if (gateways[address.prefix.family()] != address.prefix.address()) continue;
    const auto link = TRY(netlink.link_by_index(address.link_index));
    if (link && link->kind == "bridge") return link;
  }
  return std::nullopt;
}

Result<bool> keep_adopted(Site& site) {
  const FileLock lock = TRY(attachments_lock());
  PerFamily<IpAddress> gateways;
  for (const Family family : families(site.node)) gateways[family] = gateway_address(site.node.lease.subnet[family].value());
  const auto bridge = TRY(gateway_bridge(site.netlink, gateways));
  bool changed = false;
  const std::vector<Link> links = TRY(site.netlink.links());
  std::vector<Attachment> pods = TRY(provable_pods(site, links, bridge ? &*bridge : nullptr));
  for (const Attachment& before : site.adopted.value_or(std::vector<Attachment>{})) {
    if (is_among(pods, before)) continue;
    TRY(release_pod(before));
    const bool gone = find_link(links, before.host_ifindex) == nullptr;
    spdlog::info("container {} {} ({})", before.container_id, gone ? "is gone" : "is left to the kernel's path", before.host_ifname);
    changed = true;
  }
  for (const Attachment& pod : pods) {
    if (!TRY(mend_pod(pod))) continue;
    spdlog::info("container {} ({}), which another plugin attached, is served by merino from here on ({})", pod.container_id,
                 pod.addresses.front().address().to_string(), pod.host_ifname);
    changed = true;
  }
  TRY(remove_dead_links());
  site.adopted = std::move(pods);
  if (!bridge) return changed;
  const std::vector<IpAddress> beside = TRY(beside_bridge(site, *site.adopted));
  changed |= TRY(keep_bridge_answering(site, *bridge, beside));
  return changed;
}

}  // namespace merino
