#include "agent/metrics.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <memory>
#include <mutex>
#include <sstream>

#include "agent/process_metrics.h"
#include "agent/version.h"
#include "cluster/lease.h"

namespace merino {

namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

constexpr const char* kTextFormat = "text/plain; version=0.0.4; charset=utf-8";

// Steps that follow what is outside of the agent: what they change is news, not damage that they mended.
constexpr std::array kFollowers = {"uplink", "lease", "segment", "neighbours", "adoption"};

// Each is a time series of its own; merino_leases_rejected counts all.
constexpr size_t kNamedPeers = 100;

double seconds(std::chrono::nanoseconds span) { return std::chrono::duration<double>(span).count(); }
double unix_time(std::chrono::system_clock::time_point time) { return std::chrono::duration<double>(time.time_since_epoch()).count(); }

class Rows {
 public:
  Rows(std::vector<MetricFamily>& families, MetricType type, const char* name, const char* help) : type_(type) {
    families.push_back({name, help, type, {}});
    metrics_ = &families.back().metric;
  }

  Rows& add(double value, Labels labels = {}) {
    ClientMetric& metric = next(std::move(labels));
    (type_ == MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
    return *this;
  }

  Rows& add(const DurationHistogram& histogram, Labels labels = {}) {
    ClientMetric::Histogram& out = next(std::move(labels)).histogram;
    for (size_t i = 0; i < kDurationBuckets; ++i) {
      out.sample_count += histogram.buckets[i];
      const bool last = i == kDurationBounds.size();
      out.bucket.push_back({out.sample_count, last ? std::numeric_limits<double>::infinity() : kDurationBounds[i]});
    }
    out.sample_sum = seconds(histogram.sum);
    return *this;
  }

  // A summary without quantiles: how often, and how long in all.
  Rows& add_sum(uint64_t count, std::chrono::nanoseconds sum, Labels labels) {
    ClientMetric::Summary& out = next(std::move(labels)).summary;
    out.sample_count = count;
    out.sample_sum = seconds(sum);
    return *this;
  }

 private:
  ClientMetric& next(Labels labels) {
    metrics_->push_back({});
    metrics_->back().label = std::move(labels);
    return metrics_->back();
  }

  MetricType type_;
  std::vector<ClientMetric>* metrics_;
};

// `families` must not grow while Rows are in use.
class Page {
 public:
  Rows gauge(const char* name, const char* help) { return {families_, MetricType::Gauge, name, help}; }
  Rows counter(const char* name, const char* help) { return {families_, MetricType::Counter, name, help}; }
  Rows histogram(const char* name, const char* help) { return {families_, MetricType::Histogram, name, help}; }
  Rows summary(const char* name, const char* help) { return {families_, MetricType::Summary, name, help}; }
  [[nodiscard]] std::string text() const {
    std::ostringstream out;
    prometheus::TextSerializer().Serialize(out, families_);
    return out.str();
  }

