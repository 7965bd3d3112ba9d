#include "cluster/kube_event.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace merino {
namespace {

using nlohmann::json;
using SystemTime = std::chrono::system_clock::time_point;

constexpr size_t kLongestNotice = 1024;  // the API server's limit
constexpr size_t kRemembered = 1000;

std::string rfc3339(SystemTime time) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::floor<std::chrono::seconds>(time)));
}

// As the kubelet makes them: unlike any that was made before.
std::string event_name(const std::string& node_name, SystemTime now, size_t number) {
  return fmt::format("{}.{:x}.{}", node_name, now.time_since_epoch().count(), number);
}

std::string dump(const json& document) { return document.dump(-1, ' ', false, json::error_handler_t::replace); }

std::string new_event(const std::string& name, const std::string& node_name, const OperatorNotice& notice, SystemTime now) {
  return dump({{"apiVersion", "v1"},
               {"kind", "Event"},
               {"metadata", {{"name", name}, {"namespace", "default"}}},
               // The kubelet's way to name a Node: `kubectl describe node` looks for this.
               {"involvedObject", {{"apiVersion", "v1"}, {"kind", "Node"}, {"name", node_name}, {"uid", node_name}}},
               {"reason", notice.reason},
               {"message", notice.message.substr(0, kLongestNotice)},
               {"type", "Warning"},
               {"source", {{"component", "merinod"}, {"host", node_name}}},
               {"firstTimestamp", rfc3339(now)},
               {"lastTimestamp", rfc3339(now)},
               {"count", 1}});
}

}  // namespace

Status KubeEvents::tell(KubeClient& client, const std::string& node_name, const OperatorNotice& notice, SystemTime now) {
  if (const auto known = told_.find(notice); known != told_.end()) {
    Told& told = known->second;
    Status counted = client.patch_event(told.name, dump({{"count", told.count + 1}, {"lastTimestamp", rfc3339(now)}}));
    if (counted) ++told.count;
    if (counted || counted.error().kind != ErrorKind::not_found) return counted;
    told_.erase(known);  // forgotten by the server
  }
  const std::string name = event_name(node_name, now, told_.size());
  TRY(client.create_event(new_event(name, node_name, notice, now)));
  if (told_.size() == kRemembered) told_.clear();
  told_[notice] = {name, 1};
  return ok();
}

}  // namespace merino
