#include "ctl/pod_inspect.h"

#include <fmt/format.h>

#include <algorithm>

#include "netlink/namespace.h"
#include "netlink/netlink.h"

namespace merino::ctl {

namespace {

Result<InsideOfPod> look_around(const PodRow& row, const IpAddress& elsewhere) {
  InsideOfPod inside;
  Netlink netlink = TRY(Netlink::open());
  const auto link = TRY(netlink.link_by_name(row.attachment->ifname));
  if (!link || !link->is_up()) {
    inside.interface = link ? InsideOfPod::Interface::down : InsideOfPod::Interface::gone;
    return inside;
  }
  const auto addresses = TRY(netlink.addresses(link->index));
  inside.has_address =
      std::any_of(addresses.begin(), addresses.end(), [&](const LinkAddress& each) { return each.prefix.address() == row.address; });
  if (const auto route = netlink.route_to(elsewhere); !route) inside.no_route = route.error().message();
  return inside;
}

}  // namespace

std::optional<InsideOfPod> look_inside(const PodRow& row, const IpAddress& elsewhere) {
  const auto netns = open_network_namespace(row.attachment->netns);
  if (!netns) return std::nullopt;
  const auto inside = in_network_namespace(netns->get(), [&] { return look_around(row, elsewhere); });
  return inside ? std::optional(*inside) : std::nullopt;
}

std::optional<Finding> diagnose(const PodRow& row, const InsideOfPod& inside) {
  const Attachment& record = *row.attachment;
  const std::string who = fmt::format("pod {} ({})", row.address.to_string(), pod_title(row));
  std::string what;
  if (inside.interface == InsideOfPod::Interface::gone) {
    what = fmt::format("{} has no interface {} any more", who, record.ifname);
  } else if (inside.interface == InsideOfPod::Interface::down) {
    what = fmt::format("{} of {} is down", record.ifname, who);
  } else if (!inside.has_address) {
    what = fmt::format("{} has lost this address: {} has it no more", who, record.ifname);
  } else if (!inside.no_route.empty()) {
    what = fmt::format("{} has no route to other nodes' pods: {}", who, inside.no_route);
  } else {
    return std::nullopt;
  }
  return Finding{what, fmt::format("something in the pod took it away: make the pod anew; to look: nsenter --net={} ip address, ip route",
                                   record.netns)};
}

}  // namespace merino::ctl
