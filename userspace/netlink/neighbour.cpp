#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>

#include "netlink.h"
#include "netlink/request.h"

namespace merino {
namespace {

ndmsg neighbour_header(unsigned link_index, const IpAddress& address, uint16_t state) {
  ndmsg header{};
  header.ndm_family = static_cast<uint8_t>(kernel_family(address.family()));
  header.ndm_ifindex = static_cast<int>(link_index);
  header.ndm_state = state;
  return header;
}

Result<bool> is_present(nl_sock* socket, unsigned link_index, const IpAddress& address, const MacAddress& mac) {
  Request request(RTM_GETNEIGH, 0, neighbour_header(link_index, address, 0));
  request.put(NDA_DST, address);
  bool same = false;
  const auto asked = exchange(socket, request, fmt::format("look up neighbour {} on interface {}", address.to_string(), link_index),
                              [&](const nlmsghdr& message) {
                                const bool permanent = family_header<ndmsg>(message).ndm_state == NUD_PERMANENT;
                                same = permanent && Attributes(message, sizeof(ndmsg)).mac(NDA_LLADDR) == mac;
                              });
  if (!asked && asked.error().sys_errno != ENOENT) return tl::unexpected(asked.error());
  return same;
}

// `type` is RTM_NEWNEIGH or RTM_DELNEIGH.
Status change_proxy(nl_sock* socket, int type, unsigned link_index, const IpAddress& address) {
  ndmsg header = neighbour_header(link_index, address, NUD_NONE);
  header.ndm_flags = NTF_PROXY;
  Request request(type, NLM_F_ACK | (type == RTM_NEWNEIGH ? NLM_F_CREATE | NLM_F_REPLACE : 0), header);
  request.put(NDA_DST, address);
  const char* verb = type == RTM_NEWNEIGH ? "answer for" : "answer no more for";
  return exchange(socket, request, fmt::format("{} {} on interface {}", verb, address.to_string(), link_index));
}

Result<std::vector<IpAddress>> list_proxies(nl_sock* socket, unsigned link_index, Family family) {
  ndmsg header{};
  header.ndm_family = static_cast<uint8_t>(kernel_family(family));
  header.ndm_flags = NTF_PROXY;
  Request request(RTM_GETNEIGH, NLM_F_DUMP, header);
  return dump<IpAddress>(socket, request, fmt::format("list what is answered for on interface {}", link_index),
                         [&](const nlmsghdr& message) -> std::optional<IpAddress> {
                           const auto& found = family_header<ndmsg>(message);
                           const bool wanted = found.ndm_ifindex == static_cast<int>(link_index) && (found.ndm_flags & NTF_PROXY) != 0;
                           return wanted ? Attributes(message, sizeof(ndmsg)).address(NDA_DST, family) : std::nullopt;
                         });
}

// The states in which the kernel sends to lladdr without asking first.
constexpr uint16_t kUsable = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE | NUD_DELAY;

}  // namespace

Result<std::vector<Neighbour>> Netlink::neighbours(unsigned link_index, Family family) {
  ndmsg header{};
  header.ndm_family = static_cast<uint8_t>(kernel_family(family));
  Request request(RTM_GETNEIGH, NLM_F_DUMP, header);
  request.put(NDA_IFINDEX, link_index);
  return dump<Neighbour>(socket_.get(), request, fmt::format("list the neighbours on interface {}", link_index),
                         [&](const nlmsghdr& message) -> std::optional<Neighbour> {
                           const auto& found = family_header<ndmsg>(message);
                           if (found.ndm_ifindex != static_cast<int>(link_index)) return std::nullopt;
                           const Attributes attributes(message, sizeof(ndmsg));
                           const auto address = attributes.address(NDA_DST, family);
                           if (!address || (found.ndm_state & kUsable) == 0) return std::nullopt;
                           return Neighbour{*address, attributes.mac(NDA_LLADDR)};
                         });
}

Result<bool> Netlink::ensure_proxies(unsigned link_index, const Prefix& network, const std::vector<IpAddress>& addresses) {
  const std::vector<IpAddress> present = TRY(list_proxies(socket_.get(), link_index, network.family()));
  bool changed = false;
  for (const IpAddress& address : addresses) {
    if (std::ranges::find(present, address) != present.end()) continue;
    TRY(change_proxy(socket_.get(), RTM_NEWNEIGH, link_index, address));
    changed = true;
  }
  for (const IpAddress& address : present) {
    if (!network.contains(address) || std::ranges::find(addresses, address) != addresses.end()) continue;
    auto removed = change_proxy(socket_.get(), RTM_DELNEIGH, link_index, address);
    if (!removed && removed.error().sys_errno != ENOENT) return tl::unexpected(std::move(removed.error()));
    changed = true;
  }
  return changed;
}

Status Netlink::probe_neighbour(unsigned link_index, const IpAddress& address) {
  ndmsg header = neighbour_header(link_index, address, NUD_NONE);
  header.ndm_flags = NTF_USE;
  Request request(RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE, header);
  request.put(NDA_DST, address);
  return exchange(socket_.get(), request, fmt::format("ask for neighbour {} on interface {}", address.to_string(), link_index));
}

Result<bool> Netlink::ensure_neighbour(unsigned link_index, const IpAddress& address, const MacAddress& mac) {
  if (TRY(is_present(socket_.get(), link_index, address, mac))) return false;
  Request request(RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE, neighbour_header(link_index, address, NUD_PERMANENT));
  request.put(NDA_DST, address).put(NDA_LLADDR, mac);
  TRY(exchange(socket_.get(), request, fmt::format("set neighbour {} on interface {}", address.to_string(), link_index)));
  return true;
}

}  // namespace merino
