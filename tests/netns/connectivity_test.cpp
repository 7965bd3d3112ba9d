// Pods on two merino nodes, and a merino node beside a node of stock kernel parts: every protocol, every size, on several underlays; what
// is plain TCP or UDP between pods goes the fast way.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "lab/lab.h"
#include "lab/matrix.h"
#include "lab/traffic.h"

namespace merino::lab {
namespace {

// Bulk TCP in both directions, with few packets beside it: `sender` encapsulates, `receiver` delivers, and next to nothing goes elsewhere.
void expect_fast(const Pod& from, const Node& sender, const Pod& to, const Node* receiver) {
  const Counters sender_before = sender.counters();
  const Counters receiver_before = receiver != nullptr ? receiver->counters() : Counters();
  const TrafficServer server(to, 7200);
  const TrafficResult result = traffic(from, "tcp --up 3000000 --down 3000000 --payload 65536 --to " + to.address() + ":7200");
  EXPECT_TRUE(result.ok) << result.line;
  const Counters sent = sender.counters() - sender_before;
  EXPECT_GT(sent[MERINO_ENCAP], 40U) << sent.to_string();
  EXPECT_GT(sent.sum({MERINO_DECAP, MERINO_TUNNEL}), 40U) << sent.to_string();
  EXPECT_EQ(sent.sum({MERINO_NO_ROUTE, MERINO_TRANSLATED, MERINO_MTU, MERINO_HELPER}) + sent.dropped(), 0U) << sent.to_string();
  if (receiver == nullptr) return;
  const Counters received = receiver->counters() - receiver_before;
  EXPECT_GT(received[MERINO_ENCAP], 40U) << received.to_string();
  EXPECT_GT(received.sum({MERINO_DECAP, MERINO_TUNNEL}), 40U) << received.to_string();
}

struct Case {
  const char* name;
  Underlay underlay;
  std::string backend{};  // keys of the backend beside its type
};

// GoogleTest prints a parameter by this.
void PrintTo(const Case& parameter, std::ostream* out) { *out << parameter.name; }

const std::vector<Case> kUnderlays = {
    {"Plain", {}},
    {"Jumbo", {9000, ""}},
    {"Small", {1400, ""}},
    {"NoSegmentation", {1500, "tso off gso off gro on"}},
};

std::string case_name(const testing::TestParamInfo<Case>& info) { return info.param.name; }

std::string net_conf(const std::string& backend) {
  return fmt::format(R"({{"Network": "10.244.0.0/16", "Backend": {{{}"Type": "vxlan"}}}})", backend);
}

class TwoNodes : public testing::TestWithParam<Case> {};
class StockPeer : public testing::TestWithParam<Case> {};
INSTANTIATE_TEST_SUITE_P(Underlay, TwoNodes, testing::ValuesIn(kUnderlays), case_name);
INSTANTIATE_TEST_SUITE_P(Backend, TwoNodes, testing::Values(Case{"VniAndPort", {}, R"("VNI": 4242, "Port": 4789, )"}), case_name);
INSTANTIATE_TEST_SUITE_P(Underlay, StockPeer, testing::ValuesIn(kUnderlays), case_name);

TEST_P(TwoNodes, PodsReachEachOther) {
  Lab lab(GetParam().underlay);
  const NodeOptions node{.net_conf = net_conf(GetParam().backend)};
  Node& a = lab.add_node("a", node);
  Node& b = lab.add_node("b", node);
  lab.wait_ready();
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const MatrixOptions options{GetParam().underlay.mtu - 50};
  expect_matrix(on_a, on_b, on_b.address(), options);
  expect_matrix(on_b, on_a, on_a.address(), options);
  expect_fast(on_a, a, on_b, &b);
}

TEST_P(StockPeer, PodsReachEachOther) {
  Lab lab(GetParam().underlay);
  Node& ours = lab.add_node("ours");
  StockNode& stock = lab.add_stock_node("stock");
  lab.wait_ready();
  const Pod& on_ours = ours.add_pod("ours1");
  const Pod& on_stock = stock.add_pod("stock1");
  const MatrixOptions options{GetParam().underlay.mtu - 50};
  expect_matrix(on_ours, on_stock, on_stock.address(), options);
  expect_matrix(on_stock, on_ours, on_ours.address(), options);
  expect_fast(on_ours, ours, on_stock, nullptr);
}

// The stack alone carries everything, to a node with the fast path, to one of stock kernel parts, and on one node.
TEST(FastPathOff, PodsReachEachOther) {
  Lab lab;
  Node& slow = lab.add_node("slow", {.net_conf = net_conf(R"("FastPath": false, )")});
  Node& fast = lab.add_node("fast");
  StockNode& stock = lab.add_stock_node("stock");
  lab.wait_ready();
  const Pod& one = slow.add_pod("slow1");
  Pod& two = slow.add_pod("slow2");
  for (const Pod* other : {&two, &fast.add_pod("fast1"), &stock.add_pod("stock1")}) {
    expect_matrix(one, *other, other->address());
    expect_matrix(*other, one, one.address());
  }
  const Counters counted = slow.counters();
  EXPECT_EQ(counted.sum({MERINO_ENCAP, MERINO_DECAP, MERINO_TUNNEL, MERINO_LOCAL}), 0U) << counted.to_string();
  EXPECT_GT(counted[MERINO_FAST_PATH_OFF], 100U) << counted.to_string();
}

TEST(SameNode, PodsReachEachOther) {
  Lab lab;
  Node& a = lab.add_node("a");
  lab.wait_ready();
  const Pod& one = a.add_pod("a1");
  const Pod& two = a.add_pod("a2");
  ASSERT_NE(one.address(), two.address());
  const Counters before = a.counters();
  expect_matrix(one, two, two.address());
  const Counters counted = a.counters() - before;
  EXPECT_GT(counted[MERINO_LOCAL], 100U) << counted.to_string();
  EXPECT_EQ(counted[MERINO_ENCAP] + counted.dropped(), 0U) << counted.to_string();
}

// The addresses of nodes that belong to the pod network: .0 on merino0, as flannel has it on flannel.1, and .1, the pods' gateway.
TEST(HostAddresses, PodsAndHostsReachEachOther) {
  Lab lab;
  Node& a = lab.add_node("a");
  Node& b = lab.add_node("b");
  lab.wait_ready();
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const MatrixOptions options{1450, 2'000'000};
  {
    SCOPED_TRACE("a pod and its own node");
    expect_matrix(on_a, a, a.gateway(), options);
    expect_matrix(on_a, a, a.address(), options);
    expect_matrix(a, on_a, on_a.address(), options);
  }
  {
    SCOPED_TRACE("a pod and the other node");
    expect_matrix(on_a, b, b.subnet(), options);
    expect_matrix(on_a, b, b.address(), options);
    expect_matrix(a, on_b, on_b.address(), options);
  }
  {
    SCOPED_TRACE("hosts by their addresses in the pod network");
    expect_matrix(a, b, b.subnet(), options);
  }
  const Counters counted = a.counters();
  EXPECT_GT(counted[MERINO_HOST_ENCAP], 10U) << counted.to_string();
  EXPECT_EQ(counted.dropped(), 0U) << counted.to_string();
}

TEST(HostAddresses, StockPeer) {
  Lab lab;
  Node& ours = lab.add_node("ours");
  StockNode& stock = lab.add_stock_node("stock");
  lab.wait_ready();
  const Pod& on_ours = ours.add_pod("ours1");
  const Pod& on_stock = stock.add_pod("stock1");
  const MatrixOptions options{1450, 2'000'000};
  expect_matrix(ours, on_stock, on_stock.address(), options);
  expect_matrix(stock, on_ours, on_ours.address(), options);
  expect_matrix(on_ours, stock, stock.subnet(), options);
  expect_matrix(on_stock, ours, ours.subnet(), options);
  const Counters counted = ours.counters();
  EXPECT_EQ(counted.dropped(), 0U) << counted.to_string();
}

}  // namespace
}  // namespace merino::lab
