#include "moving_node.h"

#include <fmt/core.h>

#include <csignal>

#include "lab/matrix.h"
#include "support/slowdown.h"

namespace merino::lab {
namespace {

constexpr int kPort = 7600;

void install(const Machine& machine, const std::string& program) {
  machine.must(fmt::format("mkdir -p /run/cni/bin && cp {} /run/cni/bin/.new && mv /run/cni/bin/.new /run/cni/bin/flannel", program));
}

}  // namespace

LiveTraffic::LiveTraffic(const Pod& from, const Pod& to)
    : name_(from.name() + " to " + to.name()),
      server_(to, kPort),
      ping_(start_traffic(from, "ping --until-signal 1 --interval-us 1000 --to " + to.address())),
      tcp_(start_traffic(from, fmt::format("tcp --until-signal 1 --interval-us 1000 --payload 1000 --to {}:{}", to.address(), kPort))) {}

uint64_t LiveTraffic::expect_alive(const std::string& event, uint64_t most_lost) {
  EXPECT_TRUE(ping_.running()) << ping_.log();
  EXPECT_TRUE(tcp_.running()) << tcp_.log();
  ping_.signal(SIGTERM);
  tcp_.signal(SIGTERM);
  ping_.wait();
  tcp_.wait();
  const TrafficResult pings = traffic_result(ping_);
  const TrafficResult tcp = traffic_result(tcp_);
  fmt::print("{}, {}: {} of {} pings at 1 ms lost; TCP {} bytes, {}, {} retransmits\n", event, name_, pings.lost, pings.sent, tcp.sent,
             tcp.ok ? "whole" : "damaged", tcp.retransmits);
  EXPECT_LT(pings.lost, most_lost) << pings.line;
  EXPECT_GT(pings.sent - pings.lost, 100U / static_cast<unsigned>(test::slowdown())) << pings.line;
  EXPECT_TRUE(tcp.ok) << tcp.line;
  return pings.lost;
}

Moving::Moving(const FlannelOptions& options)
    : node_(lab_.add_node("a", {.net_conf = net_conf(options.network), .agent = AgentStart::later})),
      peer_(lab_.add_node("b", {.net_conf = net_conf(options.network)})),
      stock_(lab_.add_stock_node("stock", {.network = options.network})),
      flanneld_(node_, kNumber, 1500, options) {
  flanneld_.announce(lab_.lease_dir());
  lab_.wait_ready();
  start_flanneld();
  install_flannel_plugin();
}

void Moving::install_flannel_plugin() const { install(node_, FLANNEL_PLUGIN); }
void Moving::install_merino_plugin() const { install(node_, MERINO_PLUGIN); }

void Moving::start_flanneld() {
  flanneld_.start();
  flanneld_.follow_leases(lab_.lease_dir());
}

void Moving::start_merinod() {
  node_.start_agent();
  node_.wait_ready();
}

void Moving::stop_merinod() {
  node_.agent().signal(SIGTERM);
  EXPECT_EQ(node_.agent().wait(), 0);
}

Output Moving::cleanup() const { return node_.run(MERINOD " --cleanup"); }

void Moving::expect_full_matrix(const std::vector<const Pod*>& pods) const {
  const MatrixOptions options{1450, 1'000'000};
  for (const Pod* to : pods) {
    for (const Pod* from : pods) {
      if (from == to) continue;
      SCOPED_TRACE(from->name() + " to " + to->name());
      expect_matrix(*from, *to, to->address(), options);
    }
    SCOPED_TRACE("the node to " + to->name());
    expect_matrix(node_, *to, to->address(), options);
  }
}

size_t Moving::pods_in_map() const { return count_entries(node_.outside_path(MERINO_PIN_ROOT "/pods")); }

}  // namespace merino::lab
