#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>

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

}  // namespace

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
