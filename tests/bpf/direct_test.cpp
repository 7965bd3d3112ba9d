// Without a tunnel: the bytes that leave the programs, and what they do with a network that has no tunnel at all.
#include <gmock/gmock.h>

#include "bpf/cases.h"
#include "bpf/fixture.h"

namespace merino::test::direct_test {

namespace {

merino_config with_direct_peers(merino_config config) {
  config.direct = 1;
  return config;
}

merino_config without_tunnel(merino_config config) {
  config.direct = 1;
  config.tunnel_port = 0;
  return config;
}

class Direct : public BpfTest {
 protected:
  void SetUp() override {
    direct.fill_direct();
    host_gw.fill_direct();
  }

  LoadedPrograms direct{with_direct_peers(topology.config())};
  LoadedPrograms host_gw{without_tunnel(topology.config())};
};

TEST_F(Direct, FromAPodOnlyTheHopIsCounted) {
  for (const Tins::IP& ip : {udp(kPodA, kPodAtPeer2), udp(kPodA, kPodAtPeer2, 1), tcp_of(kPodA, kPodAtPeer2, kPodMtu)}) {
    const Frame got = expect(direct, Program::from_pod, from_pod_a(ip), {}, MERINO_DIRECT);
    // The kernel writes the neighbour's MAC addresses afterwards.
    const Frame wanted = from_pod_a(one_hop_less(ip));
    EXPECT_TRUE(got == wanted) << difference(got, wanted);
    EXPECT_EQ(ip_checksum(got, kEthLen), 0);
  }
}

TEST_F(Direct, FromTheHostNothingChanges) {
  for (const Tins::IP& ip : {udp(kNode, kPodAtPeer2), ping(kNode, kPodAtPeer2), with_ttl(udp(kNode, kPodAtPeer2), 1)}) {
    const Frame frame = ethernet(kNoMac, kVtepMac, ip);
    const Frame got = expect(direct, Program::from_host, frame, {}, MERINO_HOST_DIRECT);
    EXPECT_TRUE(got == frame) << difference(got, frame);
  }
}

TEST_F(Direct, FromTheWireThePodGetsItsMacAndOneHopLess) {
  for (const Tins::IP& ip : {udp(kPodAtPeer2, kPodA), udp(kPodAtPeer2, kPodA, 1), tcp_of(kPodAtPeer2, kPodA, kPodMtu)}) {
    const Frame got = expect(direct, Program::from_wire, ethernet(kUplinkMac, kWireMac, ip), {}, MERINO_DIRECT_IN);
    const Frame wanted = ethernet(kPodAMac, kHostAMac, one_hop_less(ip));
    EXPECT_TRUE(got == wanted) << difference(got, wanted);
    EXPECT_EQ(ip_checksum(got, kEthLen), 0);
  }
}

// Ethernet's padding to 60 bytes is no part of the packet.
TEST_F(Direct, PaddingIsNoObstacle) {
  Frame frame = ethernet(kUplinkMac, kWireMac, udp(kPodAtPeer2, kPodA, 1));
  frame.resize(60);
  expect(direct, Program::from_wire, frame, {}, MERINO_DIRECT_IN);
}

TEST_F(Direct, WithoutATunnelNoTunnelPacketIsTaken) {
  expect(direct, Program::from_wire, tunnelled(udp(kPodAtPeer2, kPodA)), {}, MERINO_DECAP);
  expect(host_gw, Program::from_wire, tunnelled(udp(kPodAtPeer2, kPodA)), {}, MERINO_NOT_TUNNEL);
  const Metadata from_driver{.tunnel = Metadata::TunnelKey{}};
  expect(direct, Program::from_tunnel, inner_frame(udp(kPodAtPeer2, kPodA)), from_driver, MERINO_TUNNEL);
  expect(host_gw, Program::from_tunnel, inner_frame(udp(kPodAtPeer2, kPodA)), from_driver, MERINO_WRONG_VNI);
  expect(host_gw, Program::from_pod, from_pod_a(udp_ports(kPodA, kPeer2, kClientPort, 0)), {}, MERINO_NO_ROUTE);
}

// A peer that moves changes in the map alone.
TEST_F(Direct, APeerChangesItsKindWhileTheProgramsRun) {
  const Frame out = from_pod_a(udp(kPodA, kPodAtPeer2));
  const Frame plain = ethernet(kUplinkMac, kWireMac, udp(kPodAtPeer2, kPodA));
  const Frame tunnel = tunnelled(udp(kPodAtPeer2, kPodA));
  for (int round = 0; round < 2; ++round) {
    direct.add_peer(kSubnet2, kPeer2, kVtep2Mac);
    expect(direct, Program::from_pod, out, {}, MERINO_ENCAP);
    expect(direct, Program::from_wire, plain, {}, MERINO_PLAIN);
    expect(direct, Program::from_wire, tunnel, {}, MERINO_DECAP);
    direct.add_direct_peer(kSubnet2, kPeer2, kWireMac);
    expect(direct, Program::from_pod, out, {}, MERINO_DIRECT);
    expect(direct, Program::from_wire, plain, {}, MERINO_DIRECT_IN);
    expect(direct, Program::from_wire, tunnel, {}, MERINO_DECAP);
  }
}

TEST_F(Direct, SwitchedOffForgeriesAreDroppedAllTheSame) {
  merino_config config = with_direct_peers(topology.config());
  config.fast_path = 0;
  LoadedPrograms off(config);
  off.fill_direct();
  expect(off, Program::from_pod, from_pod_a(udp(kPodA, kPodAtPeer2)), {}, MERINO_FAST_PATH_OFF);
  expect(off, Program::from_wire, ethernet(kUplinkMac, kWireMac, udp(kPodAtPeer2, kPodA)), {}, MERINO_FAST_PATH_OFF);
  expect(off, Program::from_wire, ethernet(kUplinkMac, kOtherMac, udp(kPodAtPeer2, kPodA)), {}, MERINO_WRONG_NEIGHBOUR);
  expect(off, Program::from_host, ethernet(kNoMac, kVtepMac, udp(kNode, kPodAtPeer2)), {}, MERINO_HOST_DIRECT);
}

}  // namespace

}  // namespace merino::test::direct_test
