// Pods whose bandwidth is limited by the bandwidth plugin: into the pod by a qdisc on the host side of its veth, out of it by an ifb to
// which the host side's ingress is redirected.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <chrono>

#include "lab/lab.h"
#include "lab/traffic.h"

namespace merino::lab::bandwidth_test {
namespace {

constexpr const char* kConflist = R"({"cniVersion":"1.0.0","name":"cbr0","plugins":[
    {"type":"merino","capabilities":{"bandwidth":true}}, {"type":"bandwidth","capabilities":{"bandwidth":true}}]})";

// Bits a second, and a burst of as many.
PodOptions limited(int ingress, int egress) {
  std::string limits;
  if (ingress > 0) limits = fmt::format(R"("ingressRate":{0},"ingressBurst":{0})", ingress);
  if (egress > 0) limits += fmt::format(R"({1}"egressRate":{0},"egressBurst":{0})", egress, limits.empty() ? "" : ",");
  return {.runtime_config = "{\"bandwidth\":{" + limits + "}}", .conflist = kConflist};
}

class Bandwidth : public testing::Test {
 protected:
  Bandwidth() { lab_.wait_ready(); }

  // Seconds for a megabyte.
  static double megabyte(const Pod& from, const Pod& to) {
    const TrafficServer server(to, 7100);
    const auto begin = std::chrono::steady_clock::now();
    const TrafficResult sent = traffic(from, "tcp --to " + to.address() + ":7100 --up 1000000");
    EXPECT_TRUE(sent.ok) << sent.line;
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  Lab lab_;
  Node& a_ = lab_.add_node("a");
  Node& b_ = lab_.add_node("b");
};

// 8 Mbit at 2 Mbit/s, of which 2 go at once: 3 s at least, however slow the machine is.
TEST_F(Bandwidth, WhatAPodSendsIsLimited) {
  const Pod& pod = a_.add_pod("a1", limited(0, 2000000));
  const Pod& neighbour = a_.add_pod("a2");
  const Pod& far = b_.add_pod("b1");
  EXPECT_GT(megabyte(pod, far), 2.5);
  EXPECT_GT(megabyte(pod, neighbour), 2.5);
}

TEST_F(Bandwidth, WhatAPodGetsIsLimited) {
  const Pod& pod = a_.add_pod("a1", limited(2000000, 0));
  const Pod& neighbour = a_.add_pod("a2");
  const Pod& far = b_.add_pod("b1");
  EXPECT_GT(megabyte(far, pod), 2.5);
  EXPECT_GT(megabyte(neighbour, pod), 2.5);
}

}  // namespace
}  // namespace merino::lab::bandwidth_test
