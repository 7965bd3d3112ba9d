// flannel's udp backend: its bytes, and what becomes of packets that only the stack can handle.
#include <bpf/bpf.h>
#include <gmock/gmock.h>

#include "bpf/attached_fixture.h"
#include "bpf/cases.h"

namespace merino::test::udp_test {

namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

constexpr size_t kUdpOverhead = 28;
constexpr size_t kInner = kEthLen + kUdpOverhead;

class UdpBackend : public AttachedTest {
 protected:
  void SetUp() override {
    AttachedTest::SetUp();
    udp_programs.fill_udp();
  }
  Frame expect_udp(Program program, const Frame& frame, merino_reason reason) { return expect(udp_programs, program, frame, {}, reason); }

  void attach_udp() {
    for (const auto& [program, interface] : {std::pair{Program::from_pod, "vetha"},
                                             {Program::from_wire, "uplink"},
                                             {Program::from_tunnel, "merino0"},
                                             {Program::from_host, "merino0"}}) {
      links.push_back(
          attach_next(udp_programs.fd(program), interface, program == Program::from_host ? Direction::egress : Direction::ingress));
    }
  }
  std::vector<Count> wait_for_udp(const std::vector<merino_counter>& before, uint64_t packets) {
    return wait_for(udp_programs, before, packets);
  }

