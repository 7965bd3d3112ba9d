#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>

#include "netlink.h"
#include "netlink/request.h"

namespace merino {
namespace {

// What the kernel makes of a route without a metric.
constexpr uint32_t default_metric(Family family) { return family == Family::v4 ? 0 : 1024; }

struct FoundRoute {
  Route route;
  uint32_t table = RT_TABLE_UNSPEC;
  uint32_t metric = 0;
  uint8_t type = RTN_UNSPEC;
  uint8_t tos = 0;
  bool mtu_locked = false;
};

constexpr uint32_t kLockMtu = 1U << RTAX_MTU;

rtmsg route_header(const Prefix& destination) {
  rtmsg header{};
  header.rtm_family = static_cast<uint8_t>(kernel_family(destination.family()));
  header.rtm_dst_len = static_cast<uint8_t>(destination.length());
  return header;
}

// IPv6 has no scopes; the field then says what IPv4's would.
Route normalized(Route route) {
  route.destination = route.destination.masked();
  if (route.destination.family() == Family::v6) route.scope = route.gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  return route;
}

std::optional<FoundRoute> parse_route(const nlmsghdr& message) {
  const auto& header = family_header<rtmsg>(message);
  if (header.rtm_family != AF_INET && header.rtm_family != AF_INET6) return std::nullopt;
  const Family family = header.rtm_family == AF_INET ? Family::v4 : Family::v6;
  const Attributes attributes(message, sizeof header);
  const IpAddress any = IpAddress::from_network(family, std::array<uint8_t, 16>{}.data());

  FoundRoute found;
  found.route.destination = Prefix(attributes.address(RTA_DST, family).value_or(any), header.rtm_dst_len);
  found.route.gateway = attributes.address(RTA_GATEWAY, family);
  found.route.source = attributes.address(RTA_PREFSRC, family);
  if (!attributes.has(RTA_MULTIPATH)) found.route.link_index = attributes.get<uint32_t>(RTA_OIF);
  found.route.scope = header.rtm_scope;
  found.route.mtu = attributes.nest(RTA_METRICS).get<int>(RTAX_MTU);
  found.route = normalized(found.route);
  found.table = attributes.get<uint32_t>(RTA_TABLE, header.rtm_table);
  found.metric = attributes.get<uint32_t>(RTA_PRIORITY);
  found.type = header.rtm_type;
  found.tos = header.rtm_tos;
  found.mtu_locked = (attributes.nest(RTA_METRICS).get<uint32_t>(RTAX_LOCK) & kLockMtu) != 0;
  return found;
}

// The unicast routes of a table; if `link_index` is not 0, those of that interface and those with several next hops.
Result<std::vector<FoundRoute>> list_routes(nl_sock* socket, Family family, unsigned link_index, uint32_t table = RT_TABLE_MAIN) {
  rtmsg header{};
  header.rtm_family = static_cast<uint8_t>(kernel_family(family));
  header.rtm_type = RTN_UNICAST;
  Request request(RTM_GETROUTE, NLM_F_DUMP, header);
  request.put(RTA_TABLE, table);
  if (link_index != 0) request.put(RTA_OIF, link_index);
  return dump<FoundRoute>(socket, request, "list routes", [&](const nlmsghdr& message) {
    auto found = parse_route(message);
    // Where a family is not there, the kernel answers with the routes of those that are.
    const bool wanted = found && found->route.destination.family() == family && found->table == table && found->type == RTN_UNICAST &&
                        (link_index == 0 || found->route.link_index == link_index || found->route.link_index == 0);
    return wanted ? found : std::nullopt;
  });
}

Result<std::optional<FoundRoute>> look_up(nl_sock* socket, const IpAddress& address, unsigned flags) {
  rtmsg header = route_header(Prefix(address, address_bits(address.family())));
  header.rtm_flags = flags;
  Request request(RTM_GETROUTE, 0, header);
  request.put(RTA_DST, address);
  std::optional<FoundRoute> found;
  TRY(exchange(socket, request, fmt::format("look up the route to {}", address.to_string()),
               [&](const nlmsghdr& message) { found = parse_route(message); }));
  return found;
}

bool is_exactly(const FoundRoute& found, const Route& route) {
  return found.type == RTN_UNICAST && found.tos == 0 && found.metric == default_metric(route.destination.family()) && found.route == route;
}

// Asks for the entry that the destination's first address matches: one question whatever the size of the table. Only where that is
// hidden, by a longer prefix, another table or a failed lookup, the interface's routes are listed.
Result<bool> is_present(nl_sock* socket, const Route& route) {
  const auto matched = look_up(socket, route.destination.address(), RTM_F_FIB_MATCH | RTM_F_LOOKUP_TABLE);
  if (matched && *matched && (*matched)->table == RT_TABLE_MAIN) {
    const int length = (*matched)->route.destination.length();
    if (length == route.destination.length()) return is_exactly(**matched, route);
    if (length < route.destination.length()) return false;
  }
  const auto routes = TRY(list_routes(socket, route.destination.family(), route.link_index));
  return std::ranges::any_of(routes, [&](const FoundRoute& found) { return is_exactly(found, route); });
}

Request route_request(int type, int flags, const rtmsg& header, const Route& route) {
  Request request(type, flags, header);
  if (route.destination.length() > 0) request.put(RTA_DST, route.destination.address());
  request.put(RTA_OIF, route.link_index);
  if (route.gateway) request.put(RTA_GATEWAY, *route.gateway);
  return request;
}

Status replace_route(nl_sock* socket, const Route& route, uint32_t table = RT_TABLE_MAIN, uint32_t locks = 0) {
  rtmsg header = route_header(route.destination);
  header.rtm_protocol = RTPROT_STATIC;
  header.rtm_type = RTN_UNICAST;
  header.rtm_scope = route.scope;
  Request request = route_request(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, header, route);
  request.put(RTA_TABLE, table);
  if (route.source) request.put(RTA_PREFSRC, *route.source);
  if (route.mtu != 0) {
    request.nest(RTA_METRICS, [&] {
      request.put(RTAX_MTU, route.mtu);
      if (locks != 0) request.put(RTAX_LOCK, locks);
    });
  }
  return exchange(socket, request, fmt::format("set route {} on interface {}", route.destination.to_string(), route.link_index));
}

// Deletes the first of the routes for a destination, whichever it is.
Status delete_first(nl_sock* socket, const Prefix& destination) {
  rtmsg header = route_header(destination);
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_scope = RT_SCOPE_NOWHERE;
  Request request(RTM_DELROUTE, NLM_F_ACK, header);
  if (destination.length() > 0) request.put(RTA_DST, destination.address());
  return exchange(socket, request, fmt::format("delete the route that hides {}", destination.to_string()));
}

// ESRCH, ENODEV: gone already.
Status delete_route(nl_sock* socket, const Route& route, uint32_t table) {
  rtmsg header = route_header(route.destination);
  header.rtm_scope = RT_SCOPE_NOWHERE;  // any
  Request request = route_request(RTM_DELROUTE, NLM_F_ACK, header, route);
  request.put(RTA_TABLE, table);
  auto removed = exchange(socket, request, fmt::format("delete route {} on interface {}", route.destination.to_string(), route.link_index));
  if (!removed && (removed.error().sys_errno == ESRCH || removed.error().sys_errno == ENODEV)) return ok();
  return removed;
}

}  // namespace

Result<std::vector<Route>> Netlink::routes(Family family) { return routes_over(0, family); }

Result<std::vector<Route>> Netlink::routes_over(unsigned link_index, Family family) {
  std::vector<Route> routes;
  for (const FoundRoute& found : TRY(list_routes(socket_.get(), family, link_index))) routes.push_back(found.route);
  return routes;
}

Result<bool> Netlink::ensure_route(const Route& route) {
  const Route wanted = normalized(route);
  if (TRY(is_present(socket_.get(), wanted))) return false;
  auto replaced = replace_route(socket_.get(), wanted);
  // IPv4 replaces the first of several routes with one metric, and refuses if the wanted one stands behind it.
  for (int hidden = 0; !replaced && replaced.error().sys_errno == EEXIST && hidden < 16; ++hidden) {
    TRY(delete_first(socket_.get(), wanted.destination));
    replaced = replace_route(socket_.get(), wanted);
  }
  TRY(std::move(replaced));
  return true;
}

Status Netlink::remove_route(const Route& route) { return delete_route(socket_.get(), normalized(route), RT_TABLE_MAIN); }

Result<bool> Netlink::ensure_locked_routes(uint32_t table, const std::vector<Route>& routes) {
  std::vector<Route> wanted;
  for (const Route& route : routes) wanted.push_back(normalized(route));
  bool changed = false;
  std::vector<Route> present;
  auto listed = list_routes(socket_.get(), Family::v6, 0, table);
  if (!listed && listed.error().sys_errno == ENOENT) listed = std::vector<FoundRoute>{};  // no such table yet
  for (const FoundRoute& found : TRY(std::move(listed))) {
    if (found.mtu_locked && std::ranges::find(wanted, found.route) != wanted.end()) {
      present.push_back(found.route);
      continue;
    }
    TRY(delete_route(socket_.get(), found.route, table));
    changed = true;
  }
  for (const Route& route : wanted) {
    if (std::ranges::find(present, route) != present.end()) continue;
    TRY(replace_route(socket_.get(), route, table, kLockMtu));
    changed = true;
  }
  return changed;
}

Result<Route> Netlink::route_to(const IpAddress& destination) {
  auto found = look_up(socket_.get(), destination, 0);
  if (found && *found) return (*found)->route;
  if (found) return fail(ErrorKind::unavailable, "look up the route to {}: the kernel gave none", destination.to_string());
  // Whatever the routing rules say to it: no route, prohibited, blackhole.
  Error error = std::move(found).error();
  error.kind = ErrorKind::unavailable;
  error.remedy = "check `ip route get " + destination.to_string() + "`";
  return tl::unexpected(std::move(error));
}

}  // namespace merino
