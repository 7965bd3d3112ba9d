// The programs on real devices: where packets come out, and what BPF_PROG_TEST_RUN cannot make (GSO types, scattered packets, real tags).
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>

#include "bpf/attached_fixture.h"

namespace merino::test::attached_test {

namespace {

using ::testing::ElementsAre;

class Attached : public AttachedTest {
 protected:
  void SetUp() override {
    AttachedTest::SetUp();
    attach_all();
  }

  // As it leaves the uplink; ID and source port are whatever they are in `got`.
  static Frame on_the_wire(const Tins::IP& inner, const Frame& got) {
    const Tunnel tunnel{.mac_dst = kWireMac,
                        .mac_src = kUplinkMac,
                        .src = kNode,
                        .dst = kPeer2,
                        .sport = number_at(got, 34),
                        .id = number_at(got, 18),
                        .inner_dst = kVtep2Mac,
                        .inner_src = kVtepMac};
    return tunnelled(inner, tunnel);
  }
};

TEST_F(Attached, DeliversToALocalPodStraight) {
  const Frame frame = from_pod_a(udp(kPodA, kPodB));
  EXPECT_THAT(send(pod_a, frame), ElementsAre(Count{MERINO_LOCAL, 1, frame.size()}));
  const auto received = pod_b.receive();
  ASSERT_TRUE(received);
  const Frame wanted = ethernet(kPodBMac, kHostBMac, with(udp(kPodA, kPodB), [](auto& ip) { ip.ttl(63); }));
  EXPECT_TRUE(received->frame == wanted) << difference(received->frame, wanted);
}

// Whether a program at the egress of the pod's host side sees what the pod gets.
TEST_F(Attached, PassesTheHostSideWhereThePodWantsThat) {
  links.push_back(attach_next(programs.counting_program(), "vethb", Direction::egress));
  const Frame frame = from_pod_a(udp(kPodA, kPodB));
  const Frame wanted = ethernet(kPodBMac, kHostBMac, with(udp(kPodA, kPodB), [](auto& ip) { ip.ttl(63); }));
  for (const auto& [delivery, seen] : {std::pair{MERINO_DELIVER_PEER, 0U}, {MERINO_DELIVER_REDIRECT, 1U}}) {
    SCOPED_TRACE(delivery);
    programs.add_pod(kPodB, "vethb", kPodBMac, kHostBMac, delivery);
    EXPECT_THAT(send(pod_a, frame), ElementsAre(Count{MERINO_LOCAL, 1, frame.size()}));
    const auto received = pod_b.receive();
    ASSERT_TRUE(received);
    EXPECT_TRUE(received->frame == wanted) << difference(received->frame, wanted);
    EXPECT_EQ(programs.seen(), seen);
  }
}

TEST_F(Attached, SendsToThePeerByTheNeighbourOfTheUplink) {
  const Tins::IP ip = tcp(kPodA, kPodAtPeer2);
  EXPECT_THAT(send(pod_a, from_pod_a(ip)), ElementsAre(Count{MERINO_ENCAP, 1, from_pod_a(ip).size()}));
  const auto received = wire.receive();
  ASSERT_TRUE(received);
  const Frame wanted = on_the_wire(with(ip, [](auto& changed) { changed.ttl(63); }), received->frame);
  EXPECT_TRUE(received->frame == wanted) << difference(received->frame, wanted);
}

// By its own MAC address if it is on the segment that the configuration names, else as the node's routes say.
TEST_F(AttachedTest, AsksTheRoutesOnlyForAPeerThatIsNotOnLink) {
  topology.node().ip(
      fmt::format("neigh add 192.168.50.254 lladdr {} dev uplink nud permanent\nroute add {}/32 via 192.168.50.254", kOtherMac, kPeer2));
  const auto receiver_of_a_packet_to_peer2 = [&](merino_config config, int on_link_len, void (LoadedPrograms::*fill)()) {
    config.v4.on_link_len = static_cast<uint8_t>(on_link_len);
    LoadedPrograms loaded(config);
    (loaded.*fill)();
    const Attachment attached = attach_next(loaded.fd(Program::from_pod), "vetha", Direction::ingress);
    const auto before = loaded.counters();
    pod_a.send(from_pod_a(udp(kPodA, kPodAtPeer2)));
    EXPECT_THAT(wait_for(loaded, before, 1), ElementsAre(testing::Field(&Count::reason, MERINO_ENCAP)));
    const auto received = wire.receive();
    return received ? fmt::format("{:02x}", fmt::join(received->frame.begin(), received->frame.begin() + MERINO_ETH_ALEN, ":"))
                    : "nothing was received";
  };
  for (const auto& [on_link_len, wanted] : {std::pair{0, kOtherMac}, {96 + 24, kWireMac}, {96 + 30, kWireMac}, {96 + 32, kOtherMac}}) {
    SCOPED_TRACE(on_link_len);
    EXPECT_EQ(receiver_of_a_packet_to_peer2(topology.config(), on_link_len, &LoadedPrograms::fill), wanted);
    EXPECT_EQ(receiver_of_a_packet_to_peer2(topology.udp_config(), on_link_len, &LoadedPrograms::fill_udp), wanted);
  }
}

TEST_F(Attached, DeliversFromThePeer) {
  const Tins::IP ip = udp(kPodAtPeer2, kPodA);
  const Frame frame = tunnelled(ip);
  EXPECT_THAT(send(wire, frame), ElementsAre(Count{MERINO_DECAP, 1, frame.size()}));
  const auto received = pod_a.receive();
  ASSERT_TRUE(received);
  const Frame wanted = ethernet(kPodAMac, kHostAMac, with(ip, [](auto& changed) { changed.ttl(63); }));
  EXPECT_TRUE(received->frame == wanted) << difference(received->frame, wanted);
}

TEST_F(Attached, AnswersThePodsArpQuestion) {
  const Frame question = arp(kPodAMac, kPodA, kGateway);
  EXPECT_THAT(send(pod_a, question), ElementsAre(Count{MERINO_ARP_REPLY, 1, question.size()}));
  const auto received = pod_a.receive();
  ASSERT_TRUE(received);
  Tins::ARP answer(kPodA, kGateway, Tins::HWAddress<6>(kPodAMac), Tins::HWAddress<6>(kHostAMac));
  answer.opcode(Tins::ARP::REPLY);
  const Frame wanted = ethernet(kPodAMac, kHostAMac, answer);
  EXPECT_TRUE(received->frame == wanted) << difference(received->frame, wanted);
}

TEST_F(Attached, KeepsTcpSegmentsOfTheMtuWhole) {
  const Frame frame = from_pod_a(tcp(kPodA, kPodAtPeer2, 60000));
  EXPECT_THAT(send(pod_a, frame, tcp_segments(34, kPodMtu - 40)), ElementsAre(Count{MERINO_ENCAP, 1, frame.size()}));
  const auto received = wire.receive();
  ASSERT_TRUE(received);
  EXPECT_EQ(received->frame.size(), frame.size() + kOverhead);
  EXPECT_EQ(received->offload.gso_size, kPodMtu - 40);
  EXPECT_EQ(received->offload.csum_start, kInnerIp + kIpLen);
  EXPECT_EQ(number_at(received->frame, kEthLen + 2), frame.size() - kEthLen + kOverhead);
  EXPECT_EQ(number_at(received->frame, kEthLen + kIpLen + 4), frame.size() - kEthLen + kOverhead - kIpLen);
}

// What would not fit into an IP packet with its tunnel headers, the stack cuts first.
TEST_F(Attached, LeavesSegmentsBeyond64KiBToTheStack) {
  constexpr size_t kLargest = 0xffff - kOverhead;
  const Frame largest = from_pod_a(tcp_of(kPodA, kPodAtPeer2, kLargest));
  EXPECT_THAT(send(pod_a, largest, tcp_segments(34, kPodMtu - 40)), ElementsAre(Count{MERINO_ENCAP, 1, largest.size()}));
  topology.node().ip(std::string("route del ") + kNetwork + " dev merino0");
  const Frame larger = from_pod_a(tcp_of(kPodA, kPodAtPeer2, kLargest + 1));
  EXPECT_THAT(send(pod_a, larger, tcp_segments(34, kPodMtu - 40)), ElementsAre(Count{MERINO_HELPER, 1, larger.size()}));
}

TEST_F(Attached, EncapsulatesUdpSegmentsOfTheMtu) {
  const Frame frame = from_pod_a(udp(kPodA, kPodAtPeer2, 5 * (kPodMtu - 28)));
  EXPECT_THAT(send(pod_a, frame, udp_segments(34, kPodMtu - 28)), ElementsAre(Count{MERINO_ENCAP, 1, frame.size()}));
}

TEST_F(Attached, LeavesSegmentsOverTheMtuToTheStack) {
  const Frame tcp_frame = from_pod_a(tcp(kPodA, kPodAtPeer2, 60000));
  const Frame udp_frame = from_pod_a(udp(kPodA, kPodAtPeer2, 5 * (kPodMtu - 27)));
  // Without a route the stack throws the packet away: only the verdict is looked at.
  topology.node().ip(std::string("route del ") + kNetwork + " dev merino0");
  EXPECT_THAT(send(pod_a, tcp_frame, tcp_segments(34, kPodMtu - 39)), ElementsAre(Count{MERINO_MTU, 1, tcp_frame.size()}));
  EXPECT_THAT(send(pod_a, udp_frame, udp_segments(34, kPodMtu - 27)), ElementsAre(Count{MERINO_MTU, 1, udp_frame.size()}));
}

TEST_F(Attached, DeliversLocalSegmentsWhole) {
  const Frame frame = from_pod_a(tcp(kPodA, kPodB, 60000));
  EXPECT_THAT(send(pod_a, frame, tcp_segments(34, kPodMtu - 40)), ElementsAre(Count{MERINO_LOCAL, 1, frame.size()}));
  const auto received = pod_b.receive();
  ASSERT_TRUE(received);
  EXPECT_EQ(received->frame.size(), frame.size());
  EXPECT_EQ(received->offload.gso_size, kPodMtu - 40);
}

// Checksums that the sender left to a device (virtio, veth) are still to be filled in by whoever takes the packet, at the right place.
TEST_F(Attached, LeavesTheInnerChecksumToTheDevice) {
  const Tins::IP outgoing = tcp(kPodA, kPodAtPeer2);
  send(pod_a, from_pod_a(outgoing), {.flags = 1, .csum_start = 34, .csum_offset = 16});
  const auto at_wire = wire.receive();
  ASSERT_TRUE(at_wire);
  EXPECT_EQ(at_wire->offload.flags & 1, 1);
  EXPECT_EQ(at_wire->offload.csum_start, kInnerIp + kIpLen);

  const Frame incoming = tunnelled(tcp(kPodAtPeer2, kPodA));
  EXPECT_THAT(send(wire, incoming, {.flags = 1, .csum_start = kInnerIp + kIpLen, .csum_offset = 16}),
              ElementsAre(Count{MERINO_DECAP, 1, incoming.size()}));
  const auto at_pod = pod_a.receive();
  ASSERT_TRUE(at_pod);
  EXPECT_EQ(at_pod->offload.flags & 1, 1);
  EXPECT_EQ(at_pod->offload.csum_start, kEthLen + kIpLen);
}

TEST_F(Attached, ForgetsTheOuterChecksumWithTheOuterHeader) {
  const Tins::IP ip = udp(kPodAtPeer2, kPodA);
  const Frame frame = tunnelled(ip);
  EXPECT_THAT(send(wire, frame, {.flags = 1, .csum_start = kEthLen + kIpLen, .csum_offset = 6}),
              ElementsAre(Count{MERINO_DECAP, 1, frame.size()}));
  const auto received = pod_a.receive();
  ASSERT_TRUE(received);
  EXPECT_EQ(received->offload.flags & 1, 0) << "checksum from byte " << received->offload.csum_start;
  const Frame wanted = ethernet(kPodAMac, kHostAMac, with(ip, [](auto& changed) { changed.ttl(63); }));
  EXPECT_TRUE(received->frame == wanted) << difference(received->frame, wanted);
}

// Headers outside of the linear part have to be pulled in first.
TEST_F(Attached, ReadsHeadersThatLieScattered) {
  topology.node().ip("link set vetha mtu 9000\nlink set uplink mtu 9000");
  topology.pod_a().ip("link set eth0 mtu 9000");
  topology.wire().ip("link set wire mtu 9000");
  for (const unsigned linear : {14U, 15U, 33U, 34U, 35U, 41U, 42U, 63U, 64U, 77U, 78U, 97U, 98U}) {
    SCOPED_TRACE(linear);
    const Tins::IP local = udp(kPodA, kPodB, 5000);
    auto before = programs.counters();
    pod_a.send_scattered(from_pod_a(local), linear);
    EXPECT_THAT(wait_for(before, 1), ElementsAre(Count{MERINO_LOCAL, 1, from_pod_a(local).size()}));
    const auto at_b = pod_b.receive();
    ASSERT_TRUE(at_b);
    const Frame wanted_at_b = ethernet(kPodBMac, kHostBMac, with(local, [](auto& ip) { ip.ttl(63); }));
    EXPECT_TRUE(at_b->frame == wanted_at_b) << difference(at_b->frame, wanted_at_b);

    const Tins::IP remote = udp(kPodAtPeer2, kPodA, 5000);
    before = programs.counters();
    wire.send_scattered(tunnelled(remote), linear);
    EXPECT_THAT(wait_for(before, 1), ElementsAre(Count{MERINO_DECAP, 1, tunnelled(remote).size()}));
    const auto at_a = pod_a.receive();
    ASSERT_TRUE(at_a);
    const Frame wanted_at_a = ethernet(kPodAMac, kHostAMac, with(remote, [](auto& ip) { ip.ttl(63); }));
    EXPECT_TRUE(at_a->frame == wanted_at_a) << difference(at_a->frame, wanted_at_a);
  }
}

// BPF_PROG_TEST_RUN refuses frames without a whole IP header.
TEST_F(Attached, SurvivesFramesShorterThanAnIpHeader) {
  PacketSocket host(topology.node(), "merino0");
  for (size_t len = kEthLen; len < kEthLen + kIpLen; ++len) {
    EXPECT_THAT(send(pod_a, cut(from_pod_a(udp(kPodA, kPodB)), len)), ElementsAre(Count{MERINO_MALFORMED, 1, len}));
    EXPECT_THAT(send(pod_a, cut(arp(kPodAMac, kPodA, kGateway), len)), ElementsAre(Count{MERINO_MALFORMED, 1, len}));
    EXPECT_THAT(send(wire, cut(tunnelled(udp(kPodAtPeer2, kPodA)), len)), ElementsAre(Count{MERINO_NOT_TUNNEL, 1, len}));
    EXPECT_THAT(send(host, cut(ethernet(kVtep2Mac, kVtepMac, udp(kNode, kPodAtPeer2)), len)), ElementsAre(Count{MERINO_MALFORMED, 1, len}));
  }
}

// The stack takes a tag of VLAN 0 (a priority tag) off and goes on as if there were none, two of them as well: what is in such a frame has
// to be judged, or a pod forges with it what it likes.
class PriorityTagged : public Attached {
 protected:
  // Sends the packet with one or two tags of VLAN 0; whether it came out at the wire is in `escaped`.
  std::vector<Count> send_tagged(const Tins::IP& ip, int tags) {
    Frame frame = from_pod_a(ip);
    for (int i = 0; i < tags; ++i) frame = with_vlan(frame, 0x2000);
    const auto counts = send(pod_a, frame);
    const Tins::IP sentinel = udp_ports(kPodA, kPodAtPeer2, 1, 2);
    send(pod_a, from_pod_a(sentinel));
    const Frame end = from_pod_a(sentinel);
    const Frame end_ports = slice(end, 34, 38);
    escaped = false;
    while (const auto received = wire.receive()) {
      const size_t ports = kInnerIp + kIpLen;
      if (received->frame.size() > ports + 4 && slice(received->frame, ports, ports + 4) == end_ports) return counts;
      escaped = true;
    }
    ADD_FAILURE() << "the packet behind it did not arrive";
    return counts;
  }
  bool escaped = false;
};

TEST_F(PriorityTagged, CannotForgeASource) {
  for (const int tags : {1, 2}) {
    SCOPED_TRACE(tags);
    EXPECT_THAT(send_tagged(udp(kPodB, kPeer2), tags), ElementsAre(::testing::Field(&Count::reason, MERINO_SPOOFED)));
    EXPECT_FALSE(escaped);
  }
}

TEST_F(PriorityTagged, CannotReachTheTunnelPort) {
  for (const int tags : {1, 2}) {
    SCOPED_TRACE(tags);
    const auto counts = send_tagged(udp_ports(kPodA, kPeer2, 1, kTunnelPort), tags);
    EXPECT_EQ(verdict_of(counts.at(0).reason), verdict_of(MERINO_TUNNEL_PORT)) << name_of(counts.at(0).reason);
    EXPECT_FALSE(escaped);
  }
}

TEST_F(PriorityTagged, ReachesTheStackOtherwise) {
  EXPECT_THAT(send_tagged(udp(kPodA, kPeer2), 1), ElementsAre(::testing::Field(&Count::reason, MERINO_NOT_IP)));
  EXPECT_TRUE(escaped);
}

}  // namespace

}  // namespace merino::test::attached_test
