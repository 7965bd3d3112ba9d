// What the agent's thread tells the threads that answer Prometheus: a copy of what it knows, after each pass.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agent/node.h"
#include "agent/reconciler.h"
#include "base/agent_status.h"
#include "base/histogram.h"
#include "cluster/lease_store.h"

namespace merino {

struct AgentMetrics {
  std::vector<Prefix> subnets;  // of this node
  std::vector<std::pair<std::string, std::string>> node_labels;
  bool ready = false;
  bool fast_path = false;
  int64_t lease_expires = kLeaseWithoutEnd;
  size_t leases = 0;  // of all nodes
  size_t rejected_leases = 0;
  std::vector<OffSegment> off_segment;
  std::vector<std::pair<std::string, size_t>> notices;  // how many hold, for each reason
  StoreState store;
  std::vector<StepState> steps;
  DurationHistogram passes;
  DurationHistogram lease_changes;  // from a change that the store told of to the end of the pass that applied it
};

// One writer, any number of readers.
class MetricsBoard {
 public:
  void publish(AgentMetrics metrics) {
    auto fresh = std::make_shared<const AgentMetrics>(std::move(metrics));
    const std::lock_guard lock(mutex_);
    newest_.swap(fresh);
  }
  // nullptr before the first pass.
  [[nodiscard]] std::shared_ptr<const AgentMetrics> read() const {
    const std::lock_guard lock(mutex_);
    return newest_;
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<const AgentMetrics> newest_;
};

}  // namespace merino
