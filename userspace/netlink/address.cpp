#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <cerrno>

#include "netlink.h"
#include "netlink/request.h"

namespace merino {
namespace {

ifaddrmsg address_header(unsigned link_index, const Prefix& prefix) {
  ifaddrmsg header{};
  header.ifa_family = static_cast<uint8_t>(kernel_family(prefix.family()));
  header.ifa_prefixlen = static_cast<uint8_t>(prefix.length());
  header.ifa_index = link_index;
  return header;
}

std::optional<LinkAddress> parse_address(const nlmsghdr& message) {
  const auto& header = family_header<ifaddrmsg>(message);
  if (header.ifa_family != AF_INET && header.ifa_family != AF_INET6) return std::nullopt;
  const Family family = header.ifa_family == AF_INET ? Family::v4 : Family::v6;
  const Attributes attributes(message, sizeof header);
  // IFA_ADDRESS is the far end where there is one.
  auto address = attributes.address(IFA_LOCAL, family);
  if (!address) address = attributes.address(IFA_ADDRESS, family);
  if (!address) return std::nullopt;
  return LinkAddress{header.ifa_index, Prefix(*address, header.ifa_prefixlen), header.ifa_scope,
                     attributes.get<uint32_t>(IFA_FLAGS, header.ifa_flags)};
}

// `kernel_family`: AF_UNSPEC for both.
Result<std::vector<LinkAddress>> list_addresses(nl_sock* socket, int family, unsigned link_index) {
  ifaddrmsg header{};
  header.ifa_family = static_cast<uint8_t>(family);
  header.ifa_index = link_index;
  Request request(RTM_GETADDR, NLM_F_DUMP, header);
  const std::string what = link_index == 0 ? "list addresses" : fmt::format("list addresses of interface {}", link_index);
  return dump<LinkAddress>(socket, request, what, [&](const nlmsghdr& message) {
    auto address = parse_address(message);
    return link_index == 0 || (address && address->link_index == link_index) ? address : std::nullopt;
  });
}

// Of the flags that the kernel keeps or sets, those that make an address another one than wanted.
bool same_flags(uint32_t have, uint32_t want) {
  constexpr uint32_t kCompared = IFA_F_NOPREFIXROUTE | IFA_F_PERMANENT | IFA_F_DADFAILED;
  return ((have ^ (want | IFA_F_PERMANENT)) & kCompared) == 0;
}

Status add_address(nl_sock* socket, unsigned link_index, const Prefix& prefix, uint32_t flags) {
  Request request(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, address_header(link_index, prefix));
  request.put(IFA_LOCAL, prefix.address()).put(IFA_ADDRESS, prefix.address()).put(IFA_FLAGS, flags);
  return exchange(socket, request, fmt::format("add address {} to interface {}", prefix.to_string(), link_index));
}

}  // namespace

Result<std::vector<LinkAddress>> Netlink::addresses(std::optional<unsigned> link_index) {
  return list_addresses(socket_.get(), AF_UNSPEC, link_index.value_or(0));
}

Result<bool> Netlink::ensure_address(unsigned link_index, const Prefix& prefix, uint32_t flags) {
  bool present = false;
  std::vector<Prefix> stale;
  for (const LinkAddress& have : TRY(list_addresses(socket_.get(), kernel_family(prefix.family()), link_index))) {
    if (have.prefix.address() != prefix.address()) continue;
    if (have.prefix == prefix && same_flags(have.flags, flags)) {
      present = true;
    } else {
      stale.push_back(have.prefix);
    }
  }
  for (const Prefix& wrong : stale) TRY(remove_address(link_index, wrong));
  if (present) return !stale.empty();
  TRY(add_address(socket_.get(), link_index, prefix, flags));
  return true;
}

Status Netlink::remove_address(unsigned link_index, const Prefix& prefix) {
  Request request(RTM_DELADDR, NLM_F_ACK, address_header(link_index, prefix));
  request.put(IFA_LOCAL, prefix.address()).put(IFA_ADDRESS, prefix.address());
  auto removed = exchange(socket_.get(), request, fmt::format("remove address {} from interface {}", prefix.to_string(), link_index));
  if (!removed && (removed.error().sys_errno == EADDRNOTAVAIL || removed.error().sys_errno == ENODEV)) return ok();
  return removed;
}

}  // namespace merino
