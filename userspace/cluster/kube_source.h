// Leases as flannel's annotations of Kubernetes' Nodes (--kube-subnet-mgr).
#pragma once

#include <memory>
#include <string>

#include "cluster/remote_store.h"

namespace merino {

struct KubeOptions {
  std::string api_url;          // --kube-api-url; empty: the kubeconfig's, or in-cluster
  std::string kubeconfig_file;  // empty: the service account of the pod
  std::string annotation_prefix = "flannel.alpha.coreos.com";
  bool set_node_network_unavailable = true;
  std::string node_name;                // NODE_NAME; empty: the pod is asked for its node
  std::string pod_name, pod_namespace;  // POD_NAME, POD_NAMESPACE
};

// Checks the options and reads the credentials (invalid, not_found: naming file, key and remedy); asks nobody yet.
Result<std::unique_ptr<LeaseSource>> open_kube_source(const KubeOptions& options, const StopSignal& stop);

}  // namespace merino
