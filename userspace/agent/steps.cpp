#include "agent/steps.h"

#include "agent/withdraw.h"

namespace merino {

void add_steps(Reconciler& reconciler, Site& site) {
  const auto add = [&](std::string name, unsigned causes, std::vector<std::string> needs, Result<bool> (*step)(Site&)) {
    reconciler.add({.name = std::move(name), .causes = causes, .needs = std::move(needs), .run = [&site, step] { return step(site); }});
  };
  add("uplink", cause::kNetwork, {}, follow_uplink);
  // A lease that cannot be renewed has an hour by default: no hurry, as flannel.
  reconciler.add({.name = "lease",
                  .causes = cause::kLeases,
                  .needs = {"uplink"},
                  .run = [&site] { return keep_lease(site); },
                  .longest_backoff = std::chrono::minutes(1)});
  const bool has_endpoint_routes = site.node.conf.backend == BackendType::vxlan && site.node.conf.pools.v6;
  // Another backend, or another choice of families, may have left them. Nobody makes them meanwhile: no event is a reason to look.
  if (!has_endpoint_routes) add("endpoint-routes", 0, {}, [](Site& with) { return withdraw_endpoint_routes(with.netlink); });
  if (site.node.conf.backend == BackendType::alloc) {
    // A lease, its masquerade and its file: something else moves the packets, and what another backend left is in its way.
    add("withdrawal", cause::kNetwork, {"lease"}, [](Site& with) { return withdraw_datapath(with.netlink); });
    add("rules", cause::kRules, {"lease"}, keep_rules);
    add("forward", cause::kRules, {}, keep_forward);
    add("subnet-file", 0, {"uplink", "lease", "withdrawal", "rules", "forward"}, keep_subnet_env);
    add("announcement", cause::kLeases, {"subnet-file"}, announce);
    return;
  }
  // What the other nodes' leases are is nothing to most of the steps.
  add("leases", cause::kLeases, {"lease"}, follow_leases);
  add("device", cause::kNetwork, {"uplink", "lease"}, keep_device);
  add("sysctls", cause::kNetwork, {"device"}, keep_sysctls);
  if (has_endpoint_routes) add("endpoint-routes", cause::kNetwork, {"uplink"}, keep_endpoint_routes);
  add("programs", 0, {"device", "uplink"}, keep_programs);
  std::vector<std::string> peers_need = {"uplink", "programs", "leases"};
  if (site.node.conf.has_direct_peers()) {
    add("segment", cause::kNetwork, {"uplink", "leases"}, keep_segment);
    add("neighbours", cause::kNetwork | cause::kNeighbours, {"segment"}, keep_neighbours);
    peers_need.insert(peers_need.end(), {"segment", "neighbours"});
  }
  // Peers before links: a program that is attached must know whom to believe.
  add("peers", 0, peers_need, keep_peers);
  add("links", cause::kNetwork, {"programs", "device", "uplink"}, keep_links);
  add("wire-xdp", cause::kNetwork, {"programs", "peers", "links", "uplink"}, keep_wire_xdp);
  // Pods of flannel's bridge are served before its device goes.
  add("adoption", cause::kNetwork, {"programs", "peers"}, keep_adopted);
  add("takeover", cause::kNetwork, {"device", "sysctls", "peers", "links"}, take_over_device);
  add("route", cause::kNetwork, {"device", "takeover"}, keep_route);
  if (site.node.conf.has_direct_peers()) add("flannel-routes", cause::kNetwork, {"peers", "links", "route"}, take_over_routes);
  add("rules", cause::kRules, {"lease"}, keep_rules);
  add("forward", cause::kRules, {}, keep_forward);
  add("flannel-rules", cause::kRules, {"takeover", "rules", "forward"}, take_over_rules);
  add("pods", cause::kNetwork, {"programs"}, keep_pods);
  // From here on the CNI plugin attaches pods.
  add("subnet-file", 0, {"uplink", "lease", "device", "sysctls", "programs", "peers", "links", "route", "rules", "forward"},
      keep_subnet_env);
  add("announcement", cause::kLeases, {"subnet-file"}, announce);
}

}  // namespace merino
