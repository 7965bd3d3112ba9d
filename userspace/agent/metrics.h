// /metrics: everything that this node counts, as Prometheus reads it. docs/metrics.md lists the names.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/http_server.h"
#include "agent/metrics_board.h"
#include "base/call_counts.h"
#include "base/result.h"
#include "datapath/counters.h"
#include "datapath/peer_table.h"
#include "datapath/pod_table.h"

namespace merino {

// Addresses that an IPAM plugin keeps in host-local's directory: those of pods that are gone without a DEL too.
inline constexpr const char* kIpamDir = "/var/lib/cni/networks";

// What a scrape shows: what the agent's thread said, and what is read at that moment.
struct MetricsInput {
  std::shared_ptr<const AgentMetrics> agent;  // nullptr: it has not made a pass yet
  Result<std::vector<Counter>> counters;
  Result<std::vector<Peer>> peers;
  Result<std::vector<PodEntry>> pods;
  Result<std::vector<IpAddress>> reserved;
  Result<std::vector<CallCount>> calls;
};

MetricsInput read_metrics(const MetricsBoard& board);

// Names of files below `directory`/<network> that are addresses; none if there is no such directory.
Result<std::vector<IpAddress>> reserved_addresses(const std::string& directory = kIpamDir);

// Prometheus' text format, version 0.0.4.
std::string format_metrics(const MetricsInput& input);

// Listens on ip:port; `board` outlives the server.
Result<std::unique_ptr<HttpServer>> start_metrics_server(const std::string& ip, uint16_t port, const MetricsBoard& board);

}  // namespace merino
