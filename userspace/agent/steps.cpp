#include "agent/steps.h"

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
  add("device", cause::kNetwork, {"uplink", "lease"}, keep_device);
  add("sysctls", cause::kNetwork, {"device"}, keep_sysctls);
  add("programs", 0, {"device", "uplink"}, keep_programs);
  // Peers before links: a program that is attached must know whom to believe.
  add("peers", 0, {"programs", "lease"}, keep_peers);
  add("links", cause::kNetwork, {"programs", "device", "uplink"}, keep_links);
  // Pods of flannel's bridge are served before its device goes.
  add("adoption", cause::kNetwork, {"programs", "peers"}, keep_adopted);
  add("takeover", cause::kNetwork, {"device", "sysctls", "peers", "links"}, take_over_device);
  add("route", cause::kNetwork, {"device", "takeover"}, keep_route);
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
