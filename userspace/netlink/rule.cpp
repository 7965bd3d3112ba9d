#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <optional>

#include "netlink.h"
#include "netlink/request.h"

namespace merino {
namespace {

Request rule_request(int type, int flags, uint32_t priority, uint32_t table) {
  fib_rule_hdr header{};
  header.family = AF_INET6;
  header.action = FR_ACT_TO_TBL;
  Request request(type, flags | NLM_F_ACK, header);
  request.put(FRA_PRIORITY, priority).put(FRA_TABLE, table);
  return request;
}

struct Rule {
  uint32_t priority = 0;
  uint32_t table = RT_TABLE_UNSPEC;
  bool operator==(const Rule&) const = default;
};

// What the kernel makes itself (fib_default_rules_init(), net/ipv4/fib_rules.c; IPv6 has no "default").
constexpr Rule kKernelRules[] = {{0, RT_TABLE_LOCAL}, {32766, RT_TABLE_MAIN}, {32767, RT_TABLE_DEFAULT}};

}  // namespace

Result<bool> Netlink::has_policy_rules(Family family) {
  fib_rule_hdr header{};
  header.family = static_cast<uint8_t>(kernel_family(family));
  Request request(RTM_GETRULE, NLM_F_DUMP, header);
  const auto others = dump<Rule>(socket_.get(), request, "list rules", [](const nlmsghdr& message) -> std::optional<Rule> {
    const Attributes attributes(message, sizeof(fib_rule_hdr));
    const Rule rule{attributes.get<uint32_t>(FRA_PRIORITY), attributes.get<uint32_t>(FRA_TABLE)};
    return std::ranges::find(kKernelRules, rule) == std::end(kKernelRules) ? std::optional(rule) : std::nullopt;
  });
  if (others) return !others->empty();
  if (others.error().sys_errno == EOPNOTSUPP || others.error().sys_errno == EAFNOSUPPORT)
    return false;  // a kernel without rules has main only
  return tl::unexpected(others.error());
}

// The kernel compares (rule_exists(), net/core/fib_rules.c): NLM_F_EXCL says whether the same rule is there.
Result<bool> Netlink::ensure_udp_rule(uint32_t priority, uint32_t table, uint16_t port) {
  Request request = rule_request(RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, priority, table);
  request.put(FRA_IIFNAME, std::string("lo"));  // what the host itself sends
  request.put(FRA_IP_PROTO, static_cast<uint8_t>(IPPROTO_UDP)).put(FRA_DPORT_RANGE, fib_rule_port_range{port, port});
  auto added = exchange(socket_.get(), request, fmt::format("add IPv6 rule {} for UDP port {}", priority, port));
  if (added) return true;
  if (added.error().sys_errno == EEXIST) return false;
  return tl::unexpected(std::move(added).error());
}

Status Netlink::remove_rule(uint32_t priority, uint32_t table) {
  Request request = rule_request(RTM_DELRULE, 0, priority, table);
  auto removed = exchange(socket_.get(), request, fmt::format("delete IPv6 rule {}", priority));
  if (!removed && removed.error().sys_errno == ENOENT) return ok();
  return removed;
}

}  // namespace merino
