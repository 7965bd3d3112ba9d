// Other people's programs on the same hooks go on seeing what merino leaves to the stack.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include "lab/lab.h"
#include "lab/traffic.h"
#include "lab/two_nodes.h"

namespace merino::lab::others_test {
namespace {

// A classifier on a device's ingress, as a monitoring agent would attach it.
class OtherFilter {
 public:
  OtherFilter(const Machine& machine, const std::string& device) : machine_(machine), pin_("/sys/fs/bpf/other-" + device) {
    machine.must(fmt::format("bpftool prog load {0} {1} type classifier pinmaps {1}-maps", OTHERS_OBJECT, pin_));
    machine.must(
        fmt::format("tc qdisc add dev {0} clsact 2>/dev/null; tc filter add dev {0} ingress bpf direct-action pinned {1}", device, pin_));
  }
  [[nodiscard]] uint64_t seen() const {
    return std::stoull(machine_.must("bpftool -j map lookup pinned " + pin_ +
                                     "-maps/seen key 0 0 0 0 | grep -o '\"value\":[0-9]*' | tail -1 | cut -d: -f2"));
  }

 private:
  const Machine& machine_;
  std::string pin_;
};

constexpr int kPings = 50;

TEST(OtherPrograms, OnTheUplinkAndOnAPodsVeth) {
  TwoNodes two_nodes;
  auto& [lab, a, b, on_a, on_b] = two_nodes;
  const std::string veth = b.must("ip -o route get " + on_b.address() + " | grep -o 'dev [^ ]*' | cut -d' ' -f2 | tr -d '\\n'");
  const OtherFilter on_uplink(b, "eth0");
  const OtherFilter on_veth(b, veth);
  // ICMP goes through the stack on both nodes: seen on its way in and on its way back out of the pod.
  ASSERT_TRUE(ping(on_a, fmt::format("-c {} -i 0.002 {}", kPings, on_b.address())).all());
  EXPECT_GE(on_uplink.seen(), static_cast<uint64_t>(kPings));
  EXPECT_GE(on_veth.seen(), static_cast<uint64_t>(kPings));
  // The host's own traffic.
  const uint64_t before = on_uplink.seen();
  ASSERT_TRUE(ping(a, fmt::format("-c {} -i 0.002 {}", kPings, b.address())).all());
  EXPECT_GE(on_uplink.seen() - before, static_cast<uint64_t>(kPings));
}

// A filter that was there first stays there and goes on counting when merinod attaches and restarts.
TEST(OtherPrograms, ThatWereThereFirst) {
  Lab lab;
  Machine& host = lab.add_host("host");
  Node& a = lab.add_node("a");
  const OtherFilter first(a, "eth0");
  lab.wait_ready();
  a.agent().kill();
  a.start_agent();
  lab.wait_ready();
  const uint64_t before = first.seen();
  ASSERT_TRUE(ping(host, fmt::format("-c {} -i 0.002 {}", kPings, a.address())).all());
  EXPECT_GE(first.seen() - before, static_cast<uint64_t>(kPings));
  EXPECT_NE(a.must("tc filter show dev eth0 ingress").find("bpf"), std::string::npos);
}

// A packet capture on the uplink shows the tunnel packets, also those of the fast path.
TEST(OtherPrograms, CaptureOnTheUplink) {
  TwoNodes two_nodes;
  auto& [lab, a, b, on_a, on_b] = two_nodes;
  const TrafficServer server(on_b, 7700);
  Process capture = b.start("exec tcpdump -n -i eth0 -c 20 -w /dev/null udp port 8472");
  capture.wait_for_log("listening on");
  EXPECT_TRUE(traffic(on_a, "udp --count 20 --to " + on_b.address() + ":7700").ok);
  EXPECT_EQ(capture.wait(std::chrono::seconds(5)), 0) << capture.log();
}

}  // namespace
}  // namespace merino::lab::others_test
