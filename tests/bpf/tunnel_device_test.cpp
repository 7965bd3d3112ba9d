// The VXLAN driver between the programs: what from_wire leaves to it comes back at from_tunnel, and what BPF cannot encapsulate goes out
// through it.
#include <gmock/gmock.h>

#include "bpf/attached_fixture.h"
#include "bpf/cases.h"

namespace merino::test::tunnel_device_test {

namespace {

using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;

class TunnelDevice : public AttachedTest {
 protected:
  void SetUp() override {
    AttachedTest::SetUp();
    attach_all();
  }

  // A packet from the wire that from_wire leaves to the driver and from_tunnel sees again: both reasons, each once.
  void expect_both(const Frame& frame, merino_reason at_wire, size_t inner_len, merino_reason at_tunnel) {
    EXPECT_THAT(send(wire, frame, {}, 2), UnorderedElementsAre(Count{at_wire, 1, frame.size()}, Count{at_tunnel, 1, inner_len}));
  }
  void expect_at_pod_a(const Tins::IP& ip) {
    const auto received = pod_a.receive();
    ASSERT_TRUE(received) << "nothing reached the pod";
    const Frame wanted = ethernet(kPodAMac, kHostAMac, with_ttl(ip, static_cast<uint8_t>(ip.ttl() - 1)));
    EXPECT_TRUE(received->frame == wanted) << difference(received->frame, wanted);
  }
  // VXLAN of the pod's own, which merino carries like any other packet.
  static void add_tunnel(const Netns& netns, const std::string& device, const std::string& local, const std::string& remote) {
    netns.ip(
        "link add inside address 02:00:00:00:99:01 type vxlan id 99 dstport 4789 local " + local + " remote " + remote + " dev " + device +
        "\nlink set inside up\naddr add 172.31.0.1/24 dev inside\nneigh add 172.31.0.2 lladdr 02:00:00:00:99:02 dev inside nud permanent");
  }
};

TEST_F(TunnelDevice, CarriesTheCongestionMarkInward) {
  const Tins::IP ip = with(tcp(kPodAtPeer2, kPodA), [](auto& changed) { changed.tos(2); });
  expect_both(tunnelled(ip, {.tos = 3}), MERINO_ECN, inner_frame(ip).size(), MERINO_TUNNEL);
  expect_at_pod_a(with(ip, [](auto& changed) { changed.tos(3); }));
}

TEST_F(TunnelDevice, DeliversWhatHadATrailer) {
  const Tins::IP ip = udp(kPodAtPeer2, kPodA);
  expect_both(with_trailer(tunnelled(ip)), MERINO_NOT_TUNNEL, inner_frame(ip).size(), MERINO_TUNNEL);
  expect_at_pod_a(ip);
}

TEST_F(TunnelDevice, DeliversFragmentsOfTheUnderlay) {
  const Tins::IP ip = udp(kPodAtPeer2, kPodA, 1000);
  const auto [first, second] = in_fragments(tunnelled(ip, {.id = 7}), 512);
  const auto before = programs.counters();
  wire.send(first);
  wire.send(second);
  EXPECT_THAT(wait_for(before, 3), UnorderedElementsAre(Count{MERINO_NOT_TUNNEL, 2, first.size() + second.size()},
                                                        Count{MERINO_TUNNEL, 1, inner_frame(ip).size()}));
  expect_at_pod_a(ip);
}

// Other ways to the tunnel's socket than the one that from_wire watches.
TEST_F(TunnelDevice, DropsWhatCameToAnotherAddressOfTheNode) {
  const Tins::IP ip = udp(kPodAtPeer2, kPodA);
  expect_both(tunnelled(ip, {.dst = kNodeOther}), MERINO_NOT_TUNNEL, inner_frame(ip).size(), MERINO_WRONG_ENDPOINT);
}

TEST_F(TunnelDevice, JudgesTheSenderAgain) {
  const auto with_outer_trailer = [](const Tins::IP& ip, const Tunnel& tunnel) { return with_trailer(tunnelled(ip, tunnel)); };
  const Tins::IP ip = udp(kPodAtPeer2, kPodA);
  const size_t len = inner_frame(ip).size();
  expect_both(with_outer_trailer(ip, {.src = kStranger}), MERINO_NOT_TUNNEL, len, MERINO_UNKNOWN_SENDER);
  expect_both(with_outer_trailer(ip, {.vni = 2}), MERINO_NOT_TUNNEL, len, MERINO_WRONG_VNI);
  expect_both(with_outer_trailer(udp(kPodAtPeer3, kPodA), {}), MERINO_NOT_TUNNEL, len, MERINO_FORGED);
}

// The stack takes tags of VLAN 0 off the inner frame as well.
TEST_F(TunnelDevice, JudgesWhatStandsBehindAVlanTag) {
  const Frame right = inner_frame(udp(kPodAtPeer2, kNode));
  const Frame forged = inner_frame(udp(kPodB, kNode));
  expect_both(tunnelled(with_vlan(forged, 0x2000)), MERINO_NOT_IP, forged.size(), MERINO_FORGED);
  expect_both(tunnelled(with_vlan(with_vlan(right, 0x2000), 0x2000)), MERINO_NOT_IP, right.size() + 4, MERINO_FORGED);
  const Frame tagged = tunnelled(with_vlan(right, 0x2000));
  EXPECT_THAT(send(wire, tagged, {}, 2), ::testing::Contains(Count{MERINO_NOT_IP, 2, tagged.size() + right.size()}));
}

TEST_F(TunnelDevice, TakesTheHostsPacketsByTheRoute) {
  topology.node().run("ip route replace 10.244.0.0/16 dev merino0 src 10.244.1.0");
  const auto before = programs.counters();
  topology.node().run("bash -c echo>/dev/udp/10.244.2.9/80");
  const auto counts = wait_for(before, 1);
  ASSERT_EQ(counts.size(), 1U);
  EXPECT_EQ(counts[0].reason, MERINO_HOST_ENCAP);
  const auto received = wire.receive();
  ASSERT_TRUE(received);
  EXPECT_EQ(slice(received->frame, kInnerIp + 12, kInnerIp + 20), (Frame{10, 244, 1, 0, 10, 244, 2, 9}));
}

// A tunnel on the node itself, to a pod: encapsulated already, so the driver has to do it.
TEST_F(TunnelDevice, CarriesATunnelOfTheHost) {
  add_tunnel(topology.node(), "merino0", "10.244.1.0", kPodAtPeer2);
  const auto before = programs.counters();
  topology.node().run("bash -c echo>/dev/udp/172.31.0.2/80");
  const auto counts = wait_for(before, 1);
  ASSERT_EQ(counts.size(), 1U);
  EXPECT_EQ(counts[0].reason, MERINO_HOST_DRIVER);
  const auto received = wire.receive();
  ASSERT_TRUE(received);
  const Frame& frame = received->frame;
  EXPECT_EQ(ip_checksum(frame, kEthLen), 0);
  EXPECT_EQ(slice(frame, kEthLen + 12, kEthLen + 20), (Frame{192, 168, 50, 1, 192, 168, 50, 2}));
  EXPECT_EQ(number_at(frame, kEthLen + kIpLen + 2), kTunnelPort);
  EXPECT_EQ(number_at(frame, kEthLen + kIpLen + 6), 0) << "the outer checksum";
  EXPECT_EQ(slice(frame, kInnerEth - 8, kInnerIp), (Frame{8, 0, 0, 0, 0, 0, 1, 0, 2, 0, 0, 0, 0xcc, 2, 2, 0, 0, 0, 0xcc, 1, 8, 0}));
  EXPECT_EQ(number_at(frame, kInnerIp + kIpLen + 2), 4789) << "the tunnel inside";
}

// A tunnel in a pod: from_pod leaves it to the stack, whose route leads to merino0 and the driver.
TEST_F(TunnelDevice, CarriesATunnelOfAPod) {
  topology.pod_a().ip(std::string("addr add ") + kPodA + "/32 dev eth0\nroute add " + kGateway + " dev eth0\nroute add default via " +
                      kGateway + "\nneigh add " + kGateway + " lladdr " + kHostAMac + " dev eth0 nud permanent");
  add_tunnel(topology.pod_a(), "eth0", kPodA, kPodAtPeer2);
  const auto before = programs.counters();
  topology.pod_a().run("bash -c echo>/dev/udp/172.31.0.2/80");
  const auto counts = wait_for(before, 2);
  ASSERT_EQ(counts.size(), 2U);
  EXPECT_THAT(counts,
              UnorderedElementsAre(::testing::Field(&Count::reason, MERINO_HELPER), ::testing::Field(&Count::reason, MERINO_HOST_DRIVER)));
  const auto received = wire.receive();
  ASSERT_TRUE(received);
  const Frame& frame = received->frame;
  EXPECT_EQ(slice(frame, kInnerIp + 12, kInnerIp + 20), (Frame{10, 244, 1, 2, 10, 244, 2, 9}));
  EXPECT_EQ(frame.at(kInnerIp + 8), 63) << "the inner TTL: one hop, of the stack";
}

}  // namespace

}  // namespace merino::test::tunnel_device_test
