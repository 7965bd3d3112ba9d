#include "agent/uplink.h"

#include <fmt/format.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <regex>

namespace merino {

namespace {

struct Choice {
  const Link* link = nullptr;
  PerFamily<IpAddress> address;  // given by the way of choosing; else the interface's first
};

bool is_link_local(const IpAddress& address) {
  if (address.is_v4()) return (address.v4() >> 16U) == 0xa9fe;
  return address.bytes()[0] == 0xfe && (address.bytes()[1] & 0xc0U) == 0x80;
}

// Flannel's "usable": neither loopback nor multicast nor broadcast. IPv6's link-local addresses say nothing without their interface.
bool is_usable(const IpAddress& address) {
  if (!address.is_v4())
    return !address.is_none() && address != IpAddress().plus(1) && address.bytes()[0] != 0xff && !is_link_local(address);
  const uint32_t value = address.v4();
  return value != 0 && value != 0xffffffff && (value >> 24U) != 127 && (value >> 28U) != 0xe;
}

// IPv4's IFA_F_SECONDARY is the same bit as IFA_F_TEMPORARY and says nothing about the address's life.
bool is_temporary(const LinkAddress& address) { return !address.prefix.address().is_v4() && (address.flags & IFA_F_TEMPORARY) != 0; }

// Lower is better.
int address_rank(const LinkAddress& address) {
  int rank = 0;
  if ((address.flags & IFA_F_PERMANENT) == 0) rank += 1;
  if (is_link_local(address.prefix.address())) rank += 2;
  if (is_temporary(address)) rank += 4;
  if ((address.flags & IFA_F_TENTATIVE) != 0) rank += 8;
  return rank;
}

// The interface's usable addresses, best first; equal ones in the kernel's order.
std::vector<IpAddress> usable_addresses(const NetworkSnapshot& snapshot, unsigned index) {
  std::vector<LinkAddress> found;
  for (const LinkAddress& address : snapshot.addresses) {
    const bool unfit = (address.flags & (IFA_F_DEPRECATED | IFA_F_DADFAILED)) != 0;
    if (address.link_index == index && !unfit && is_usable(address.prefix.address())) found.push_back(address);
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return address_rank(a) < address_rank(b); });
  std::vector<IpAddress> out;
  for (const LinkAddress& address : found) out.push_back(address.prefix.address());
  return out;
}

std::optional<IpAddress> usable_address(const NetworkSnapshot& snapshot, unsigned index, Family family) {
  for (const IpAddress& address : usable_addresses(snapshot, index)) {
    if (address.family() == family) return address;
  }
  return std::nullopt;
}

bool has_family(const UplinkRequest& request, Family family) {
  return std::find(request.families.begin(), request.families.end(), family) != request.families.end();
}

const Link* link_by_index(const NetworkSnapshot& snapshot, unsigned index) {
  const auto found = std::find_if(snapshot.links.begin(), snapshot.links.end(), [&](const Link& link) { return link.index == index; });
  return found == snapshot.links.end() ? nullptr : &*found;
}

std::string describe(const NetworkSnapshot& snapshot) {
  std::vector<std::string> texts;
  for (const Link& link : snapshot.links) {
    std::vector<std::string> addresses;
    for (const IpAddress& address : usable_addresses(snapshot, link.index)) addresses.push_back(address.to_string());
    texts.push_back(addresses.empty() ? link.name : fmt::format("{} ({})", link.name, fmt::join(addresses, ", ")));
  }
  return texts.empty() ? "no interfaces" : fmt::format("{}", fmt::join(texts, ", "));
}

Result<Choice> by_address(const NetworkSnapshot& snapshot, const IpAddress& wanted) {
  for (const LinkAddress& address : snapshot.addresses) {
    if (address.prefix.address() != wanted) continue;
    if (const Link* link = link_by_index(snapshot, address.link_index)) return Choice{link, wanted};
  }
  return fail(ErrorKind::not_found, "no interface has the address {}", wanted.to_string());
}

Result<Choice> by_name(const NetworkSnapshot& snapshot, const std::string& name) {
  for (const Link& link : snapshot.links) {
    if (link.name == name) return Choice{&link, {}};
  }
  return fail(ErrorKind::not_found, "there is no interface {}", name);
}

Result<Choice> by_iface(const NetworkSnapshot& snapshot, const std::string& iface) {
  const auto address = IpAddress::parse(iface);
  return address ? by_address(snapshot, *address) : by_name(snapshot, iface);
}

Result<Choice> match_regex(const NetworkSnapshot& snapshot, const std::regex& regex, const UplinkRequest& request) {
  for (const Link& link : snapshot.links) {
    for (const IpAddress& address : usable_addresses(snapshot, link.index)) {
      if (has_family(request, address.family()) && std::regex_search(address.to_string(), regex)) return Choice{&link, address};
    }
  }
  for (const Link& link : snapshot.links) {
    if (std::regex_search(link.name, regex)) return Choice{&link, {}};
  }
  return fail(ErrorKind::not_found, "no match");
}

Result<Choice> by_regex(const NetworkSnapshot& snapshot, const std::string& pattern, const UplinkRequest& request) {
  try {
    auto choice = match_regex(snapshot, std::regex(pattern), request);
    if (choice) return choice;
    return fail(ErrorKind::not_found, "no interface's address or name matches {}", pattern);
  } catch (const std::regex_error& error) {
    return fail(ErrorKind::invalid, "{} is not a regular expression ({})", pattern, error.what());
  }
}

Result<Choice> by_route(const NetworkSnapshot& snapshot, const IpAddress& destination, const RouteLookup& route_to) {
  const Route route = TRY(route_to(destination));
  const Link* link = link_by_index(snapshot, route.link_index);
  if (link == nullptr) return fail(ErrorKind::not_found, "the route to {} has no interface", destination.to_string());
  Choice choice{link, {}};
  if (route.source && is_usable(*route.source)) choice.address = *route.source;
  return choice;
}

const Link* default_route_link(const NetworkSnapshot& snapshot, Family family) {
  for (const Route& route : snapshot.routes) {
    if (route.destination.family() != family || route.destination.length() != 0) continue;
    if (const Link* link = link_by_index(snapshot, route.link_index)) return link;
  }
  return nullptr;
}

Result<Choice> by_default_route(const NetworkSnapshot& snapshot, const UplinkRequest& request) {
  Choice choice;
  for (const Family family : request.families) {
    const Link* link = default_route_link(snapshot, family);
    if (link == nullptr) {
      return with_remedy(fail(ErrorKind::not_found, "there is no {} default route to choose the uplink by, among {}", family_name(family),
                              describe(snapshot)),
                         "name the interface with --iface");
    }
    if (choice.link != nullptr && choice.link->index != link->index) {
      return with_remedy(fail(ErrorKind::invalid, "the IPv4 default route leaves by {}, the IPv6 one by {}", choice.link->name, link->name),
                         "name the interface for both families with --iface");
    }
    choice.link = link;
  }
  return choice;
}

// A tunnel endpoint must be an Ethernet device with an address of each family; everything else is the reason why it cannot be the uplink.
Result<Uplink> accept(const Choice& choice, const NetworkSnapshot& snapshot, const UplinkRequest& request) {
  const Link& link = *choice.link;
  if (link.is_loopback()) return fail(ErrorKind::invalid, "{} is the loopback interface", link.name);
  if (!link.ethernet) return fail(ErrorKind::invalid, "{} is not an Ethernet interface", link.name);
  if (link.mtu <= 0) return fail(ErrorKind::invalid, "the MTU of {} is not known", link.name);
  Uplink uplink{link.index, link.name, link.mtu, {}, {}};
  for (const Family family : request.families) {
    const auto address = choice.address[family] ? choice.address[family] : usable_address(snapshot, link.index, family);
    if (!address) return fail(ErrorKind::not_found, "{} has no {} address", link.name, family_name(family));
    uplink.address[family] = address;
    uplink.public_ip[family] = request.public_ip[family] ? request.public_ip[family] : address;
  }
  return uplink;
}

// That of the families which are used.
std::optional<IpAddress> wanted_public_ip(const UplinkRequest& request) {
  for (const Family family : request.families) {
    if (request.public_ip[family]) return request.public_ip[family];
  }
  return std::nullopt;
}

}  // namespace

