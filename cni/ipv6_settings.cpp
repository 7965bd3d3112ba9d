#include "cni/ipv6_settings.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "netlink/sysctl.h"

namespace merino::cni {
namespace {

using Setting = std::pair<const char*, const char*>;

bool has_ipv6(const std::vector<Prefix>& addresses) {
  return std::any_of(addresses.begin(), addresses.end(), [](const Prefix& address) { return address.family() == Family::v6; });
}

Result<bool> set(const std::string& ifname, const Setting& setting) {
  return ensure_sysctl(fmt::format("net/ipv6/conf/{}/{}", ifname, setting.first), setting.second);
}

Status set_all(const std::string& ifname, std::span<const Setting> settings) {
  for (const Setting& setting : settings) {
    const auto done = set(ifname, setting);
    if (done) continue;
    if (done.error().kind != ErrorKind::not_found) return tl::unexpected(done.error());
    return with_remedy(tl::unexpected(done.error()), "the pod has an IPv6 address, but the kernel runs without IPv6 (ipv6.disable=1)");
  }
  return ok();
}

}  // namespace

Status set_host_ipv6(const std::string& ifname, const std::vector<Prefix>& addresses) {
  if (!has_ipv6(addresses)) {
    const auto off = set(ifname, {"disable_ipv6", "1"});
    if (off || off.error().kind == ErrorKind::not_found) return ok();
    return tl::unexpected(off.error());
  }
  constexpr Setting kRouter[] = {{"disable_ipv6", "0"}, {"accept_ra", "0"}, {"autoconf", "0"}, {"accept_dad", "0"}, {"forwarding", "1"}};
  return set_all(ifname, kRouter);
}

Status set_pod_ipv6(const std::string& ifname, const std::vector<Prefix>& addresses) {
  if (!has_ipv6(addresses)) return ok();
  constexpr Setting kLoopback[] = {{"disable_ipv6", "0"}};
  constexpr Setting kHost[] = {{"disable_ipv6", "0"}, {"accept_ra", "0"}, {"autoconf", "0"}, {"accept_dad", "0"}};
  TRY(set_all("lo", kLoopback));
  return set_all(ifname, kHost);
}

}  // namespace merino::cni
