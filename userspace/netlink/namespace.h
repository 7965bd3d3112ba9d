// Network namespaces: opening them and standing in them.
#pragma once

#include <string>
#include <utility>

#include "base/fd.h"
#include "base/result.h"

namespace merino {

// Opens a network namespace by path ("/run/netns/x", "/proc/PID/ns/net"); not_found if missing or not a namespace (nsfs is checked).
Result<Fd> open_network_namespace(const std::string& path);

// The calling thread inside another network namespace, until destruction in the same thread.
class NamespaceGuard {
 public:
  // not_found when `netns_fd`'s namespace cannot be entered.
  static Result<NamespaceGuard> enter(int netns_fd);
  NamespaceGuard(NamespaceGuard&&) noexcept = default;
  NamespaceGuard& operator=(NamespaceGuard&&) = delete;
  NamespaceGuard(const NamespaceGuard&) = delete;
  NamespaceGuard& operator=(const NamespaceGuard&) = delete;
  ~NamespaceGuard();

 private:
  explicit NamespaceGuard(Fd original) : original_(std::move(original)) {}
  Fd original_;
};

}  // namespace merino
