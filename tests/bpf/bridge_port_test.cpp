// from_pod on a bridge's port: the pod's gateway is the bridge, which has another MAC than the port.
#include <gtest/gtest.h>

#include "bpf/fixture.h"

namespace merino::test::bridge_port_test {
namespace {

constexpr const char* kBridgeMac = "02:00:00:00:bb:01";

class BridgePort : public BpfTest {
 protected:
  void SetUp() override {
    BpfTest::SetUp();
    programs.add_pod(kPodA, "vetha", kPodAMac, kBridgeMac);
  }
  Frame to_bridge(const Tins::IP& ip) { return ethernet(kBridgeMac, kPodAMac, ip); }
};

TEST_F(BridgePort, WhatIsForTheBridgeGoesTheFastWay) {
  expect(Program::from_pod, to_bridge(udp(kPodA, kPodAtPeer2)), MERINO_ENCAP);
  expect(Program::from_pod, to_bridge(udp(kPodA, kPodB)), MERINO_LOCAL);
  // The bridge takes the port's own MAC for itself too.
  expect(Program::from_pod, from_pod_a(udp(kPodA, kPodB)), MERINO_LOCAL);
}

TEST_F(BridgePort, WhatIsForAnotherPortIsTheBridges) {
  expect(Program::from_pod, ethernet(kPodBMac, kPodAMac, udp(kPodA, kPodB)), MERINO_NOT_FOR_US);
  expect(Program::from_pod, ethernet(kBroadcastMac, kPodAMac, udp(kPodA, kPodB)), MERINO_NOT_FOR_US);
}

TEST_F(BridgePort, TheSenderIsChecked) {
  expect(Program::from_pod, to_bridge(udp(kNoPod, kPodAtPeer2)), MERINO_SPOOFED);
  expect(Program::from_pod, ethernet(kBridgeMac, kOtherMac, udp(kPodA, kPodAtPeer2)), MERINO_SPOOFED);
  expect(Program::from_pod, ethernet(kPodBMac, kPodAMac, udp(kPodB, kPodA)), MERINO_SPOOFED);
}

TEST_F(BridgePort, DeliveryComesFromTheBridge) {
  const Frame out = expect(Program::from_pod, ethernet(kHostBMac, kPodBMac, udp(kPodB, kPodA)), {.interface = "vethb"}, MERINO_LOCAL);
  const Frame wanted = ethernet(kPodAMac, kBridgeMac, udp(kPodB, kPodA));
  EXPECT_TRUE(std::equal(wanted.begin(), wanted.begin() + 12, out.begin())) << difference(out, wanted);
}

}  // namespace
}  // namespace merino::test::bridge_port_test
