// Whose subnet an address lies in: one hash lookup for each prefix length that occurs, longest first.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/address.h"
#include "bpf/fixture.h"
#include "datapath/convert.h"

namespace merino::test::peer_lookup_test {

namespace {

class PeerLookup : public BpfTest {
 protected:
  // No peers but those of the test.
  void SetUp() override { programs.set_prefix_lengths({}); }

  // The node that a packet of the host to `dst` is sent to; "none" if no node has that subnet.
  std::string node_for(const std::string& dst) {
    const Outcome outcome = programs.run(Program::from_host, ethernet(kVtep2Mac, kVtepMac, udp(kNode, dst)));
    if (outcome.reason() == MERINO_NO_PEER) return "none";
    EXPECT_EQ(outcome.reason(), MERINO_HOST_ENCAP);
    return IpAddress::from_network(Family::v4, &outcome.frame.at(kEthLen + 16)).to_string();
  }
};

TEST_F(PeerLookup, FindsNobodyInAnEmptyTable) {
  EXPECT_EQ(node_for(kPodAtPeer2), "none");
  programs.set_prefix_lengths({24});
  EXPECT_EQ(node_for(kPodAtPeer2), "none");
}

TEST_F(PeerLookup, FindsNobodyBeforeTheFirstSynchronisation) {
  LoadedPrograms untouched(topology.config());
  EXPECT_EQ(untouched.run(Program::from_host, ethernet(kVtep2Mac, kVtepMac, udp(kNode, kPodAtPeer2))).reason(), MERINO_NO_PEER);
}

TEST_F(PeerLookup, FindsTheSubnetFromItsFirstToItsLastAddress) {
  programs.add_peer("10.244.2.0/24", kPeer2, kVtep2Mac);
  programs.set_prefix_lengths({24});
  EXPECT_EQ(node_for("10.244.1.255"), "none");
  EXPECT_EQ(node_for("10.244.2.0"), kPeer2);
  EXPECT_EQ(node_for("10.244.2.255"), kPeer2);
  EXPECT_EQ(node_for("10.244.3.0"), "none");
}

TEST_F(PeerLookup, TakesTheLongestOfMixedLengths) {
  programs.add_peer("10.244.0.0/16", "192.168.50.16", kVtep2Mac);
  programs.add_peer("10.244.64.0/20", "192.168.50.20", kVtep2Mac);
  programs.add_peer("10.244.65.0/24", "192.168.50.24", kVtep2Mac);
  programs.add_peer("10.244.65.128/25", "192.168.50.25", kVtep2Mac);
  programs.add_peer("10.244.65.129/32", "192.168.50.32", kVtep2Mac);
  programs.set_prefix_lengths({32, 25, 24, 20, 16});
  EXPECT_EQ(node_for("10.244.65.129"), "192.168.50.32");
  EXPECT_EQ(node_for("10.244.65.130"), "192.168.50.25");
  EXPECT_EQ(node_for("10.244.65.127"), "192.168.50.24");
  EXPECT_EQ(node_for("10.244.64.1"), "192.168.50.20");
  EXPECT_EQ(node_for("10.244.79.255"), "192.168.50.20");
  EXPECT_EQ(node_for("10.244.80.0"), "192.168.50.16");
  EXPECT_EQ(node_for("10.245.0.1"), "none");
  programs.remove_peer("10.244.65.128/25");
  EXPECT_EQ(node_for("10.244.65.130"), "192.168.50.24");
}

// Whoever has the longest prefix owns the address, also as a source.
TEST_F(PeerLookup, JudgesASourceByTheLongestPrefix) {
  programs.add_pod(kPodA, "vetha", kPodAMac, kHostAMac);
  programs.add_peer("10.244.0.0/16", kPeer2, kVtep2Mac);
  programs.add_peer("10.244.3.0/24", kPeer3, kVtep3Mac);
  programs.set_prefix_lengths({24, 16});
  expect(Program::from_wire, tunnelled(udp("10.244.3.9", kPodA), {.src = kPeer3}), MERINO_DECAP);
  expect(Program::from_wire, tunnelled(udp("10.244.3.9", kPodA), {.src = kPeer2}), MERINO_FORGED);
  expect(Program::from_wire, tunnelled(udp("10.244.4.9", kPodA), {.src = kPeer2}), MERINO_DECAP);
  expect(Program::from_wire, tunnelled(udp("10.244.4.9", kPodA), {.src = kPeer3}), MERINO_FORGED);
}

TEST_F(PeerLookup, KnowsAsManyLengthsAsTheTableHolds) {
  // The /n that has only its last bit set: 0.0.0.1/32, 0.0.0.2/31, ... 8.0.0.0/5. They do not overlap.
  const auto subnet = [](int length) { return Prefix(IpAddress::from_v4(1U << (32 - length)), length); };
  const auto underlay = [](int length) { return fmt::format("192.168.50.{}", length); };
  std::vector<int> lengths;
  for (int i = 0; i < MERINO_MAX_PREFIX_LENS; ++i) {
    lengths.push_back(32 - i);
    programs.add_peer(subnet(32 - i).to_string(), underlay(32 - i), kVtep2Mac);
  }
  programs.set_prefix_lengths(lengths);
  for (const int length : lengths) {
    EXPECT_EQ(node_for(subnet(length).address().to_string()), underlay(length));
    EXPECT_EQ(node_for(subnet(length).last().to_string()), underlay(length));
  }
  EXPECT_EQ(node_for("16.0.0.1"), "none");
}

TEST_F(PeerLookup, FindsEachOf65000) {
  constexpr uint32_t kPeers = 65000;
  const auto subnet = [](uint32_t i) { return 0x0a000000U + (i << 8U); };  // 10.0.0.0/24 and on
  const auto underlay = [](uint32_t i) { return 0xac100000U + i; };        // 172.16.0.0 and on
  std::vector<merino_peer_key> keys(kPeers);
  std::vector<merino_peer> values(kPeers);
  for (uint32_t i = 0; i < kPeers; ++i) {
    keys[i] = to_abi(Prefix(IpAddress::from_v4(subnet(i)), 24));
    values[i].underlay = to_abi(IpAddress::from_v4(underlay(i)));
    values[i].kind = MERINO_PEER_VXLAN;
  }
  uint32_t count = kPeers;
  ASSERT_EQ(bpf_map_update_batch(programs.peers_fd(), keys.data(), values.data(), &count, nullptr), 0);
  // One length in the network: one lookup, however many peers there are.
  programs.set_prefix_lengths({24});
  for (uint32_t i = 0; i < kPeers; i += 997)
    EXPECT_EQ(node_for(IpAddress::from_v4(subnet(i) + i % 256).to_string()), IpAddress::from_v4(underlay(i)).to_string());
  EXPECT_EQ(node_for(IpAddress::from_v4(subnet(kPeers - 1)).to_string()), IpAddress::from_v4(underlay(kPeers - 1)).to_string());
  EXPECT_EQ(node_for(IpAddress::from_v4(subnet(kPeers)).to_string()), "none");
  EXPECT_EQ(node_for("9.255.255.255"), "none");
}

}  // namespace

}  // namespace merino::test::peer_lookup_test