Result<Uplink> choose_uplink(const UplinkRequest& request, const NetworkSnapshot& snapshot, const RouteLookup& route_to) {
  std::vector<std::string> refused;
  const auto attempt = [&](const std::string& what, Result<Choice> choice) -> std::optional<Uplink> {
    auto uplink = choice ? accept(*choice, snapshot, request) : Result<Uplink>(tl::unexpected(std::move(choice).error()));
    if (uplink) return *uplink;
    refused.push_back(fmt::format("{}: {}", what, uplink.error().message()));
    return std::nullopt;
  };

  for (const std::string& iface : request.ifaces) {
    if (auto uplink = attempt("--iface=" + iface, by_iface(snapshot, iface))) return *uplink;
  }
  for (const std::string& pattern : request.iface_regexes) {
    if (auto uplink = attempt("--iface-regex=" + pattern, by_regex(snapshot, pattern, request))) return *uplink;
  }
  if (request.iface_can_reach) {
    const std::string text = request.iface_can_reach->to_string();
    if (auto uplink = attempt("--iface-can-reach=" + text, by_route(snapshot, *request.iface_can_reach, route_to))) return *uplink;
  }
  const auto public_ip = wanted_public_ip(request);
  if (refused.empty() && public_ip) {
    const char* flag = public_ip->is_v4() ? "--public-ip=" : "--public-ipv6=";
    if (auto uplink = attempt(flag + public_ip->to_string(), by_address(snapshot, *public_ip))) return *uplink;
  } else if (refused.empty()) {
    const Choice choice = TRY(by_default_route(snapshot, request));
    if (auto uplink = attempt("the default route", choice)) return *uplink;
  }
  return with_remedy(
      fail(ErrorKind::not_found, "no interface can be the uplink ({}); there is {}", fmt::join(refused, "; "), describe(snapshot)),
      fmt::format("name an Ethernet interface that has an {} address with --iface",
                  request.families.size() == 1 ? family_name(request.families.front()) : "IPv4 and an IPv6"));
}

