// Lease sources that are not built yet; each function goes when its source comes.
#include "cluster/kube_source.h"

namespace merino {

Result<std::unique_ptr<LeaseSource>> open_kube_source(const KubeOptions&, const StopSignal&) {
  return with_remedy(fail(ErrorKind::unsupported, "leases in Kubernetes are not supported in this version"), "use --lease-dir");
}

}  // namespace merino
