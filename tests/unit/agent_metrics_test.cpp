#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "agent/metrics.h"
#include "support/temp_dir.h"

namespace merino {
namespace agent_metrics_test {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

Prefix prefix(const char* text) { return Prefix::parse(text).value(); }
IpAddress address(const char* text) { return IpAddress::parse(text).value(); }

Peer peer(const char* subnet, PeerKind kind) {
  Peer out;
  out.subnet = prefix(subnet);
  out.kind = kind;
  return out;
}

std::vector<Counter> counted(const std::string& reason, uint64_t packets, uint64_t bytes) {
  std::vector<Counter> counters;
  for (const ReasonInfo& info : reasons()) counters.push_back({&info, info.name == reason ? packets : 0, info.name == reason ? bytes : 0});
  return counters;
}

AgentMetrics agent_metrics() {
  AgentMetrics agent;
  agent.subnets = {prefix("10.244.1.0/24")};
  agent.node_labels = {{"backend", "vxlan"}, {"uplink", "eth\"0\\"}};
  agent.ready = true;
  agent.lease_expires = 1'800'000'000;
  agent.leases = 3;
  agent.rejected_leases = 1;
  agent.off_segment = {{prefix("10.244.9.0/24"), address("192.168.9.9")}};
  agent.notices = {{"SubnetConflict", 2}, {"MtuMismatch", 0}};
  agent.store = {true, 2, std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000))};
  StepState route;
  route.name = "route";
  route.condition = StepCondition::ok;
  route.counts = {10, 2, 1, milliseconds(1500)};
  StepState lease;
  lease.name = "lease";
  lease.condition = StepCondition::failed;
  lease.counts = {10, 4, 7, milliseconds(10)};
  agent.steps = {route, lease};
  agent.passes.add(milliseconds(3));
  agent.passes.add(std::chrono::seconds(20));
  return agent;
}

MetricsInput input() {
  CallCount added{"ADD", 0, {}};
  added.durations.add(milliseconds(4));
  added.durations.add(milliseconds(40));
  CallCount refused{"ADD", 11, {}};
  refused.durations.add(milliseconds(2));
  return {std::make_shared<const AgentMetrics>(agent_metrics()),
          counted("encap", 12, 1800),
          std::vector<Peer>{peer("10.244.2.0/24", PeerKind::vxlan), peer("10.244.3.0/24", PeerKind::direct),
                            peer("10.244.4.0/24", PeerKind::vxlan)},
          std::vector<PodEntry>(2),
          std::vector<IpAddress>{address("10.244.1.2"), address("10.244.1.3"), address("10.99.0.1")},
          std::vector<CallCount>{added, refused}};
}

TEST(Metrics, WhatTheMapsSay) {
  const std::string text = format_metrics(input());
  EXPECT_THAT(text, AllOf(HasSubstr("\nmerino_packets_total{reason=\"encap\",action=\"fast\"} 12\n"),
                          HasSubstr("\nmerino_bytes_total{reason=\"encap\",action=\"fast\"} 1800\n"),
                          HasSubstr("\nmerino_packets_total{reason=\"spoofed\",action=\"drop\"} 0\n")))
      << "zeros too: a rate needs a beginning";
  EXPECT_THAT(text, AllOf(HasSubstr("\nmerino_peers{kind=\"vxlan\"} 2\n"), HasSubstr("\nmerino_peers{kind=\"direct\"} 1\n")));
  EXPECT_THAT(text, HasSubstr("\nmerino_pods 2\n"));
  EXPECT_THAT(text, HasSubstr("\nmerino_pool_addresses{subnet=\"10.244.1.0/24\"} 253\n"));
  EXPECT_THAT(text, HasSubstr("\nmerino_pool_addresses_reserved{subnet=\"10.244.1.0/24\"} 2\n")) << "not another network's";
}

TEST(Metrics, ManyOffSegmentAreNamedInPart) {
  AgentMetrics agent = agent_metrics();
  agent.off_segment.assign(5000, {prefix("10.244.9.0/24"), address("192.168.9.9")});
  MetricsInput many = input();
  many.agent = std::make_shared<const AgentMetrics>(agent);
  const std::string text = format_metrics(many);
  size_t named = 0;
  for (size_t at = text.find("\nmerino_peer_off_segment{"); at != std::string::npos; at = text.find("\nmerino_peer_off_segment{", at + 1))
    ++named;
  EXPECT_EQ(named, 100U);
}