 private:
  std::vector<MetricFamily> families_;
};

void add_packets(Page& page, const std::vector<Counter>& counters) {
  const auto labels = [](const Counter& counter) {
    return Labels{{"reason", counter.reason->name}, {"action", action_name(counter.reason->action)}};
  };
  Rows packets = page.counter("merino_packets_total", "Packets that the BPF programs saw, by the reason for the way they took.");
  for (const Counter& counter : counters) packets.add(static_cast<double>(counter.packets), labels(counter));
  Rows bytes = page.counter("merino_bytes_total", "Bytes of those packets, as the programs saw the frames.");
  for (const Counter& counter : counters) bytes.add(static_cast<double>(counter.bytes), labels(counter));
}

void add_peers(Page& page, const std::vector<Peer>& peers) {
  Rows family = page.gauge("merino_peers", "Subnets of other nodes in the map of peers, by how they are reached.");
  for (const PeerKind kind : kPeerKinds) {
    const auto count = std::count_if(peers.begin(), peers.end(), [&](const Peer& peer) { return peer.kind == kind; });
    family.add(static_cast<double>(count), {{"kind", peer_kind_name(kind)}});
  }
}

// What a node's subnet has for pods: not its first address (the device's), the second (the gateway's) and, of IPv4, the last.
double pool_size(const Prefix& subnet) {
  const int host_bits = address_bits(subnet.family()) - subnet.length();
  const double taken = subnet.family() == Family::v4 ? 3 : 2;
  return std::max(0.0, static_cast<double>(1ULL << static_cast<unsigned>(std::min(host_bits, 62))) - taken);
}

void add_pool(Page& page, const AgentMetrics& agent, const Result<std::vector<IpAddress>>& reserved) {
  Rows size = page.gauge("merino_pool_addresses", "Addresses of this node's subnet that pods can have.");
  for (const Prefix& subnet : agent.subnets) size.add(pool_size(subnet), {{"subnet", subnet.to_string()}});
  if (!reserved) return;
  Rows used =
      page.gauge("merino_pool_addresses_reserved", "Addresses of this node's subnet that IPAM keeps for a container, living or not.");
  for (const Prefix& subnet : agent.subnets) {
    const auto count =
        std::count_if(reserved->begin(), reserved->end(), [&](const IpAddress& address) { return subnet.contains(address); });
    used.add(static_cast<double>(count), {{"subnet", subnet.to_string()}});
  }
}

void add_leases(Page& page, const AgentMetrics& agent) {
  page.gauge("merino_leases", "Leases of all nodes, this one's included, that are well-formed and not expired.")
      .add(static_cast<double>(agent.leases));
  page.gauge("merino_leases_rejected", "Leases that this node passes over: merinoctl status names them.")
      .add(static_cast<double>(agent.rejected_leases));
  Rows off_segment =
      page.gauge("merino_peer_off_segment", "A node's subnet that host-gw cannot reach: the node is behind a router; always 1.");
  for (size_t i = 0; i < std::min(agent.off_segment.size(), kNamedPeers); ++i) {
    const OffSegment& peer = agent.off_segment[i];
    off_segment.add(1, {{"subnet", peer.subnet.to_string()}, {"address", peer.address.to_string()}});
  }
  if (agent.lease_expires == kLeaseWithoutEnd) return;
  page.gauge("merino_lease_expiry_timestamp_seconds", "When this node's lease ends, unless it is renewed. Absent if it does not end.")
      .add(static_cast<double>(agent.lease_expires));
  page.gauge("merino_lease_renewal_timestamp_seconds", "When this node's lease was renewed last. Absent if it does not end.")
      .add(static_cast<double>(agent.lease_expires - kLeaseTtl.count()));
}

void add_store(Page& page, const AgentMetrics& agent) {
  page.gauge("merino_store_up", "1 if the lease store is followed: changes of other nodes arrive.").add(agent.store.followed ? 1 : 0);
  page.counter("merino_store_outages_total", "How often the lease store went away.").add(static_cast<double>(agent.store.outages));
  if (agent.store.last_update) {
    page.gauge("merino_store_last_update_timestamp_seconds", "When the lease store gave the newest set of leases.")
        .add(unix_time(*agent.store.last_update));
  }
  page.histogram("merino_store_apply_duration_seconds", "From a change that the lease store told of until it was in the maps.")
      .add(agent.lease_changes);
}

void add_steps(Page& page, const std::vector<StepState>& steps) {
  Rows fine = page.gauge("merino_step_ok", "1 if this part of the node is as it should be.");
  for (const StepState& step : steps) fine.add(step.condition == StepCondition::ok ? 1 : 0, {{"step", step.name}});
  Rows durations = page.summary("merino_step_duration_seconds", "How often a step compared and mended, and how long it took in all.");
  for (const StepState& step : steps) durations.add_sum(step.counts.runs, step.counts.busy, {{"step", step.name}});
  Rows failures = page.counter("merino_step_failures_total", "Attempts of a step that failed.");
  for (const StepState& step : steps) failures.add(static_cast<double>(step.counts.failures), {{"step", step.name}});
  Rows heals = page.counter("merino_self_heals_total", "How often a step found changed or gone what it had made, and mended it.");
  for (const StepState& step : steps) {
    const bool follows = std::find(kFollowers.begin(), kFollowers.end(), step.name) != kFollowers.end();
    if (!follows) heals.add(static_cast<double>(step.counts.heals), {{"step", step.name}});
  }
}

void add_agent(Page& page, const AgentMetrics& agent) {
  Labels node;
  for (const auto& [name, value] : agent.node_labels) node.push_back({name, value});
  page.gauge("merino_node_info", "What this node is; always 1.").add(1, std::move(node));
  page.gauge("merino_ready", "1 if pods of this node reach the network: what /readyz says.").add(agent.ready ? 1 : 0);
  page.gauge("merino_fast_path_enabled", "0 if every packet goes through the kernel's stack.").add(agent.fast_path ? 1 : 0);
  Rows notices = page.gauge("merino_notices", "What an operator must know and holds now, by the reason that its Event has.");
  for (const auto& [reason, count] : agent.notices) notices.add(static_cast<double>(count), {{"reason", reason}});
  add_leases(page, agent);
  add_store(page, agent);
  page.histogram("merino_reconcile_duration_seconds", "Passes over the steps that are due.").add(agent.passes);
  add_steps(page, agent.steps);
}

struct CallTotals {
  DurationHistogram success;
  DurationHistogram error;
};

void add_calls(Page& page, const std::vector<CallCount>& calls) {
  std::vector<std::pair<std::string, CallTotals>> by_command;
  for (const CallCount& call : calls) {
    if (by_command.empty() || by_command.back().first != call.command) by_command.push_back({call.command, {}});
    CallTotals& totals = by_command.back().second;
    (call.code == 0 ? totals.success : totals.error).add(call.durations);
  }
  Rows durations = page.histogram("merino_cni_operation_duration_seconds", "Calls of the CNI plugin, from its start to its answer.");
  for (const auto& [command, totals] : by_command) {
    durations.add(totals.success, {{"command", command}, {"result", "success"}});
    durations.add(totals.error, {{"command", command}, {"result", "error"}});
  }
  Rows errors =
      page.counter("merino_cni_operation_errors_total", "Calls that failed, by the CNI error code; 100 is any other plugin's own.");
  for (const CallCount& call : calls) {
    if (call.code == 0) continue;
    uint64_t count = 0;
    for (const uint64_t bucket : call.durations.buckets) count += bucket;
    errors.add(static_cast<double>(count), {{"command", call.command}, {"code", std::to_string(call.code)}});
  }
}

void add_process(Page& page) {
  const ProcessMetrics process = read_process_metrics();
  page.gauge("process_start_time_seconds", "When merinod started.").add(process.start_time);
  page.counter("process_cpu_seconds_total", "Processor time of merinod.").add(process.cpu_seconds);
  page.gauge("process_resident_memory_bytes", "Resident memory of merinod.").add(process.resident_bytes);
  page.gauge("process_open_fds", "File descriptors that merinod has open.").add(process.open_fds);
}

void add_sources(Page& page, const MetricsInput& input) {
  page.gauge("merino_source_up", "0 if what is read for this page could not be read; its metrics are absent then.")
      .add(input.counters ? 1 : 0, {{"source", "counters"}})
      .add(input.peers ? 1 : 0, {{"source", "peers"}})
      .add(input.pods ? 1 : 0, {{"source", "pods"}})
      .add(input.reserved ? 1 : 0, {{"source", "ipam"}})
      .add(input.calls ? 1 : 0, {{"source", "cni"}});
}

}  // namespace

Result<std::vector<IpAddress>> reserved_addresses(const std::string& directory) {
  namespace fs = std::filesystem;
  std::vector<IpAddress> addresses;
  std::error_code error;
  const auto list = [&](const fs::path& path) { return fs::directory_iterator(path, error); };
  for (auto network = list(directory); !error && network != fs::directory_iterator(); network.increment(error)) {
    if (!network->is_directory(error)) continue;
    for (auto file = list(network->path()); !error && file != fs::directory_iterator(); file.increment(error)) {
      if (auto address = IpAddress::parse(file->path().filename().string())) addresses.push_back(*address);
    }
  }
  if (error && error.value() != ENOENT) return fail_errno(error.value(), "read {}", directory);
  return addresses;
}

MetricsInput read_metrics(const MetricsBoard& board) {
  return {board.read(), read_counters(), read_peers(), read_pods(), reserved_addresses(), read_call_counts()};
}

std::string format_metrics(const MetricsInput& input) {
  Page page;
  page.gauge("merino_build_info", "The version of merinod; always 1.").add(1, {{"version", kVersion}});
  if (!input.agent) page.gauge("merino_ready", "1 if pods of this node reach the network: what /readyz says.").add(0);
  if (input.agent) add_agent(page, *input.agent);
  if (input.counters) add_packets(page, *input.counters);
  if (input.peers) add_peers(page, *input.peers);
  if (input.pods) page.gauge("merino_pods", "Addresses of pods in the map of pods.").add(static_cast<double>(input.pods->size()));
  if (input.agent) add_pool(page, *input.agent, input.reserved);
  if (input.calls) add_calls(page, *input.calls);
  add_sources(page, input);
  add_process(page);
  return page.text();
}

Result<std::unique_ptr<HttpServer>> start_metrics_server(const std::string& ip, uint16_t port, const MetricsBoard& board) {
  // One at a time, however many ask: the maps of a large cluster are not read for each of them at once.
  const auto reading = std::make_shared<std::mutex>();
  const auto page = [&board, reading] {
    const std::lock_guard lock(*reading);
    return HttpAnswer{200, format_metrics(read_metrics(board)), kTextFormat};
  };
  return HttpServer::start(ip, port, "/metrics", {{"/metrics", page}});
}

}  // namespace merino
