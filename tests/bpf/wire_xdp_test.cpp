// wire_xdp beside from_wire, on the same packets: it drops nothing that from_wire would not drop, for the same reason and counted once; and
// what an attacker can send, it drops.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>

#include "bpf/cases.h"
#include "bpf/fixture.h"
#include "bpf/loaded_wire_xdp.h"

namespace merino::test::wire_xdp_test {

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A node as one setting has it, with both programs.
struct Pair {
  Pair(const merino_config& config, void (LoadedPrograms::*fill)()) : programs(config), xdp(programs, config) { (programs.*fill)(); }
  LoadedPrograms programs;
  LoadedWireXdp xdp;
};

// The rest of what from_wire drops is for it alone: it has the whole packet.
bool is_left_to_from_wire(const Case& c) {
  static const std::set<std::string> names = {
      // Cut within the transport header, which says nothing of the sender's right.
      "IPv6 without a payload",
      "IPv6, the transport header cut before its ports end",
  };
  return c.setting == Setting::direct || c.metadata.vlan || names.contains(c.name);
}

class WireXdp : public BpfTest {
 protected:
  WireXdp() {
    auto off = topology.config();
    off.fast_path = 0;
    switched_off_.emplace(off, &LoadedPrograms::fill);
    auto with_direct = topology.config();
    with_direct.direct = 1;
    direct_.emplace(with_direct, &LoadedPrograms::fill_direct);
    udp_.emplace(topology.udp_config(), &LoadedPrograms::fill_udp);
    plain_.emplace(topology.config(), &LoadedPrograms::fill);
  }

  Pair& node_of(Setting setting) {
    return setting == Setting::fast_path_off ? *switched_off_
           : setting == Setting::direct      ? *direct_
           : setting == Setting::udp         ? *udp_
                                             : *plain_;
  }

  // Runs both; what wire_xdp said. Never more than from_wire would.
  static int compare(Pair& node, const Frame& frame, const Metadata& metadata = {}) {
    Metadata untagged = metadata;
    untagged.vlan.reset();  // a network card takes the tag out before XDP, too: judged as if there were none
    const Outcome after = node.programs.run(Program::from_wire, frame, untagged);
    const Outcome before = node.xdp.run(frame);
    if (before.verdict == XDP_DROP) {
      EXPECT_EQ(verdict_name(after.verdict), "DROP") << "from_wire: " << name_of(after.reason()) << "; dropped without a right";
      EXPECT_THAT(before.counted, ElementsAre(Count{after.reason(), 1, frame.size()}));
    } else {
      EXPECT_EQ(before.verdict, XDP_PASS);
      EXPECT_THAT(before.counted, IsEmpty()) << "from_wire counts what it gets";
      EXPECT_TRUE(before.frame == frame) << difference(before.frame, frame);
    }
    return before.verdict;
  }

  std::optional<Pair> plain_, switched_off_, direct_, udp_;
};

TEST_F(WireXdp, DropsWhatFromWireDropsAndNothingElse) {
  size_t dropped = 0;
  for (const Case& c : cases_of(Program::from_wire)) {
    SCOPED_TRACE(c.name);
    const int verdict = compare(node_of(c.setting), c.frame, c.metadata);
    const bool is_forgery = verdict_of(c.reason) == TC_ACT_SHOT;
    if (is_forgery && !is_left_to_from_wire(c)) {
      EXPECT_EQ(verdict, XDP_DROP) << name_of(c.reason);
    }
    dropped += verdict == XDP_DROP ? 1 : 0;
  }
  EXPECT_GT(dropped, 40U);
}

TEST_F(WireXdp, OfFramesOfEveryLength) {
  const Frame frames[] = {tunnelled(udp(kPodAtPeer2, kPodA)), tunnelled(udp(kPodAtPeer3, kPodA)),
                          tunnelled(udp<V6>(kPodAtPeer2V6, kPodA6), over_v6()), in_udp(udp(kPodB, kPodA), {.dport = kUdpPort})};
  for (const Frame& frame : frames) {
    for (size_t len = kEthLen + kIp6Len; len <= frame.size(); ++len) {
      SCOPED_TRACE(len);
      compare(*plain_, cut(frame, len));
      compare(*udp_, cut(frame, len));
      compare(*plain_, cut(frame, len), {.gso_size = 100});
    }
  }
}

// Forged packets with bytes turned over: none is dropped for what from_wire would let live.
TEST_F(WireXdp, OfBrokenFrames) {
  std::mt19937 random(1);
  const Frame frames[] = {tunnelled(udp(kPodAtPeer2, kPodA)), tunnelled(tcp(kPodB, kPodA)),
                          tunnelled(udp<V6>(kPodAtPeer3V6, kPodA6), over_v6()), in_udp(udp(kPodAtPeer2, kPodA), {.dport = kUdpPort})};
  size_t dropped = 0;
  size_t passed = 0;
  for (int i = 0; i < 4000; i++) {
    Frame frame = frames[random() % std::size(frames)];
    for (unsigned times = 1 + random() % 2; times > 0; times--)
      frame[random() % std::min<size_t>(frame.size(), 110)] ^= static_cast<uint8_t>(1U << random() % 8);
    SCOPED_TRACE(i);
    const int verdict = compare(i % 4 == 0 ? *udp_ : *plain_, frame);
    (verdict == XDP_DROP ? dropped : passed)++;
    if (HasFailure()) break;
  }
  EXPECT_GT(dropped, 400U);
  EXPECT_GT(passed, 400U);
}

TEST_F(WireXdp, ADropIsRemembered) {
  const Frame frame = tunnelled(udp(kPodAtPeer3, kPodA));
  ASSERT_EQ(plain_->xdp.run(frame).verdict, XDP_DROP);
  std::vector<merino_drop> per_cpu(static_cast<size_t>(libbpf_num_possible_cpus()));
  const uint32_t reason = MERINO_FORGED;
  ASSERT_EQ(bpf_map_lookup_elem(plain_->programs.map_fd("drops"), &reason, per_cpu.data()), 0);
  const auto drop = std::max_element(per_cpu.begin(), per_cpu.end(),
                                     [](const merino_drop& a, const merino_drop& b) { return a.seen.time_ns < b.seen.time_ns; });
  EXPECT_EQ(drop->seen.program, MERINO_WIRE_XDP);
  EXPECT_EQ(drop->seen.reason, MERINO_FORGED);
  EXPECT_EQ(drop->seen.len, frame.size());
  EXPECT_EQ(drop->seen.ifindex, Topology::ifindex("uplink"));
  const size_t kept = std::min<size_t>(frame.size(), MERINO_DROP_BYTES);
  ASSERT_EQ(drop->seen.captured, kept);
  EXPECT_TRUE(std::equal(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(kept), drop->frame));
}

TEST_F(WireXdp, WithoutATunnelEverythingPasses) {
  auto config = topology.config();
  config.tunnel_port = 0;
  LoadedWireXdp without(plain_->programs, config);
  EXPECT_EQ(without.run(tunnelled(udp(kPodAtPeer3, kPodA))).verdict, XDP_PASS);
}

}  // namespace

}  // namespace merino::test::wire_xdp_test
