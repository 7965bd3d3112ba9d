// The bytes that leave a node, and that the other node makes of them what the pod has sent.
#include <gmock/gmock.h>
#include <linux/pkt_cls.h>

#include <set>

#include "bpf/cases.h"
#include "bpf/fixture.h"

namespace merino::test::encapsulation_test {

namespace {

constexpr size_t kSourcePort = kEthLen + kIpLen;
constexpr size_t kId = kEthLen + 4;

class Encapsulation : public BpfTest {
 protected:
  // The frame that has to come out, with the ID and the source port of `got`.
  static Frame wanted(const Tins::IP& inner, const Frame& got, const Tunnel& to = {.dst = kPeer2, .inner_dst = kVtep2Mac}) {
    Tunnel tunnel = to;
    tunnel.mac_dst = kHostAMac;  // redirect_neigh replaces the Ethernet header later
    tunnel.mac_src = kPodAMac;
    tunnel.src = kNode;
    tunnel.inner_src = kVtepMac;
    tunnel.sport = number_at(got, kSourcePort);
    tunnel.id = number_at(got, kId);
    return tunnelled(inner, tunnel);
  }
};

TEST_F(Encapsulation, IsExactFromAPod) {
  for (const Tins::IP& ip : {udp(kPodA, kPodAtPeer2), udp(kPodA, kPodAtPeer2, 0), udp(kPodA, kPodAtPeer2, 1), tcp(kPodA, kPodAtPeer2),
                             udp_of(kPodA, kPodAtPeer2, kPodMtu), tcp_of(kPodA, kPodAtPeer2, kPodMtu)}) {
    SCOPED_TRACE(ip.size());
    const Frame got = expect(Program::from_pod, from_pod_a(ip), MERINO_ENCAP);
    ASSERT_EQ(got.size(), from_pod_a(ip).size() + kOverhead);
    EXPECT_TRUE(got == wanted(one_hop_less(ip), got)) << difference(got, wanted(one_hop_less(ip), got));
    EXPECT_EQ(ip_checksum(got, kEthLen), 0) << "the outer header's checksum";
    EXPECT_EQ(ip_checksum(got, kInnerIp), 0) << "the inner header's checksum";
    EXPECT_EQ(number_at(got, kEthLen + 2), got.size() - kEthLen) << "the outer IP length";
    EXPECT_EQ(number_at(got, kEthLen + kIpLen + 4), got.size() - kEthLen - kIpLen) << "the outer UDP length";
    EXPECT_EQ(number_at(got, kEthLen + kIpLen + 6), 0) << "the outer UDP checksum";
  }
}

TEST_F(Encapsulation, IsExactFromTheHost) {
  for (const Tins::IP& ip : {udp(kNode, kPodAtPeer3), ping(kNode, kPodAtPeer3), with_ttl(udp(kNode, kPodAtPeer3), 1)}) {
    const Frame frame = ethernet(kHostAMac, kPodAMac, ip);
    const Frame got = expect(Program::from_host, frame, MERINO_HOST_ENCAP);
    ASSERT_EQ(got.size(), frame.size() + kOverhead);
    const Frame want = wanted(ip, got, {.dst = kPeer3, .inner_dst = kVtep3Mac});
    EXPECT_TRUE(got == want) << difference(got, want);
    EXPECT_EQ(ip_checksum(got, kEthLen), 0);
  }
}

TEST_F(Encapsulation, GoesToThePeerWhoseSubnetItIs) {
  const Tins::IP ip = udp(kPodA, kPodAtPeer3);
  const Frame got = expect(Program::from_pod, from_pod_a(ip), MERINO_ENCAP);
  const Frame want = wanted(one_hop_less(ip), got, {.dst = kPeer3, .inner_dst = kVtep3Mac});
  EXPECT_TRUE(got == want) << difference(got, want);
}

// RFC 6040, normal mode of the ingress; DSCP stays inside, as with flannel.
TEST_F(Encapsulation, CopiesTheEcnCapabilityOutward) {
  const struct { uint8_t inner, outer; } marks[] = {{0, 0}, {1, 1}, {2, 2}, {3, 2}, {0xb8, 0}, {0xb9, 1}, {0xba, 2}, {0xbb, 2}};
  for (const auto& mark : marks) {
    const Tins::IP ip = with(udp(kPodA, kPodAtPeer2), [&](Tins::IP& changed) { changed.tos(mark.inner); });
    const Frame got = expect(Program::from_pod, from_pod_a(ip), MERINO_ENCAP);
    EXPECT_EQ(got.at(kEthLen + 1), mark.outer) << "inner TOS " << int{mark.inner};
    EXPECT_EQ(got.at(kInnerIp + 1), mark.inner);
    EXPECT_EQ(ip_checksum(got, kEthLen), 0);
  }
}

TEST_F(Encapsulation, KeepsTheVniOfTheConfiguration) {
  for (const uint32_t vni : {0U, 1U, 0x123456U, 0xffffffU}) {
    auto config = topology.config();
    config.vni = vni;
    LoadedPrograms other(config);
    other.fill();
    const Frame got = expect(other, Program::from_pod, from_pod_a(udp(kPodA, kPodAtPeer2)), {}, MERINO_ENCAP);
    EXPECT_EQ(slice(got, kInnerEth - 8, kInnerEth),
              (Frame{8, 0, 0, 0, static_cast<uint8_t>(vni >> 16U), static_cast<uint8_t>(vni >> 8U), static_cast<uint8_t>(vni), 0}));
    expect(other, Program::from_wire, tunnelled(udp(kPodAtPeer2, kPodA), {.vni = vni}), {}, MERINO_DECAP);
    expect(other, Program::from_wire, tunnelled(udp(kPodAtPeer2, kPodA), {.vni = vni ^ 1U}), {}, MERINO_WRONG_VNI);
  }
}

TEST_F(Encapsulation, GivesEachFlowOneSourcePort) {
  std::set<uint16_t> ports;
  for (uint16_t flow = 0; flow < 64; ++flow) {
    const Frame frame = from_pod_a(udp_ports(kPodA, kPodAtPeer2, static_cast<uint16_t>(20000 + flow), kServerPort));
    const uint16_t port = number_at(programs.run_uncounted(Program::from_pod, frame).frame, kSourcePort);
    EXPECT_GE(port, 49152);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(number_at(programs.run_uncounted(Program::from_pod, frame).frame, kSourcePort), port);
    ports.insert(port);
  }
  EXPECT_GT(ports.size(), 48U) << "64 flows share too few ports of 16,384";
}

TEST_F(Encapsulation, GivesThePacketBackAtTheOtherNode) {
  // The other node: it has this node as its peer, and the destination among its pods.
  auto config = topology.config();
  LoadedPrograms other_node(config);
  other_node.add_pod(kPodAtPeer2, "vethb", kPodBMac, kHostBMac);
  other_node.add_peer(kSubnet, kPeer2, kVtep2Mac);
  other_node.set_prefix_lengths({24});
  for (const size_t payload : {0, 1, 31, 32, 1000, 1422}) {
    const Tins::IP ip = udp(kPodA, kPodAtPeer2, payload);
    Frame sent = expect(Program::from_pod, from_pod_a(ip), MERINO_ENCAP);
    // What differs for the other node: it is the one addressed, and this node, its peer, is the sender.
    sent = patched(patched(sent, 0, {0x02, 0, 0, 0, 0xee, 0x01}), kInnerEth, {0x02, 0, 0, 0, 0xcc, 0x01});
    sent = patched(sent, kEthLen + 12, {192, 168, 50, 2, 192, 168, 50, 1});
    const Frame got = expect(other_node, Program::from_wire, sent, {}, MERINO_DECAP);
    const Frame want = ethernet(kPodBMac, kHostBMac, one_hop_less(one_hop_less(ip)));
    EXPECT_TRUE(got == want) << payload << " bytes: " << difference(got, want);
  }
}

TEST_F(Encapsulation, UpdatesTheChecksumForEveryTtl) {
  for (unsigned ttl = 0; ttl < 256; ++ttl) {
    const Tins::IP ip = with_ttl(udp(kPodA, kPodAtPeer2), static_cast<uint8_t>(ttl));
    const Outcome outcome = programs.run_uncounted(Program::from_pod, from_pod_a(ip));
    EXPECT_EQ(outcome.verdict, ttl < 2 ? TC_ACT_UNSPEC : TC_ACT_REDIRECT) << "TTL " << ttl;
    if (ttl < 2) continue;
    EXPECT_EQ(outcome.frame.at(kInnerIp + 8), ttl - 1);
    EXPECT_TRUE(outcome.frame == with_ip_checksum(outcome.frame, kInnerIp)) << "TTL " << ttl;
  }
}

// Where ones' complement arithmetic carries: every checksum from 0xfd00 on, made by the ID.
TEST_F(Encapsulation, UpdatesTheChecksumAcrossTheCarry) {
  std::set<uint16_t> checksums;
  for (unsigned id = 0; id < 0x10000; ++id) {
    const Frame frame = with_ip_checksum(with_number(from_pod_a(udp(kPodA, kPodB)), kEthLen + 4, static_cast<uint16_t>(id)), kEthLen);
    const uint16_t checksum = number_at(frame, kEthLen + 10);
    if (checksum < 0xfd00 && checksum > 0x0200) continue;
    checksums.insert(checksum);
    const Frame got = programs.run_uncounted(Program::from_pod, frame).frame;
    ASSERT_TRUE(got == with_ip_checksum(got, kEthLen)) << "checksum " << checksum;
  }
  EXPECT_GT(checksums.size(), 1000U);
}

}  // namespace

}  // namespace merino::test::encapsulation_test
