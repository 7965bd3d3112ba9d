#include <net/if.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "agent/notices.h"
#include "agent/steps.h"
#include "base/file.h"

namespace merino {

namespace {

UplinkRequest request_of(const Node& node) {
  const AgentOptions& options = node.options;
  return {options.ifaces, options.iface_regexes, options.iface_can_reach, options.public_ip, families(node)};
}

// One interface and its addresses: a node has hundreds, and this is asked for at every change of any of them.
Result<NetworkSnapshot> snapshot_of(Netlink& netlink, const std::string& interface) {
  NetworkSnapshot snapshot;
  const auto link = TRY(netlink.link_by_name(interface));
  if (!link) return snapshot;
  snapshot.links.push_back(*link);
  snapshot.addresses = TRY(netlink.addresses(link->index));
  return snapshot;
}

// Only IPv4 tunnels are the programs' own. Where rules choose among routes, the kernel is asked about each packet.
Result<std::optional<Prefix>> find_on_link(Netlink& netlink, const Uplink& uplink) {
  const auto& address = uplink.address[Family::v4];
  if (!address || TRY(netlink.has_policy_rules(Family::v4))) return std::nullopt;
  return on_link_prefix(uplink, *address, TRY(netlink.routes_over(uplink.index, Family::v4)));
}

const Lease* own_lease(const Node& node) {
  const Lease* found = node.leases.leases.find(node.lease.subnet);
  const bool is_own = found != nullptr && found->attributes.public_ip == node.lease.attributes.public_ip;
  return is_own ? found : nullptr;
}

// Whether it is time. The wall clock may be set, and a file server's may be another: so what counts first is the time since the last
// renewal, and an end that the last renewal left as it is makes no other one.
bool is_about_to_end(const Lease& own, const Renewal& last, std::chrono::minutes margin) {
  if (own.expires == kNeverExpires) return false;
  if (boot_time() - last.at >= kLeaseTtl - margin) return true;
  return own.expires != last.end && own.expires - margin <= std::chrono::system_clock::now();
}

// In the list of the last pass: one that was just taken may not have come back from the store yet.
bool knew_own_lease(const Site& site) { return site.followed.leases.find(site.node.lease.subnet) != nullptr; }

// Why the lease is to be renewed; empty if it is not.
std::string renewal_reason(const Site& site) {
  const Node& node = site.node;
  const Lease* own = own_lease(node);
  if (own == nullptr && !knew_own_lease(site)) return "the store's list does not have it yet";
  if (own == nullptr) return "it is not in the store any more";
  if (own->attributes != lease_attributes(node)) return "what it says of this node has changed";
  if (is_about_to_end(*own, site.renewal, node.options.renew_margin)) return "it is about to end";
  return "";
}

// Two nodes with one public address take one lease for theirs, and would write it in turn for ever: some times it is put right, then it is
// said.
Status allow_to_put_right(Site& site, const Lease& own, const LeaseAttributes& wanted) {
  constexpr size_t kTimes = 6;  // a list may be older than what was put right: each counts twice then
  constexpr std::chrono::minutes kWithin{10};
  // What this node says itself may change as often as it likes.
  if (wanted != site.written) return ok();
  std::erase_if(site.put_right, [&](const auto& at) { return boot_time() - at > kWithin; });
  if (site.put_right.size() >= kTimes) {
    return with_remedy(fail(ErrorKind::exists, "another node writes this node's lease of {} again and again: {}", to_string(own.subnet),
                            format_lease_attributes(own.attributes)),
                       "two nodes have one public address (as 10.0.2.15 in every machine of Vagrant): give each its own by --iface or "
                       "--public-ip, and restart both without " +
                           site.node.options.subnet_file);
  }
  site.put_right.push_back(boot_time());
  return ok();
}

// The end of the own lease by the wall clock as it is now: what the store says, unless the clock was set since.
std::chrono::system_clock::time_point own_end(const Lease& own, const Renewal& last) {
  constexpr std::chrono::minutes kStep{1};
  if (own.expires == kNeverExpires) return own.expires;
  const auto latest =
      std::chrono::system_clock::now() + std::chrono::duration_cast<std::chrono::system_clock::duration>(last.at - boot_time()) + kLeaseTtl;
  return own.expires > latest + kStep ? latest : own.expires;
}

// What is new is logged; the rest was.
void notice_host(Site& site, const std::vector<LinkAddress>& addresses) {
  UplinkFacts facts{addresses, {}};
  for (const Family family : families(site.node)) {
    // An uplink that is gone has none; who follows it says so.
    const auto routes = site.netlink.routes_over(site.node.uplink.index, family).value_or(std::vector<Route>{});
    facts.routes.insert(facts.routes.end(), routes.begin(), routes.end());
  }
  std::vector<OperatorNotice> notices = host_notices(site.node, facts);
  for (const OperatorNotice& notice : notices) {
    if (std::find(site.host_notices.begin(), site.host_notices.end(), notice) == site.host_notices.end())
      spdlog::warn("{}", notice.message);
  }
  site.host_notices = std::move(notices);
}

// What the kernel does not take for a change of the interface, but who looks for lost packets does.
void notice_outage(Site& site, const NetworkSnapshot& around) {
  if (around.links.empty()) return;  // another uplink is looked for
  const Link& link = around.links.front();
  std::string outage;
  if (!link.is_up()) {
    outage = "is down: no other node is reached until it is set up";
  } else if ((link.flags & IFF_RUNNING) == 0) {
    outage = "has no carrier: no other node is reached until it is plugged in";
  }
  if (outage == site.uplink_outage) return;
  if (outage.empty()) spdlog::info("uplink {} carries packets again", link.name);
  if (!outage.empty()) spdlog::warn("uplink {} {}", link.name, outage);
  site.uplink_outage = std::move(outage);
}

std::string text_of(const std::optional<Prefix>& prefix) { return prefix ? prefix->to_string() : "none"; }

}  // namespace

Result<NetworkSnapshot> take_snapshot(Netlink& netlink) {
  NetworkSnapshot snapshot;
  snapshot.links = TRY(netlink.links());
  snapshot.addresses = TRY(netlink.addresses());
  for (const Family family : kFamilies) {
    const std::vector<Route> routes = TRY(netlink.routes(family));
    snapshot.routes.insert(snapshot.routes.end(), routes.begin(), routes.end());
  }
  return snapshot;
}

Result<Uplink> find_uplink(const Node& node, Netlink& netlink) {
  return choose_uplink(request_of(node), TRY(take_snapshot(netlink)), [&](const IpAddress& address) { return netlink.route_to(address); });
}

Result<bool> follow_uplink(Site& site) {
  Uplink& uplink = site.node.uplink;
  const NetworkSnapshot around = TRY(snapshot_of(site.netlink, uplink.name));
  notice_host(site, around.addresses);
  notice_outage(site, around);
  auto fresh = refresh_uplink(uplink, around);
  if (!fresh) {
    const NetworkSnapshot snapshot = TRY(take_snapshot(site.netlink));
    fresh = choose_uplink(request_of(site.node), snapshot, [&](const IpAddress& address) { return site.netlink.route_to(address); });
    if (!fresh) return tl::unexpected(std::move(fresh).error());
  }
  auto on_link = TRY(find_on_link(site.netlink, *fresh));
  const auto segment_before = std::exchange(site.node.on_link, on_link);
  const bool is_other_segment = segment_before != on_link;
  if (is_other_segment && site.followed_uplink)
    spdlog::info("route to the uplink's own segment was {}, is {}: the programs are told", text_of(segment_before), text_of(on_link));
  site.followed_uplink = true;
  if (*fresh == uplink) return is_other_segment;
  spdlog::warn("uplink was {} (index {}, {}, MTU {}), is {} (index {}, {}, MTU {})", uplink.name, uplink.index, to_string(uplink.address),
               uplink.mtu, fresh->name, fresh->index, to_string(fresh->address), fresh->mtu);
  uplink = *fresh;
  return true;
}

Result<bool> keep_lease(Site& site) {
  Node& node = site.node;
  const Lease before = node.lease;
  node.leases = TRY(site.store.list());
  const std::string reason = renewal_reason(site);
  if (!reason.empty()) {
    Lease wanted = node.lease;
    wanted.attributes = lease_attributes(node);
    if (const Lease* own = own_lease(node); own != nullptr && own->attributes != wanted.attributes)
      TRY(allow_to_put_right(site, *own, wanted.attributes));
    node.lease = TRY(site.store.renew(wanted));
    site.written = wanted.attributes;
    spdlog::info("lease of {} renewed: {}", to_string(node.lease.subnet), reason);
    if (node.lease.subnet != wanted.subnet) {
      spdlog::warn("this node's subnet was {}, is {}: pods with addresses of the old one are not reached any more",
                   to_string(wanted.subnet), to_string(node.lease.subnet));
    }
    node.leases = TRY(site.store.list());
    const Lease* own = own_lease(node);
    site.renewal = {boot_time(), own != nullptr ? own->expires : node.lease.expires};
  }
  if (const Lease* own = own_lease(node)) {
    node.lease = *own;
    node.lease.expires = own_end(*own, site.renewal);
  }
  return !reason.empty() || node.lease.subnet != before.subnet || node.lease.attributes != before.attributes;
}

Result<bool> follow_leases(Site& site) {
  const LeaseSet before = std::exchange(site.followed, site.node.leases);
  return site.followed.leases != before.leases || site.followed.rejected.size() != before.rejected.size();
}

Result<bool> keep_subnet_env(Site& site) {
  const std::string& path = site.node.options.subnet_file;
  const std::string wanted = format_subnet_env(make_subnet_env(site.node));
  const auto current = read_file(path);
  if (current && *current == wanted) return false;
  const std::string directory = std::filesystem::path(path).parent_path();
  if (!directory.empty()) TRY(make_directories(directory));
  TRY(write_file_atomic(path, wanted));
  spdlog::info("{} written: pods of this node get addresses of {}", path, to_string(site.node.lease.subnet));
  return true;
}

Result<bool> announce(Site& site) {
  if (site.announced) return false;
  TRY(site.store.mark_ready());
  site.announced = true;
  return false;
}

}  // namespace merino
