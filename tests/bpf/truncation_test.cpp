// Frames cut at every length: nothing malformed is ever sent on, and nothing but the malformed is dropped.
#include <gmock/gmock.h>
#include <linux/pkt_cls.h>

#include "bpf/cases.h"
#include "bpf/fixture.h"

namespace merino::test::truncation_test {

namespace {

class Truncation : public BpfTest {
 protected:
  // Every length from the shortest that BPF_PROG_TEST_RUN takes; Attached sends the shorter ones over a real device.
  template <class Wanted>
  void check_lengths(Program program, const Frame& frame, const Metadata& metadata, Wanted wanted) {
    const bool is_ip = number_at(frame, 12) == 0x0800;
    for (size_t len = is_ip ? kEthLen + kIpLen : kEthLen + 1; len <= frame.size(); ++len) {
      SCOPED_TRACE(len);
      expect(programs, program, cut(frame, len), metadata, wanted(len));
    }
  }
};

Metadata from_peer() { return {.tunnel = Metadata::TunnelKey{}}; }

// The IPv4 header at `offset` says what is there.
Frame honest(const Frame& frame, size_t offset) {
  return with_ip_checksum(with_number(frame, offset + 2, static_cast<uint16_t>(frame.size() - offset)), offset);
}

TEST_F(Truncation, OfAPodsPacket) {
  for (const Tins::IP& ip : {udp(kPodA, kPodAtPeer2), tcp(kPodA, kPodAtPeer2), with_options(udp(kPodA, kPodAtPeer2))}) {
    const Frame frame = from_pod_a(ip);
    const auto whole = programs.run(Program::from_pod, frame).reason();
    check_lengths(Program::from_pod, frame, {}, [&](size_t len) { return len < frame.size() ? MERINO_MALFORMED : whole; });
  }
}

TEST_F(Truncation, OfAPodsArp) {
  const Frame frame = arp(kPodAMac, kPodA, kGateway);
  check_lengths(Program::from_pod, frame, {}, [&](size_t len) { return len < frame.size() ? MERINO_MALFORMED : MERINO_ARP_REPLY; });
}

// The stack forwards what has an honest length, however short the transport header is; without ports there is no flow to judge.
TEST_F(Truncation, OfAPodsPacketWithAnHonestLength) {
  for (const Tins::IP& ip : {udp(kPodA, kPodAtPeer2), tcp(kPodA, kPodAtPeer2)}) {
    const Frame frame = from_pod_a(ip);
    for (size_t len = kEthLen + kIpLen; len <= frame.size(); ++len) {
      SCOPED_TRACE(len);
      expect(Program::from_pod, honest(cut(frame, len), kEthLen), len < kEthLen + kIpLen + 4 ? MERINO_MALFORMED : MERINO_ENCAP);
    }
  }
}

TEST_F(Truncation, OfAPodsPacketWithoutPorts) {
  const Frame frame = from_pod_a(ping(kPodA, kPodAtPeer2));
  for (size_t len = kEthLen + kIpLen; len <= frame.size(); ++len) {
    SCOPED_TRACE(len);
    expect(Program::from_pod, honest(cut(frame, len), kEthLen), MERINO_PROTOCOL);
  }
}

TEST_F(Truncation, OfATunnelPacket) {
  const Frame frame = tunnelled(udp(kPodAtPeer2, kPodA));
  check_lengths(Program::from_wire, frame, {}, [&](size_t len) {
    // Without the UDP header it cannot be told from anything else that is broken: the stack's.
    if (len < kEthLen + kIpLen + 8) return MERINO_NOT_TUNNEL;
    return len < frame.size() ? MERINO_MALFORMED : MERINO_DECAP;
  });
}

// The outer headers say what is there, the inner ones do not.
TEST_F(Truncation, OfThePacketInTheTunnel) {
  const Frame inner = inner_frame(udp(kPodAtPeer2, kPodA));
  for (size_t len = 0; len <= inner.size(); ++len) {
    SCOPED_TRACE(len);
    expect(Program::from_wire, tunnelled(cut(inner, len)), len < inner.size() ? MERINO_MALFORMED : MERINO_DECAP);
  }
}

// What lies behind the outer packet's end is no part of the inner one: the stack cuts it off.
TEST_F(Truncation, OfThePacketInTheTunnelBehindPadding) {
  const Frame inner = inner_frame(udp(kPodAtPeer2, kPodA));
  for (size_t len = kEthLen; len < inner.size(); ++len) {
    SCOPED_TRACE(len);
    Frame frame = tunnelled(cut(inner, len));
    frame.insert(frame.end(), inner.begin() + static_cast<std::ptrdiff_t>(len), inner.end());
    expect(Program::from_wire, frame, MERINO_NOT_TUNNEL);
  }
}

TEST_F(Truncation, OfAnAggregate) {
  const Frame frame = tunnelled(tcp(kPodAtPeer2, kPodA, 200));
  check_lengths(Program::from_wire, frame, {.gso_size = 100}, [&](size_t len) {
    if (len < kEthLen + kIpLen + 8) return MERINO_NOT_TUNNEL;
    return len < frame.size() ? MERINO_MALFORMED : MERINO_AGGREGATE;
  });
}

TEST_F(Truncation, OfWhatTheDriverDecapsulated) {
  const Frame frame = inner_frame(udp(kPodAtPeer2, kPodA));
  check_lengths(Program::from_tunnel, frame, from_peer(),
                [&](size_t len) { return len < frame.size() ? MERINO_MALFORMED : MERINO_TUNNEL; });
}

TEST_F(Truncation, OfTheHostsPacket) {
  const Frame frame = ethernet(kVtep2Mac, kVtepMac, tcp(kNode, kPodAtPeer2));
  check_lengths(Program::from_host, frame, {}, [&](size_t len) { return len < frame.size() ? MERINO_MALFORMED : MERINO_HOST_ENCAP; });
}

TEST_F(Truncation, OfAPodsSegments) {
  const Frame frame = from_pod_a(tcp(kPodA, kPodAtPeer2, 200));
  check_lengths(Program::from_pod, frame, {.gso_size = 100},
                [&](size_t len) { return len < frame.size() ? MERINO_MALFORMED : MERINO_HELPER; });
}

// BIG TCP: length zero in a GSO packet means as long as the frame, and nothing but a GSO packet may say so.
TEST_F(Truncation, OfAPacketTooLongForItsLengthField) {
  const Frame frame = with_ip_checksum(with_number(from_pod_a(tcp(kPodA, kPodB, 200)), kEthLen + 2, 0), kEthLen);
  expect(programs, Program::from_pod, frame, {.gso_size = 100}, MERINO_LOCAL);
  expect(programs, Program::from_pod, frame, {}, MERINO_MALFORMED);
}

}  // namespace

}  // namespace merino::test::truncation_test
