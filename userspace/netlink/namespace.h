// Network namespaces: opening them and working in them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace merino {

// Opens a network namespace by path ("/run/netns/x", "/proc/PID/ns/net"); not_found if missing or not a namespace (nsfs is checked).
Result<Fd> open_network_namespace(const std::string& path);

// Runs `inside` in a thread of its own that is in another network namespace; returns when it has ended. The calling thread stays where it
// is, so there is no way back that could fail. not_found when `netns_fd`'s namespace cannot be entered: `inside` was not called then.
Status run_in_network_namespace(int netns_fd, const std::function<void()>& inside);

// The same for a function with a Result (or the like); gives that.
template <class Function>
auto in_network_namespace(int netns_fd, const Function& function) -> decltype(function()) {
  std::optional<decltype(function())> outcome;
  TRY(run_in_network_namespace(netns_fd, [&] { outcome.emplace(function()); }));
  return *std::move(outcome);
}

}  // namespace merino
