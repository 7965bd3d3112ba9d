#include <net/if.h>
#include <net/if_arp.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "netlink/link_message.h"

namespace merino {
namespace {

constexpr size_t kAltNameSize = 128;  // ALTIFNAMSIZ of <linux/if.h>, which cannot stand beside <net/if.h>

ifinfomsg link_header(unsigned index) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = static_cast<int>(index);
  return header;
}

Result<std::optional<Link>> find_link(nl_sock* socket, const std::string& name, unsigned index) {
  std::optional<Link> found;
  TRY(get_link(socket, name, index,
               [&](const ifinfomsg& header, const Attributes& attributes) { found = parse_link(header, attributes); }));
  return found;
}

}  // namespace

bool Link::is_up() const { return (flags & IFF_UP) != 0; }
bool Link::is_loopback() const { return (flags & IFF_LOOPBACK) != 0; }

Link parse_link(const ifinfomsg& header, const Attributes& attributes) {
  Link link;
  link.index = static_cast<unsigned>(header.ifi_index);
  link.name = attributes.text(IFLA_IFNAME);
  link.kind = attributes.nest(IFLA_LINKINFO).text(IFLA_INFO_KIND);
  link.mac = attributes.mac(IFLA_ADDRESS);
  link.mtu = attributes.get<int>(IFLA_MTU);
  link.flags = header.ifi_flags;
  link.peer_index = attributes.get<uint32_t>(IFLA_LINK);
  link.master_index = attributes.get<uint32_t>(IFLA_MASTER);
  if (attributes.has(IFLA_LINK_NETNSID)) link.peer_netns = attributes.get<int32_t>(IFLA_LINK_NETNSID);
  link.qdisc = attributes.text(IFLA_QDISC);
  link.ethernet = header.ifi_type == ARPHRD_ETHER;
  return link;
}

Status get_link(nl_sock* socket, const std::string& name, unsigned index,
                const std::function<void(const ifinfomsg&, const Attributes&)>& on_link) {
  Request request(RTM_GETLINK, 0, link_header(index));
  if (!name.empty()) request.put(name.size() < IFNAMSIZ ? IFLA_IFNAME : IFLA_ALT_IFNAME, name);
  request.put(IFLA_EXT_MASK, uint32_t{RTEXT_FILTER_SKIP_STATS});
  const std::string what = name.empty() ? fmt::format("look up interface {}", index) : "look up interface " + name;
  auto answered = exchange(socket, request, what, [&](const nlmsghdr& message) {
    on_link(family_header<ifinfomsg>(message), Attributes(message, sizeof(ifinfomsg)));
  });
  if (!answered && answered.error().sys_errno == ENODEV) return ok();
  return answered;
}

Request change_link(unsigned index, unsigned flags, unsigned mask) {
  ifinfomsg header = link_header(index);
  header.ifi_flags = flags;
  header.ifi_change = mask;
  return {RTM_SETLINK, NLM_F_ACK, header};
}

Status check_link_name(const std::string& name) {
  const auto is_bad = [](unsigned char c) { return c <= ' ' || c == '/' || c == ':' || c == '%' || c == 0x7f; };
  if (!name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." && std::ranges::none_of(name, is_bad)) return ok();
  return with_remedy(fail(ErrorKind::invalid, "\"{}\" cannot be the name of an interface", name),
                     "use 1 to 15 characters without space, '/', ':' and '%'");
}

std::optional<std::string> link_name(unsigned index) {
  std::array<char, IF_NAMESIZE> name{};
  if (::if_indextoname(index, name.data()) == nullptr) return std::nullopt;
  return name.data();
}

Result<std::vector<Link>> Netlink::links() {
  Request request(RTM_GETLINK, NLM_F_DUMP, link_header(0));
  request.put(IFLA_EXT_MASK, uint32_t{RTEXT_FILTER_SKIP_STATS});
  return dump<Link>(socket_.get(), request, "list interfaces", [](const nlmsghdr& message) -> std::optional<Link> {
    return parse_link(family_header<ifinfomsg>(message), Attributes(message, sizeof(ifinfomsg)));
  });
}

Result<std::optional<Link>> Netlink::link_by_name(const std::string& name) {
  if (name.empty() || name.size() >= kAltNameSize) return std::nullopt;
  return find_link(socket_.get(), name, 0);
}

Result<std::optional<Link>> Netlink::link_by_index(unsigned index) {
  if (index == 0) return std::nullopt;
  return find_link(socket_.get(), "", index);
}

Status Netlink::set_link_up(unsigned index) {
  Request request = change_link(index, IFF_UP, IFF_UP);
  return exchange(socket_.get(), request, fmt::format("set interface {} up", index));
}

Status Netlink::set_link_down(unsigned index) {
  Request request = change_link(index, 0, IFF_UP);
  return exchange(socket_.get(), request, fmt::format("set interface {} down", index));
}

Result<unsigned> Netlink::create_bridge(const std::string& name) {
  TRY(check_link_name(name));
  Request request(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, link_header(0));
  request.put(IFLA_IFNAME, name).put(IFLA_ADDRESS, MacAddress::random());
  request.nest(IFLA_LINKINFO, [&] { request.put(IFLA_INFO_KIND, std::string("bridge")); });
  TRY(exchange(socket_.get(), request, fmt::format("make bridge {}", name)));
  const auto link = TRY(find_link(socket_.get(), name, 0));
  if (!link) return fail(ErrorKind::unavailable, "make bridge {}: it was deleted at once by somebody else", name);
  return link->index;
}

Status Netlink::set_bridge_port(unsigned index, unsigned bridge_index) {
  Request join = change_link(index);
  join.put(IFLA_MASTER, bridge_index);
  TRY(exchange(socket_.get(), join, fmt::format("make interface {} a port of bridge {}", index, bridge_index)));
  // What a port has of its own cannot be set by the request that makes it one.
  Request mode(RTM_NEWLINK, NLM_F_ACK, link_header(index));
  mode.nest(IFLA_LINKINFO, [&] {
    mode.put(IFLA_INFO_SLAVE_KIND, std::string("bridge"));
    mode.nest(IFLA_INFO_SLAVE_DATA, [&] { mode.put(IFLA_BRPORT_MODE, uint8_t{1}); });
  });
  return exchange(socket_.get(), mode, fmt::format("set bridge port {} to hairpin mode", index));
}

Status Netlink::set_link_mtu(unsigned index, int mtu) {
  Request request = change_link(index);
  request.put(IFLA_MTU, mtu);
  return exchange(socket_.get(), request, fmt::format("set the MTU of interface {} to {}", index, mtu));
}

Status Netlink::delete_link(unsigned index) {
  Request request(RTM_DELLINK, NLM_F_ACK, link_header(index));
  auto deleted = exchange(socket_.get(), request, fmt::format("delete interface {}", index));
  if (!deleted && deleted.error().sys_errno == ENODEV) return ok();
  return deleted;
}

}  // namespace merino
