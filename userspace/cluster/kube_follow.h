// Follows the Nodes of a cluster: a list in pages, then watches, each from where the last one ended.
#pragma once

#include <functional>
#include <string>

#include "cluster/kube_client.h"
#include "cluster/kube_lease.h"

namespace merino {

class KubeFollower {
 public:
  // Called whenever what is known has changed, and at least once when the API server has been reached (again).
  using OnChange = std::function<void(const NodeLeases& nodes)>;

  // `own` is this node's name: an event about it is told even if its lease is as it was.
  KubeFollower(KubeClient& client, const AnnotationNames& names, std::string own);

  // Returns when the API server is lost or talks nonsense, or the StopSignal was raised. What is known is kept: the next call goes on
  // from there, by a new list if the history is gone.
  Status run(const OnChange& changed);

 private:
  Status list();
  Result<KubeOutcome> list_pages(NodeLeases& found, std::string& version);
  Result<KubeOutcome> watch(const OnChange& changed);
  Status check_history();
  Status apply(const KubeEvent& event);
  [[nodiscard]] Status check_order(const KubeEvent& event) const;
  Status take_error(const KubeEvent& event);
  Status put(NodeLeases& nodes, const KubeNode& node) const;

  KubeClient& client_;
  const AnnotationNames& names_;
  std::string own_;
  NodeLeases nodes_;
  std::string version_;  // resourceVersion up to which nodes_ is known; empty: nothing is
  bool changed_ = false;
  bool gone_ = false;
  size_t events_ = 0;  // of the present watch
};

}  // namespace merino