TEST(Metrics, WhatTheAgentSays) {
  const std::string text = format_metrics(input());
  EXPECT_THAT(text, HasSubstr(R"(merino_node_info{backend="vxlan",uplink="eth\"0\\"} 1)")) << "names are escaped";
  EXPECT_THAT(text, AllOf(HasSubstr("\nmerino_ready 1\n"), HasSubstr("\nmerino_fast_path_enabled 0\n"), HasSubstr("\nmerino_leases 3\n"),
                          HasSubstr("\nmerino_leases_rejected 1\n"),
                          HasSubstr("\nmerino_peer_off_segment{subnet=\"10.244.9.0/24\",address=\"192.168.9.9\"} 1\n")));
  EXPECT_THAT(
      text, AllOf(HasSubstr("\nmerino_notices{reason=\"SubnetConflict\"} 2\n"), HasSubstr("\nmerino_notices{reason=\"MtuMismatch\"} 0\n")));
  EXPECT_THAT(text, AllOf(HasSubstr("\nmerino_lease_expiry_timestamp_seconds 1800000000\n"),
                          HasSubstr("\nmerino_lease_renewal_timestamp_seconds 1799913600\n")));
  EXPECT_THAT(text, AllOf(HasSubstr("\nmerino_store_up 1\n"), HasSubstr("\nmerino_store_outages_total 2\n"),
                          HasSubstr("\nmerino_store_last_update_timestamp_seconds 1700000000\n")));
  EXPECT_THAT(text, AllOf(HasSubstr("\nmerino_step_ok{step=\"route\"} 1\n"), HasSubstr("\nmerino_step_ok{step=\"lease\"} 0\n"),
                          HasSubstr("\nmerino_step_failures_total{step=\"lease\"} 4\n"),
                          HasSubstr("\nmerino_step_duration_seconds_sum{step=\"route\"} 1.5\n"),
                          HasSubstr("\nmerino_step_duration_seconds_count{step=\"route\"} 10\n")));
  EXPECT_THAT(text, HasSubstr("\nmerino_self_heals_total{step=\"route\"} 1\n"));
  EXPECT_THAT(text, Not(HasSubstr("merino_self_heals_total{step=\"lease\"}"))) << "a change of leases is news, not damage";
}

TEST(Metrics, HistogramsAreCumulative) {
  const std::string text = format_metrics(input());
  EXPECT_THAT(text, AllOf(HasSubstr("\nmerino_reconcile_duration_seconds_bucket{le=\"0.0025\"} 0\n"),
                          HasSubstr("\nmerino_reconcile_duration_seconds_bucket{le=\"0.005\"} 1\n"),
                          HasSubstr("\nmerino_reconcile_duration_seconds_bucket{le=\"10\"} 1\n"),
                          HasSubstr("\nmerino_reconcile_duration_seconds_bucket{le=\"+Inf\"} 2\n"),
                          HasSubstr("\nmerino_reconcile_duration_seconds_count 2\n")));
  EXPECT_THAT(text, AllOf(HasSubstr(R"(merino_cni_operation_duration_seconds_count{command="ADD",result="success"} 2)"),
                          HasSubstr(R"(merino_cni_operation_duration_seconds_sum{command="ADD",result="success"} 0.044)"),
                          HasSubstr(R"(merino_cni_operation_duration_seconds_count{command="ADD",result="error"} 1)"),
                          HasSubstr(R"(merino_cni_operation_errors_total{command="ADD",code="11"} 1)")));
}

TEST(Metrics, ALeaseWithoutEndHasNone) {
  MetricsInput endless = input();
  AgentMetrics agent = agent_metrics();
  agent.lease_expires = kLeaseWithoutEnd;
  endless.agent = std::make_shared<const AgentMetrics>(agent);
  EXPECT_THAT(format_metrics(endless), Not(HasSubstr("merino_lease_expiry")));
}

TEST(Metrics, WhatCannotBeReadIsAbsentAndSaid) {
  const auto broken = fail(ErrorKind::not_found, "no map");
  const std::string text = format_metrics({nullptr, broken, broken, broken, broken, broken});
  EXPECT_THAT(text, AllOf(HasSubstr("\nmerino_ready 0\n"), HasSubstr("merino_build_info{version="),
                          HasSubstr("merino_source_up{source=\"counters\"} 0\n"), HasSubstr("process_resident_memory_bytes")));
  EXPECT_THAT(text, Not(HasSubstr("merino_packets_total")));
  EXPECT_THAT(format_metrics(input()), HasSubstr("merino_source_up{source=\"counters\"} 1\n"));
}

TEST(Metrics, ReservedAddressesOfAllNetworks) {
  const test::TempDir dir;
  EXPECT_EQ(reserved_addresses(dir.file("nothing")).value().size(), 0U);
  for (const char* file : {"cbr0/10.244.1.2", "cbr0/last_reserved_ip.0", "cbr0/lock", "other/10.5.0.7", "other/fd00::7"}) {
    std::filesystem::create_directories(std::filesystem::path(dir.file(file)).parent_path());
    std::ofstream(dir.file(file)) << "x";
  }
  EXPECT_THAT(reserved_addresses(dir.path()).value(),
              testing::UnorderedElementsAre(address("10.244.1.2"), address("10.5.0.7"), address("fd00::7")));
}

TEST(MetricsBoard, ReadersSeeOneWholePass) {
  MetricsBoard board;
  EXPECT_EQ(board.read(), nullptr);
  std::jthread writer([&board](const std::stop_token& stop) {
    for (size_t n = 1; !stop.stop_requested(); ++n) {
      AgentMetrics agent = agent_metrics();
      agent.leases = n;
      agent.rejected_leases = n;
      board.publish(std::move(agent));
    }
  });
  size_t last = 0;
  while (last < 2000) {
    const auto seen = board.read();
    if (seen == nullptr) continue;
    ASSERT_EQ(seen->leases, seen->rejected_leases);
    ASSERT_GE(seen->leases, last);
    last = seen->leases;
  }
}

}  // namespace agent_metrics_test
}  // namespace merino
