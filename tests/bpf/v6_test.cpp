// IPv6: the bytes that leave the programs, and the VXLAN driver over an IPv6 underlay.
#include <gmock/gmock.h>

#include <chrono>
#include <thread>

#include "bpf/attached_fixture.h"
#include "bpf/cases.h"

namespace merino::test::v6_test {

namespace {

constexpr const char* kSolicitedNode = "ff02::1:ff00:1";
constexpr uint32_t kRouterSolicitedOverride = 0xe0000000;

class V6Bytes : public BpfTest {};

TEST_F(V6Bytes, AreDeliveredWithOneHopLess) {
  for (const V6& ip : {udp<V6>(kPodA6, kPodB6), udp<V6>(kPodA6, kPodB6, 0), tcp<V6>(kPodA6, kPodB6, 1000)}) {
    const Frame got = expect(Program::from_pod, from_pod_a(ip), MERINO_LOCAL);
    const Frame want = ethernet(kPodBMac, kHostBMac, one_hop_less(ip));
    EXPECT_TRUE(got == want) << difference(got, want);
  }
}

TEST_F(V6Bytes, AreDecapsulated) {
  for (const V6& ip : {udp<V6>(kPodAtPeer2V6, kPodA6), udp<V6>(kPodAtPeer2V6, kPodA6, 0), tcp<V6>(kPodAtPeer2V6, kPodA6, 1000)}) {
    const Frame got = expect(Program::from_wire, tunnelled(ip, over_v6()), MERINO_DECAP);
    const Frame want = ethernet(kPodAMac, kHostAMac, one_hop_less(ip));
    EXPECT_TRUE(got == want) << difference(got, want);
  }
}

// The driver puts the tunnel headers before it; what it needs is the right MAC addresses, and one hop less from a pod.
TEST_F(V6Bytes, AreReadiedForTheDriver) {
  const V6 ip = udp<V6>(kPodA6, kPodAtPeer2V6);
  const Frame from_pod = expect(Program::from_pod, from_pod_a(ip), MERINO_ENCAP_DRIVER);
  const Frame want = from_pod_a(one_hop_less(ip));
  EXPECT_TRUE(from_pod == want) << difference(from_pod, want);
  const Frame from_host = expect(Program::from_host, from_pod, MERINO_HOST_DRIVER);
  const Frame readied = ethernet(kVtep2Mac6, kVtepMac6, one_hop_less(ip));
  EXPECT_TRUE(from_host == readied) << difference(from_host, readied);
}

TEST_F(V6Bytes, OfTheAnswerToASolicitation) {
  const struct {
    const char* name;
    const char* src;
    Frame question;
  } questions[] = {
      {"by multicast", kPodA6, ndp("33:33:ff:00:00:01", kPodAMac, {kPodA6, kSolicitedNode, kSolicitation, kGateway6, kPodAMac})},
      {"by unicast, without an option", kPodA6, ndp(kHostAMac, kPodAMac, {kPodA6, kGateway6, kSolicitation, kGateway6})},
      {"from the link-local address", kLinkLocalA, ndp(kHostAMac, kPodAMac, {kLinkLocalA, kGateway6, kSolicitation, kGateway6})},
      {"with bytes behind", kPodA6, with_trailer(ndp(kHostAMac, kPodAMac, {kPodA6, kGateway6, kSolicitation, kGateway6, kPodAMac}))},
  };
  for (const auto& question : questions) {
    SCOPED_TRACE(question.name);
    const Frame got = expect(Program::from_pod, question.question, MERINO_ARP_REPLY);
    const Frame want = ndp(kPodAMac, kHostAMac, {kGateway6, question.src, kAdvertisement, kGateway6, kHostAMac, kRouterSolicitedOverride});
    EXPECT_TRUE(got == want) << difference(got, want);
  }
}

// Every length from the IPv6 header on; BPF_PROG_TEST_RUN takes no shorter frames.
TEST_F(V6Bytes, ThatAreCut) {
  const auto check = [this](Program program, const Frame& frame, const Metadata& metadata, auto wanted) {
    for (size_t len = kEthLen + kIp6Len; len <= frame.size(); ++len) {
      SCOPED_TRACE(len);
      expect(programs, program, cut(frame, len), metadata, wanted(len));
    }
  };
  const auto malformed_unless = [](size_t whole, merino_reason reason) {
    return [=](size_t len) { return len < whole ? MERINO_MALFORMED : reason; };
  };
  const Frame local = from_pod_a(tcp<V6>(kPodA6, kPodB6));
  check(Program::from_pod, local, {}, malformed_unless(local.size(), MERINO_LOCAL));
  const Frame question = ndp("33:33:ff:00:00:01", kPodAMac, {kPodA6, kSolicitedNode, kSolicitation, kGateway6, kPodAMac});
  check(Program::from_pod, question, {}, malformed_unless(question.size(), MERINO_ARP_REPLY));
  const Frame fragment = with_extension(local, 44, {0, 0, 0, 1, 0, 0, 0, 7});
  check(Program::from_pod, fragment, {}, malformed_unless(fragment.size(), MERINO_FRAGMENT));
  const Frame inner = inner_frame(udp<V6>(kPodAtPeer2V6, kPodA6), kVtepMac6);
  check(Program::from_tunnel, inner, {.tunnel = Metadata::TunnelKey{.remote = kPeer2V6, .local = kNode6}},
        malformed_unless(inner.size(), MERINO_TUNNEL));
  const Frame outer = tunnelled(inner, over_v6());
  check(Program::from_wire, outer, {}, [&](size_t len) {
    if (len < kEthLen + kIp6Len + kUdpLen) return MERINO_NOT_TUNNEL;
    return len < outer.size() ? MERINO_MALFORMED : MERINO_DECAP;
  });
  for (size_t len = 0; len < inner.size(); ++len) {
    SCOPED_TRACE(len);
    expect(Program::from_wire, tunnelled(cut(inner, len), over_v6()), MERINO_MALFORMED);
  }
  const Frame host = ethernet(kNoMac, kVtepMac, udp<V6>(kNode6, kPodAtPeer2V6));
  check(Program::from_host, host, {}, malformed_unless(host.size(), MERINO_HOST_DRIVER));
}

// The lengths that the headers say are what is there, however little it is.
TEST_F(V6Bytes, ThatAreFew) {
  const Frame frame = from_pod_a(udp<V6>(kPodA6, kPodB6));
  for (size_t len = kEthLen + kIp6Len; len <= frame.size(); ++len) {
    SCOPED_TRACE(len);
    const size_t payload = len - kEthLen - kIp6Len;
    expect(Program::from_pod, with_number(cut(frame, len), kEthLen + 4, static_cast<int>(payload)),
           payload < 4 ? MERINO_MALFORMED : MERINO_LOCAL);
  }
}

class V6Tunnel : public AttachedTest {
 protected:
  void SetUp() override {
    AttachedTest::SetUp();
    topology.enable_v6();
    // So that the driver fills in the outer checksum itself.
    topology.node().run("ethtool -K uplink tx off");
    attach_all();
  }
  // As it leaves the uplink, with the source port of `got`.
  static Frame on_the_wire(const V6& inner, const Frame& got) {
    return tunnelled(inner, {.mac_dst = kWireMac,
                             .mac_src = kUplinkMac,
                             .src = kNode6,
                             .dst = kPeer2V6,
                             .sport = number_at(got, kEthLen + kIp6Len),
                             .inner_dst = kVtep2Mac6,
                             .inner_src = kVtepMac6});
  }
  // The device's own chatter is counted as well.
  uint64_t counted(merino_reason reason, const std::vector<merino_counter>& before) {
    for (const Count& count : programs.counted_since(before)) {
      if (count.reason == reason) return count.packets;
    }
    return 0;
  }
  std::optional<Received> receive_at_pod(const V6& ip) {
    const Frame wanted = ethernet(kPodAMac, kHostAMac, ip);
    return pod_a.receive_with(slice(wanted, kEthLen + 8, wanted.size()), kEthLen + 8);
  }
};

TEST_F(V6Tunnel, LeavesTheUplinkWithAChecksum) {
  for (const V6& ip : {udp<V6>(kPodA6, kPodAtPeer2V6), tcp<V6>(kPodA6, kPodAtPeer2V6, 1000)}) {
    const auto before = programs.counters();
    pod_a.send(from_pod_a(ip));
    const Frame addresses = slice(tunnelled(ip, {.src = kNode6, .dst = kPeer2V6}), kEthLen + 8, kEthLen + kIp6Len);
    const auto received = wire.receive_with(addresses, kEthLen + 8);
    ASSERT_TRUE(received);
    const Frame want = on_the_wire(one_hop_less(ip), received->frame);
    EXPECT_TRUE(received->frame == want) << difference(received->frame, want);
    EXPECT_NE(number_at(received->frame, kEthLen + kIp6Len + 6), 0);
    EXPECT_EQ(counted(MERINO_ENCAP_DRIVER, before), 1U);
    EXPECT_EQ(counted(MERINO_HOST_DRIVER, before), 1U);
  }
}

// The pod's kernel believes the answer to its question for the gateway.
TEST_F(V6Tunnel, IsFoundByAPodThatKnowsNoNeighbour) {
  const Netns& pod = topology.pod_a();
  pod.sysctl("ipv6.conf.eth0.disable_ipv6", "0");
  pod.ip(std::string("addr add ") + kPodA6 + "/128 dev eth0 nodad\nroute add " + kGateway6 + " dev eth0 src " + kPodA6 +
         "\nroute add default via " + kGateway6 + " dev eth0 src " + kPodA6);
  const auto before = programs.counters();
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (counted(MERINO_ENCAP_DRIVER, before) == 0 && std::chrono::steady_clock::now() < deadline) {
    pod.run(std::string("bash -c echo>/dev/udp/") + kPodAtPeer2V6 + "/80");
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_GE(counted(MERINO_ENCAP_DRIVER, before), 1U) << pod.run("ip -6 neigh show dev eth0");
  EXPECT_GE(counted(MERINO_ARP_REPLY, before), 1U);
  const std::string neighbour = pod.run(std::string("ip -6 neigh show ") + kGateway6 + " dev eth0");
  EXPECT_THAT(neighbour, ::testing::HasSubstr(kHostAMac));
  EXPECT_THAT(neighbour, ::testing::HasSubstr("router"));
}

TEST_F(V6Tunnel, IsTakenFromTheWire) {
  const V6 ip = udp<V6>(kPodAtPeer2V6, kPodA6);
  const auto before = programs.counters();
  wire.send(tunnelled(ip, over_v6()));
  const auto received = receive_at_pod(ip);
  ASSERT_TRUE(received);
  const Frame want = ethernet(kPodAMac, kHostAMac, one_hop_less(ip));
  EXPECT_TRUE(received->frame == want) << difference(received->frame, want);
  EXPECT_EQ(counted(MERINO_DECAP, before), 1U);
}

// To the MAC of the IPv6 endpoint, which is not merino0's own: the stack and the pod take it nonetheless.
TEST_F(V6Tunnel, IsTakenFromTheDriver) {
  const V6 straight = udp<V6>(kPodAtPeer2V6, kPodA6);
  auto before = programs.counters();
  wire.send(with_trailer(tunnelled(straight, over_v6())));
  EXPECT_TRUE(receive_at_pod(straight));
  EXPECT_EQ(counted(MERINO_TUNNEL, before), 1U);

  const V6 by_the_stack = ping<V6>(kPodAtPeer2V6, kPodA6);
  before = programs.counters();
  wire.send(tunnelled(by_the_stack, over_v6()));
  const auto received = receive_at_pod(by_the_stack);
  ASSERT_TRUE(received);
  EXPECT_EQ(received->frame.at(kEthLen + 7), 63) << "the hop limit: one hop, of the stack";
  EXPECT_EQ(counted(MERINO_PROTOCOL, before), 2U);
}

TEST_F(V6Tunnel, OfOneFamilyInTheOther) {
  const Tins::IP inner_v4 = udp(kPodOverV6, kPodA);
  auto before = programs.counters();
  wire.send(tunnelled(inner_v4, over_v6()));
  const Frame want = ethernet(kPodAMac, kHostAMac, one_hop_less(inner_v4));
  const auto received = pod_a.receive_with(slice(want, kEthLen, want.size()), kEthLen);
  ASSERT_TRUE(received);
  EXPECT_EQ(number_at(received->frame, 12), 0x0800);
  EXPECT_EQ(counted(MERINO_MIXED_FAMILY, before), 1U);
  EXPECT_EQ(counted(MERINO_TUNNEL, before), 1U);

  before = programs.counters();
  const V6 inner_v6 = udp<V6>(kPodOverV4, kPodA6);
  wire.send(tunnelled(inner_v6));
  EXPECT_TRUE(receive_at_pod(inner_v6));
  EXPECT_EQ(counted(MERINO_MIXED_FAMILY, before), 1U);
}

TEST_F(V6Tunnel, IsNotNeededOnTheSegment) {
  auto config = topology.config();
  config.direct = 1;
  LoadedPrograms direct(config);
  direct.fill_direct();
  links.clear();
  links.push_back(attach_next(direct.fd(Program::from_pod), "vetha", Direction::ingress));
  links.push_back(attach_next(direct.fd(Program::from_wire), "uplink", Direction::ingress));
  const V6 out = tcp<V6>(kPodA6, kPodAtPeer2V6);
  auto before = direct.counters();
  pod_a.send(from_pod_a(out));
  const Frame at_wire = ethernet(kWireMac, kUplinkMac, one_hop_less(out));
  EXPECT_TRUE(wire.receive_with(at_wire, 0));
  EXPECT_THAT(direct.counted_since(before), ::testing::Contains(Count{MERINO_DIRECT, 1, from_pod_a(out).size()}));

  const V6 in = tcp<V6>(kPodAtPeer2V6, kPodA6);
  before = direct.counters();
  wire.send(ethernet(kUplinkMac, kWireMac, in));
  EXPECT_TRUE(pod_a.receive_with(ethernet(kPodAMac, kHostAMac, one_hop_less(in)), 0));
  EXPECT_THAT(direct.counted_since(before), ::testing::Contains(Count{MERINO_DIRECT_IN, 1, from_pod_a(in).size()}));
}

TEST_F(V6Tunnel, JudgesTheSenderBehindTheDriver) {
  auto before = programs.counters();
  wire.send(with_trailer(tunnelled(udp<V6>(kPodAtPeer3V6, kPodA6), over_v6())));
  wire.send(tunnelled(ping<V6>(kPodAtPeer2V6, kPodA6), over_v6()));
  EXPECT_TRUE(receive_at_pod(ping<V6>(kPodAtPeer2V6, kPodA6)));
  EXPECT_EQ(counted(MERINO_FORGED, before), 1U);
}

}  // namespace

}  // namespace merino::test::v6_test
