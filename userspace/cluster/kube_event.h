// A Node's Events: `kubectl describe node` shows them, and the API server forgets them after an hour.
#pragma once

#include <chrono>
#include <map>
#include <string>

#include "cluster/kube_client.h"
#include "cluster/lease_store.h"

namespace merino {

class KubeEvents {
 public:
  // One Event for each notice; telling it again counts it up. Errors: as the client's.
  Status tell(KubeClient& client, const std::string& node_name, const OperatorNotice& notice, std::chrono::system_clock::time_point now);

 private:
  struct Told {
    std::string name;  // of the Event
    int count = 0;
  };
  std::map<OperatorNotice, Told> told_;
};

}  // namespace merino
