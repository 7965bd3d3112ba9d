#include "lab/lab.h"

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <exception>

#include "lab/sandbox.h"

namespace merino::lab {
namespace {

int segment_number(Segment segment) { return segment == Segment::lan0 ? 0 : 1; }

std::string new_lease_dir() {
  std::string path = std::string(kSharedDir) + "/leases.XXXXXX";
  if (::mkdtemp(path.data()) == nullptr) throw Failure("mkdtemp " + path);
  return path;
}

}  // namespace

Lab::Lab(const Underlay& underlay)
    : options_(underlay), lease_dir_(new_lease_dir()), here_(std::make_unique<Place>("underlay", ::getpid())) {
  std::string lines = "link set lo up\n";
  for (int n = 0; n < 2; n++) {
    lines += fmt::format(
        "link add lan{0} type bridge\nlink set lan{0} mtu {1} up\naddr add 192.168.{2}.1/24 dev lan{0}\naddr add fd00:{2}::1/64 dev lan{0} "
        "nodad\n",
        n, options_.mtu, 88 + n);
  }
  here_->ip_batch(lines);
  here_->must(
      "sysctl -qw net.ipv6.conf.lan0.accept_dad=0 net.ipv6.conf.lan1.accept_dad=0 net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1; "
      "sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0 2>/dev/null || true");
}

Lab::~Lab() {
  if (testing::Test::HasFailure() || std::uncaught_exceptions() > 0) {
    for (const auto& node : nodes_) node->explain();
    for (const auto& node : stock_nodes_) node->explain();
  }
  nodes_.clear();
  stock_nodes_.clear();
  hosts_.clear();
  std::string lines = "link del lan0\nlink del lan1\n";
  for (const auto& port : ports_) lines += "link del " + port + "\n";
  const Output output = here_->run("ip -force -batch -", lines);
  if (output.exit_code == 127) fmt::print(stderr, "{}", output.err);
}

void Lab::connect(Machine& machine, Segment segment) {
  const int lan = segment_number(segment);
  const int number = ++machine_count_;
  const std::string port = "port-" + machine.name();
  ports_.push_back(port);
  here_->ip_batch(
      fmt::format("link add {0} mtu {1} type veth peer name eth0 mtu {1} netns {2}\n"
                  "link set {0} master lan{3} up\n",
                  port, options_.mtu, machine.pid(), lan));
  machine.set_address({fmt::format("192.168.{}.{}", 88 + lan, 10 + number), fmt::format("fd00:{}::{}", 88 + lan, 10 + number)});
  // As on a machine that has been up for a while: as long as an address is tentative, neighbours are not even asked for.
  machine.must("sysctl -qw net.ipv6.conf.eth0.accept_dad=0");
  machine.ip_batch(
      fmt::format("link set lo up\nlink set eth0 up\naddr add {0}/24 dev eth0\naddr add {1}/64 dev eth0 nodad\n"
                  "route add default via 192.168.{2}.1\nroute add default via fd00:{2}::1\n",
                  machine.address(), machine.address(Family::v6), 88 + lan));
  if (!options_.offloads.empty()) machine.must("ethtool -K eth0 " + options_.offloads);
}

Node& Lab::add_node(const std::string& name, const NodeOptions& options, Segment segment) {
  nodes_.push_back(std::make_unique<Node>(name, lease_dir_));
  connect(*nodes_.back(), segment);
  nodes_.back()->set_up(options);
  return *nodes_.back();
}

StockNode& Lab::add_stock_node(const std::string& name, const FlannelOptions& options, Segment segment) {
  const auto number = static_cast<int>(stock_nodes_.size());
  stock_nodes_.push_back(std::make_unique<StockNode>(name, 200 + number));
  connect(*stock_nodes_.back(), segment);
  stock_nodes_.back()->set_up(options_.mtu, options);
  stock_nodes_.back()->announce(lease_dir_);
  return *stock_nodes_.back();
}

Machine& Lab::add_host(const std::string& name, Segment segment) {
  hosts_.push_back(std::make_unique<Machine>(name));
  connect(*hosts_.back(), segment);
  return *hosts_.back();
}

void Lab::wait_ready() {
  for (const auto& node : nodes_) {
    if (node->was_started()) node->wait_ready();
  }
  for (const auto& stock : stock_nodes_) stock->follow_leases(lease_dir_);
  const size_t others = nodes_.size() + stock_nodes_.size() - 1;
  for (const auto& node : nodes_) {
    if (!node->was_started()) continue;
    if (!eventually([&] { return node->peer_count() >= others; })) {
      throw Failure(fmt::format("{} knows {} of {} other nodes", node->name(), node->peer_count(), others));
    }
  }
}

}  // namespace merino::lab
