#include <gmock/gmock.h>

#include <fstream>
#include <iterator>
#include <random>

#include "ctl/dissect.h"
#include "ctl/packet.h"
#include "ctl/pcap.h"
#include "support/temp_dir.h"

namespace merino::ctl {
namespace ctl_dissect_test {

IpAddress ip(const char* text) { return *IpAddress::parse(text); }

const MacAddress kMac({2, 0, 0, 0, 0, 1});
const TunnelPort kVxlan{8472, TunnelKind::vxlan};

Bytes frame_of(const PacketFlow& flow) { return make_frame(kMac, kMac, make_ip_packet(flow), flow.source.family()); }

Bytes tunnelled(const PacketFlow& flow) {
  const Envelope envelope{ip("192.168.88.11"), ip("192.168.88.12"), 8472};
  return make_frame(kMac, kMac, make_tunnel_packet(envelope, make_vxlan(1, frame_of(flow))), Family::v4);
}

std::string text_of(const Bytes& frame, const TunnelPort& tunnel = kVxlan) {
  const Dissection seen = dissect(frame, tunnel);
  return seen.ip ? headers_text(*seen.ip) : seen.link;
}

TEST(Dissect, BothFamiliesAndTheTransports) {
  EXPECT_EQ(text_of(frame_of({ip("10.1.0.1"), ip("10.1.0.2"), Protocol::tcp, 40000, 80})), "10.1.0.1:40000 → 10.1.0.2:80 tcp SYN");
  EXPECT_EQ(text_of(frame_of({ip("10.1.0.1"), ip("10.1.0.2"), Protocol::udp, 5, 53})), "10.1.0.1:5 → 10.1.0.2:53 udp");
  EXPECT_EQ(text_of(frame_of({ip("10.1.0.1"), ip("10.1.0.2"), Protocol::icmp})), "10.1.0.1 → 10.1.0.2 icmp echo request");
  EXPECT_EQ(text_of(frame_of({ip("fd00::1"), ip("fd00::2"), Protocol::tcp, 1, 2})), "[fd00::1]:1 → [fd00::2]:2 tcp SYN");
  EXPECT_EQ(text_of(frame_of({ip("fd00::1"), ip("fd00::2"), Protocol::icmp})), "fd00::1 → fd00::2 icmp6 echo request");
}

TEST(Dissect, ThroughTheTunnel) {
  const Bytes frame = tunnelled({ip("10.1.0.1"), ip("10.1.0.2"), Protocol::udp, 5, 53});
  const Dissection seen = dissect(frame, kVxlan);
  ASSERT_TRUE(seen.outer && seen.ip);
  EXPECT_EQ(seen.outer->source, ip("192.168.88.11"));
  EXPECT_EQ(headers_text(*seen.ip), "10.1.0.1:5 → 10.1.0.2:53 udp");
  EXPECT_FALSE(dissect(frame, {4789, TunnelKind::vxlan}).outer) << "another port is no tunnel";
  EXPECT_FALSE(dissect(frame, {}).outer);
  const PacketFlow flow{ip("10.1.0.1"), ip("10.1.0.2"), Protocol::udp, 5, 53};
  const Bytes bare = make_frame(kMac, kMac, make_tunnel_packet({ip("fd01::1"), ip("fd01::2"), 8285}, make_ip_packet(flow)), Family::v6);
  EXPECT_EQ(text_of(bare, {8285, TunnelKind::bare_ip}), "10.1.0.1:5 → 10.1.0.2:53 udp") << "flannel's udp backend";
}

TEST(Dissect, WhatIsNoIp) {
  Bytes arp = make_frame(kMac, kMac, {0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 10, 1, 0, 1, 0, 0, 0, 0, 0, 0, 10, 1, 0, 2}, Family::v4);
  arp[12] = 8;
  arp[13] = 6;
  EXPECT_EQ(text_of(arp), "ARP 10.1.0.1 asks who has 10.1.0.2");
  arp[12] = 0x88;
  arp[13] = 0xcc;
  EXPECT_EQ(text_of(arp), "ethertype 0x88cc");
  EXPECT_EQ(text_of({1, 2, 3}), "a frame without a header");
}

TEST(Dissect, EveryCutAndAnyBytesAreSafe) {
  const Bytes whole = tunnelled({ip("10.1.0.1"), ip("10.1.0.2")});
  for (size_t size = 0; size <= whole.size(); ++size) (void)text_of(Bytes(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size)));
  std::minstd_rand random(7);
  for (int i = 0; i < 20000; ++i) {
    Bytes bytes = whole;
    for (int n = 0; n < 4; ++n) bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
    (void)text_of(bytes);
  }
}

TEST(Packet, ChecksumsAreRight) {
  const auto sum = [](const Bytes& bytes, size_t from, size_t to) {
    uint32_t total = 0;
    for (size_t i = from; i < to; ++i) total += static_cast<uint32_t>(bytes[i]) << ((i - from) % 2 == 0 ? 8U : 0U);
    while (total >> 16U != 0) total = (total & 0xffffU) + (total >> 16U);
    return total;
  };
  const Bytes packet = make_ip_packet({ip("10.1.0.1"), ip("10.1.0.2"), Protocol::icmp});
  EXPECT_EQ(sum(packet, 0, 20), 0xffffU) << "the header's";
  EXPECT_EQ(sum(packet, 20, packet.size()), 0xffffU) << "ICMP's";
  EXPECT_EQ(packet.size(), size_t{packet[2]} * 256 + packet[3]);
}

TEST(Pcap, HeaderAndRecords) {
  const test::TempDir dir;
  const std::string path = dir.file("x.pcap");
  {
    auto writer = PcapWriter::open(path, 100);
    ASSERT_TRUE(writer);
    const Bytes bytes = {1, 2, 3};
    ASSERT_TRUE(writer->write(std::chrono::system_clock::time_point(std::chrono::milliseconds(1500)), bytes, 60));
  }
  std::ifstream file(path, std::ios::binary);
  const Bytes text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  ASSERT_EQ(text.size(), 24U + 16U + 3U);
  const auto number = [&](size_t at) {
    uint32_t value = 0;
    std::memcpy(&value, text.data() + at, sizeof(value));
    return value;
  };
  EXPECT_EQ(number(0), 0xa1b23c4dU);
  EXPECT_EQ(number(16), 100U);
  EXPECT_EQ(number(20), 1U);
  EXPECT_EQ(number(24), 1U);
  EXPECT_EQ(number(28), 500'000'000U);
  EXPECT_EQ(number(32), 3U);
  EXPECT_EQ(number(36), 60U);
  EXPECT_FALSE(PcapWriter::open(dir.file("nowhere/x"), 100));
}

}  // namespace ctl_dissect_test
}  // namespace merino::ctl
