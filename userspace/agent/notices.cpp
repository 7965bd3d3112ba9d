#include "agent/notices.h"

#include <fmt/format.h>

#include <algorithm>

namespace merino {

namespace {

constexpr size_t kLeasesTold = 20;

// Does this node speak for the cluster?
bool is_first(const Node& node) { return node.leases.leases.empty() || !(node.leases.leases.front().subnet < node.lease.subnet); }

// Keys of Kubernetes' store are names of Nodes.
bool overlaps_own(const Node& node, const RejectedLease& rejected) {
  if (rejected.lease) return overlap(rejected.lease->subnet, node.lease.subnet);
  const auto subnet = parse_subnet_key(rejected.key);
  return subnet && overlap(*subnet, node.lease.subnet);
}

// Without them nobody has asked the kernel about conntrack.
bool has_programs(const std::vector<StepState>& steps) {
  return std::none_of(steps.begin(), steps.end(),
                      [](const StepState& step) { return step.name == "programs" && step.condition != StepCondition::ok; });
}

void add_steps_notices(const NoticeFacts& facts, std::vector<OperatorNotice>& notices) {
  for (const StepState& step : facts.steps) {
    if (step.condition != StepCondition::failed) continue;
    if (step.name == "programs") {
      notices.push_back({"ProgramsNotLoaded", "merinod could not load its BPF programs: " + step.error});
    } else if (facts.now - step.since >= kStepPatience) {
      notices.push_back({"StepFailed", fmt::format("merinod cannot get {} in order: {}", step.name, step.error)});
    }
  }
}

// The route by which packets to `address` leave, as far as the uplink's go.
const Route* best_route(const std::vector<Route>& routes, const IpAddress& address) {
  const Route* best = nullptr;
  for (const Route& route : routes) {
    if (route.destination.contains(address) && (best == nullptr || route.destination.length() > best->destination.length())) best = &route;
  }
  return best;
}

// Tunnel packets, and those of the fast path without a tunnel, are sent whatever their route's MTU says. One notice for each route.
void add_route_notices(const Node& node, const std::vector<Route>& routes, int wanted, std::vector<OperatorNotice>& notices) {
  const auto is_small = [wanted](const Route& route) { return route.mtu != 0 && route.mtu < wanted; };
  if (std::none_of(routes.begin(), routes.end(), is_small)) return;
  std::vector<const Route*> told;
  for (const Lease& lease : node.leases.leases) {
    if (lease.subnet == node.lease.subnet) continue;
    for (const Family family : kFamilies) {
      const auto address = lease.attributes.public_ip[family];
      const Route* route = address ? best_route(routes, *address) : nullptr;
      if (route == nullptr || !is_small(*route) || std::find(told.begin(), told.end(), route) != told.end()) continue;
      told.push_back(route);
      notices.push_back(
          {"MtuMismatch",
           fmt::format("the route {} of the uplink {}, by which node {} is reached, carries {} bytes, and packets of pods take "
                       "up to {}: large ones are lost; set Backend.MTU to {} or less on every node, or the interface's MTU",
                       route->destination.to_string(), node.uplink.name, address->to_string(), route->mtu, wanted, route->mtu)});
    }
  }
}

}  // namespace

std::vector<OperatorNotice> host_notices(const Node& node, const UplinkFacts& uplink) {
  std::vector<OperatorNotice> notices;
  const int wanted = node.conf.vxlan.mtu.value_or(node.uplink.mtu);
  if (wanted > node.uplink.mtu) {
    notices.push_back(
        {"MtuMismatch",
         fmt::format("Backend.MTU is {}, but the uplink {} carries {} bytes: large packets of pods are lost; set Backend.MTU to "
                     "{} or less, or the interface's MTU to {}",
                     wanted, node.uplink.name, node.uplink.mtu, node.uplink.mtu, wanted)});
  }
  add_route_notices(node, uplink.routes, std::min(wanted, node.uplink.mtu), notices);
  for (const LinkAddress& address : uplink.addresses) {
    const auto network = node.conf.networks()[address.prefix.family()];
    if (address.link_index != node.uplink.index || !network || !address.prefix.overlaps(*network)) continue;
    notices.push_back({"NetworkOverlap",
                       fmt::format("the pod network {} overlaps {}, the network of the uplink {}: hosts there are taken for pods; choose "
                                   "another Network in net-conf.json",
                                   network->to_string(), address.prefix.masked().to_string(), node.uplink.name)});
  }
  return notices;
}

std::vector<OperatorNotice> current_notices(const Node& node, const NoticeFacts& facts) {
  std::vector<OperatorNotice> notices = facts.of_host;
  if (has_programs(facts.steps) && node.conf.fast_path && !fast_path_obstacle(node).empty()) {
    notices.push_back(
        {"KernelLacksFeature",
         fmt::format("packets of pods take the slow path: {}; load nf_conntrack, or take Linux 5.19 or later", fast_path_obstacle(node))});
  }
  add_steps_notices(facts, notices);
  const bool speaks = is_first(node);
  size_t told = 0;
  for (const RejectedLease& lease : facts.ignored) {
    const bool own_affair = overlaps_own(node, lease);
    if ((!own_affair && !speaks) || ++told > kLeasesTold) continue;
    notices.push_back({own_affair ? "SubnetConflict" : "LeaseIgnored",
                       fmt::format("lease {} is ignored: {}; merinoctl leases lists all", lease.key, lease.reason)});
  }
  return notices;
}

void NoticeTeller::tell(LeaseStore& store, const std::vector<OperatorNotice>& notices, Clock::time_point now) {
  // What does not hold any more is told anew when it comes back, but not each time that it flickers.
  std::erase_if(told_, [&](const auto& entry) { return now - entry.second >= kAgain; });
  for (const OperatorNotice& notice : notices) {
    if (told_.emplace(notice, now).second) store.tell(notice);
  }
}

}  // namespace merino