std::optional<Prefix> on_link_prefix(const Uplink& uplink, const IpAddress& address, const std::vector<Route>& routes) {
  const auto is_on_link = [&](const Route& route) {
    return route.link_index == uplink.index && !route.gateway && route.scope == RT_SCOPE_LINK;
  };
  std::optional<Prefix> longest;
  for (const Route& route : routes) {
    if (!is_on_link(route) || !route.destination.contains(address)) continue;
    if (!longest || route.destination.length() > longest->length()) longest = route.destination;
  }
  const bool all_are =
      longest && std::ranges::all_of(routes, [&](const Route& route) {
        return is_on_link(route) || route.destination.length() < longest->length() || !longest->contains(route.destination.address());
      });
  return all_are ? longest : std::nullopt;
}

Result<Uplink> refresh_uplink(const Uplink& uplink, const NetworkSnapshot& snapshot) {
  const Choice choice = TRY(by_name(snapshot, uplink.name));
  for (const Family family : kFamilies) {
    if (!uplink.address[family]) continue;
    const bool has_it = std::any_of(snapshot.addresses.begin(), snapshot.addresses.end(), [&](const LinkAddress& address) {
      return address.link_index == choice.link->index && address.prefix.address() == *uplink.address[family];
    });
    if (!has_it) return fail(ErrorKind::not_found, "{} no longer has the address {}", uplink.name, uplink.address[family]->to_string());
  }
  Uplink fresh = uplink;
  fresh.index = choice.link->index;
  fresh.mtu = choice.link->mtu;
  return fresh;
}

}  // namespace merino