  LoadedPrograms udp_programs{topology.udp_config()};
};

TEST_F(UdpBackend, IsExactFromAPodAndFromTheHost) {
  const auto wanted = [](const Tins::IP& ip, const Frame& got, const char* dst) {
    return in_udp(ip, {.mac_dst = kHostAMac,
                       .mac_src = kPodAMac,
                       .src = kNode,
                       .dst = dst,
                       .sport = number_at(got, kEthLen + kIpLen),
                       .id = number_at(got, kEthLen + 4)});
  };
  for (const Tins::IP& ip : {udp(kPodA, kPodAtPeer2), udp(kPodA, kPodAtPeer2, 0), udp(kPodA, kPodAtPeer2, 1),
                             tcp_of(kPodA, kPodAtPeer2, kPodMtu), udp_of(kPodA, kPodAtPeer2, kPodMtu)}) {
    SCOPED_TRACE(ip.size());
    const Frame got = expect_udp(Program::from_pod, from_pod_a(ip), MERINO_ENCAP);
    const Frame want = wanted(one_hop_less(ip), got, kPeer2);
    EXPECT_TRUE(got == want) << difference(got, want);
    EXPECT_EQ(got.size(), from_pod_a(ip).size() + kUdpOverhead);
    EXPECT_EQ(ip_checksum(got, kEthLen), 0);
    EXPECT_EQ(ip_checksum(got, kInner), 0);
  }
  for (const Tins::IP& ip : {udp(kNode, kPodAtPeer3), ping(kNode, kPodAtPeer3), with_ttl(udp(kNode, kPodAtPeer3), 1)}) {
    const Frame got = expect_udp(Program::from_host, ethernet(kHostAMac, kPodAMac, ip), MERINO_HOST_ENCAP);
    const Frame want = wanted(ip, got, kPeer3);
    EXPECT_TRUE(got == want) << difference(got, want);
  }
}

TEST_F(UdpBackend, GivesThePacketBackAtTheOtherNode) {
  LoadedPrograms other_node(topology.udp_config());
  other_node.add_pod(kPodAtPeer2, "vethb", kPodBMac, kHostBMac);
  other_node.add_peer(kSubnet, kPeer2, kVtep2Mac);
  other_node.set_prefix_lengths({24});
  for (const size_t payload : {0, 1, 31, 32, 1000, 1422}) {
    const Tins::IP ip = udp(kPodA, kPodAtPeer2, payload);
    Frame sent = expect_udp(Program::from_pod, from_pod_a(ip), MERINO_ENCAP);
    sent = patched(sent, 0, {0x02, 0, 0, 0, 0xee, 0x01});
    sent = patched(sent, kEthLen + 12, {192, 168, 50, 2, 192, 168, 50, 1});
    const Frame got = expect(other_node, Program::from_wire, sent, {}, MERINO_DECAP);
    const Frame want = ethernet(kPodBMac, kHostBMac, one_hop_less(one_hop_less(ip)));
    EXPECT_TRUE(got == want) << payload << " bytes: " << difference(got, want);
  }
}

TEST_F(UdpBackend, SurvivesEveryCut) {
  const Frame frame = in_udp(udp(kPodAtPeer2, kPodA));
  for (size_t len = kEthLen + kIpLen; len <= frame.size(); ++len) {
    SCOPED_TRACE(len);
    expect_udp(Program::from_wire, cut(frame, len),
               len < kEthLen + kUdpOverhead ? MERINO_NOT_TUNNEL
               : len < frame.size()         ? MERINO_MALFORMED
                                            : MERINO_DECAP);
  }
  // The outer headers say what is there, the inner one does not.
  for (size_t len = kInner; len < frame.size(); ++len) {
    SCOPED_TRACE(len);
    Frame shorter = with_number(cut(frame, len), kEthLen + 2, static_cast<int>(len - kEthLen));
    shorter = with_number(shorter, kEthLen + kIpLen + 4, static_cast<int>(len - kEthLen - kIpLen));
    expect_udp(Program::from_wire, shorter, MERINO_MALFORMED);
  }
}

TEST_F(UdpBackend, DeliversFromThePeer) {
  attach_udp();
  const Tins::IP ip = udp(kPodAtPeer2, kPodA);
  const auto before = udp_programs.counters();
  wire.send(in_udp(ip, {.sport = kUdpPort}));
  EXPECT_THAT(wait_for_udp(before, 1), ElementsAre(Count{MERINO_DECAP, 1, in_udp(ip).size()}));
  const auto received = pod_a.receive();
  ASSERT_TRUE(received);
  const Frame want = ethernet(kPodAMac, kHostAMac, one_hop_less(ip));
  EXPECT_TRUE(received->frame == want) << difference(received->frame, want);
}

// By way of the VXLAN driver behind merino0, so that netfilter sees it come from there; the driver finds nothing to complain about.
TEST_F(UdpBackend, GoesThroughTheStackByMerino0) {
  attach_udp();
  const Tins::IP ip = ping(kPodAtPeer2, kPodA);
  for (const Frame& frame : {in_udp(ip), with_number(in_udp(ip), kEthLen + kIpLen + 6, 0x1234)}) {
    const auto before = udp_programs.counters();
    wire.send(frame);
    EXPECT_THAT(wait_for_udp(before, 2), ElementsAre(Count{MERINO_PROTOCOL, 2, frame.size() + inner_frame(ip).size()}));
    const auto received = pod_a.receive();
    ASSERT_TRUE(received);
    const Frame want = ethernet(kPodAMac, kHostAMac, one_hop_less(ip));
    EXPECT_TRUE(received->frame == want) << difference(received->frame, want);
  }
}

// As the stack leaves it to a veth: the outer or the inner checksum is still to be filled in.
TEST_F(UdpBackend, CarriesUnfinishedChecksums) {
  attach_udp();
  const Tins::IP ip = with(tcp(kPodAtPeer2, kPodA), [](auto& changed) { changed.tos(2); });
  const Frame frame = in_udp(ip, {.tos = 3});  // by way of the driver
  auto before = udp_programs.counters();
  wire.send(frame, {.flags = 1, .csum_start = kEthLen + kIpLen, .csum_offset = 6});
  EXPECT_THAT(wait_for_udp(before, 2),
              UnorderedElementsAre(Count{MERINO_ECN, 1, frame.size()}, Count{MERINO_TUNNEL, 1, inner_frame(ip).size()}));
  auto received = pod_a.receive();
  ASSERT_TRUE(received);
  EXPECT_EQ(received->offload.flags & 1, 0) << "checksum from byte " << received->offload.csum_start;

  before = udp_programs.counters();
  wire.send(frame, {.flags = 1, .csum_start = kInner + kIpLen, .csum_offset = 16});
  wait_for_udp(before, 2);
  received = pod_a.receive();
  ASSERT_TRUE(received);
  EXPECT_EQ(received->offload.flags & 1, 1);
  EXPECT_EQ(received->offload.csum_start, kEthLen + kIpLen);
}

// A tunnel on the node: encapsulated already, so it takes the turn through the driver to the node itself.
TEST_F(UdpBackend, CarriesATunnelOfTheHost) {
  attach_udp();
  topology.node().ip(
      "link add inside address 02:00:00:00:99:01 type vxlan id 99 dstport 4789 local 10.244.1.0 remote 10.244.2.9 dev merino0\n"
      "link set inside up\naddr add 172.31.0.1/24 dev inside\nneigh add 172.31.0.2 lladdr 02:00:00:00:99:02 dev inside nud permanent");
  const auto before = udp_programs.counters();
  topology.node().run("bash -c echo>/dev/udp/172.31.0.2/80");
  const auto counts = wait_for_udp(before, 2);
  EXPECT_THAT(counts, UnorderedElementsAre(::testing::Field(&Count::reason, MERINO_HOST_DRIVER),
                                           ::testing::Field(&Count::reason, MERINO_HOST_ENCAP)));
  const auto received = wire.receive();
  ASSERT_TRUE(received);
  const Frame& frame = received->frame;
  EXPECT_EQ(slice(frame, kEthLen + 12, kEthLen + 20), (Frame{192, 168, 50, 1, 192, 168, 50, 2}));
  EXPECT_EQ(number_at(frame, kEthLen + kIpLen + 2), kUdpPort);
  EXPECT_EQ(slice(frame, kInner + 12, kInner + 20), (Frame{10, 244, 1, 0, 10, 244, 2, 9}));
  EXPECT_EQ(ip_checksum(frame, kInner), 0);
  EXPECT_EQ(number_at(frame, kInner + kIpLen + 2), 4789) << "the tunnel inside";
}

TEST_F(UdpBackend, KeepsTcpSegmentsOfTheMtuWhole) {
  attach_udp();
  const Frame frame = from_pod_a(tcp(kPodA, kPodAtPeer2, 60000));
  const auto before = udp_programs.counters();
  pod_a.send(frame, tcp_segments(34, kPodMtu - 40));
  EXPECT_THAT(wait_for_udp(before, 1), ElementsAre(Count{MERINO_ENCAP, 1, frame.size()}));
  const auto received = wire.receive();
  ASSERT_TRUE(received);
  EXPECT_EQ(received->frame.size(), frame.size() + kUdpOverhead);
  EXPECT_EQ(received->offload.gso_size, kPodMtu - 40);
  EXPECT_EQ(received->offload.csum_start, kInner + kIpLen);
}

}  // namespace

}  // namespace merino::test::udp_test
