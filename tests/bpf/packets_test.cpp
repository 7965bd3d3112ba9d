// Packets that nobody would write down, through every program: each verdict is one that the rules (packet_rules.h) allow, each packet is
// counted once, and what reaches a pod or a peer is the packet that was sent. MERINO_FUZZ_SECONDS=N goes on for so long with other seeds
// (scripts/fuzz packets).
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <numeric>
#include <random>

#include "bpf/fixture.h"
#include "bpf/loaded_wire_xdp.h"
#include "bpf/packet_rules.h"

namespace merino::test::packets_test {
namespace {

constexpr int kBatch = 20000;  // for each program and configuration

uint64_t seconds_wanted() {
  const char* text = std::getenv("MERINO_FUZZ_SECONDS");
  return text == nullptr ? 0 : std::strtoull(text, nullptr, 10);
}

// Makes frames out of the words of the tests' node: mostly right, with one or two things wrong.
// A second address behind pod A's interface, whose packets go through the stack.
constexpr const char* kPodC = "10.244.1.77";

class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  bool chance(unsigned percent) { return below(100) < percent; }
  size_t below(size_t limit) { return random_() % limit; }
  template <class T>
  const T& one_of(const std::vector<T>& all) {
    return all[below(all.size())];
  }

  Frame frame(Program program) {
    for (;;) {
      Frame frame = program == Program::from_wire && chance(75) ? tunnel_packet()
                    : program == Program::from_pod              ? pods_frame()
                                                                : inner_frame();
      if (chance(25)) damage(frame);
      if (is_runnable(frame)) return frame;
    }
  }

  std::optional<uint16_t> vlan() {
    if (!chance(5)) return std::nullopt;
    return static_cast<uint16_t>(chance(50) ? 0 : below(65536));
  }

 private:
  using Words = std::vector<std::string>;

  // BPF_PROG_TEST_RUN refuses frames without an Ethernet header, and newer kernels those without a whole header of the IP they claim to be.
  static bool is_runnable(const Frame& frame) {
    if (frame.size() < kEthLen) return false;
    const uint16_t type = number_at(frame, 12);
    return frame.size() >= kEthLen + (type == 0x0800 ? 20 : type == 0x86dd ? 40 : 0);
  }

  static void put(Frame& frame, uint64_t value, size_t size) {
    for (size_t i = size; i-- > 0;) frame.push_back(static_cast<uint8_t>(value >> (8 * i)));
  }
  static void put_mac(Frame& frame, const std::string& text) {
    const Mac mac = Mac::of(text);
    frame.insert(frame.end(), mac.bytes.begin(), mac.bytes.end());
  }
  static void put_v4(Frame& frame, const std::string& text) {
    const Address address = Address::of(text);
    frame.insert(frame.end(), address.bytes.begin() + 12, address.bytes.end());
  }
  static void write(Frame& frame, size_t at, uint16_t value) {
    frame[at] = static_cast<uint8_t>(value >> 8U);
    frame[at + 1] = static_cast<uint8_t>(value);
  }

  std::string some_address() {
    static const Words all = {kPodA,     kPodB,    kPodC,       kNoPod,    kGateway,          kNode,       kNodeOther,
                              kPeer2,    kPeer3,   kPeer4,      kStranger, kPodAtPeer2,       kPodAtPeer3, kPodAtPeer4,
                              kNoSubnet, kOutside, "127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "10.244.2.255"};
    return one_of(all);
  }
  std::string some_mac() {
    static const Words all = {kPodAMac,  kHostAMac, kPodBMac, kHostBMac, kUplinkMac,    kWireMac,     kVtepMac,
                              kVtep2Mac, kVtep3Mac, kNoMac,   kOtherMac, kBroadcastMac, kMulticastMac};
    return one_of(all);
  }
  std::string usually(const std::string& word, std::string (Generator::*other)()) { return chance(96) ? word : (this->*other)(); }

  // An IPv4 packet of the kind that the programs deliver, unless chance wills otherwise.
  Frame packet(const std::string& src, const std::string& dst, size_t payload) {
    const uint8_t protocol = chance(85) ? (chance(50) ? 6 : 17) : static_cast<uint8_t>(chance(50) ? 1 : below(256));
    const size_t options = chance(5) ? 4 * (1 + below(10)) : 0;
    Frame transport;
    put(transport, below(65536), 2);
    put(transport, chance(15) ? kTunnelPort : below(65536), 2);
    put(transport, below(UINT32_MAX), 4);
    transport.resize(8 + payload, 0x61);
    if (protocol == 6 && transport.size() >= 20) transport[12] = 0x50;
    if (chance(3)) transport.resize(below(8));
    Frame ip;
    put(ip, 0x45 + options / 4, 1);
    put(ip, chance(10) ? below(256) : 0, 1);
    put(ip, 20 + options + transport.size(), 2);
    put(ip, below(65536), 2);
    put(ip, chance(8) ? below(65536) : chance(50) ? 0x4000 : 0, 2);
    put(ip, chance(8) ? below(3) : 64, 1);
    put(ip, protocol, 1);
    put(ip, 0, 2);
    put_v4(ip, src);
    put_v4(ip, dst);
    ip.resize(ip.size() + options, 1);
    write(ip, 10, checksum(ip));
    ip.insert(ip.end(), transport.begin(), transport.end());
    return ip;
  }

  static uint16_t checksum(const Frame& header) {
    uint32_t sum = 0;
    for (size_t at = 0; at + 1 < header.size(); at += 2) sum += static_cast<uint32_t>(header[at]) << 8U | header[at + 1];
    while (sum > 0xffff) sum = (sum & 0xffffU) + (sum >> 16U);
    return static_cast<uint16_t>(~sum);
  }

  size_t payload() { return chance(85) ? below(64) : kPodMtu - 60 + below(80); }

  Frame ethernet_of(const std::string& dst, const std::string& src, const Frame& content, uint16_t type = 0x0800) {
    static const std::vector<uint16_t> types = {0x86dd, 0x0806, 0x8100, 0x88a8, 0x0000, 0x0600};
    Frame frame;
    put_mac(frame, dst);
    put_mac(frame, src);
    put(frame, chance(95) ? type : one_of(types), 2);
    frame.insert(frame.end(), content.begin(), content.end());
    return frame;
  }

  Frame arp_packet() {
    Frame arp;
    put(arp, chance(90) ? 1 : below(8), 2);
    put(arp, 0x0800, 2);
    put(arp, 0x0604, 2);
    put(arp, chance(80) ? 1 : below(4), 2);
    put_mac(arp, usually(kPodAMac, &Generator::some_mac));
    put_v4(arp, usually(kPodA, &Generator::some_address));
    put_mac(arp, kNoMac);
    put_v4(arp, usually(kGateway, &Generator::some_address));
    return arp;
  }

  Frame pods_frame() {
    if (chance(10))
      return ethernet_of(chance(50) ? kBroadcastMac : kHostAMac, usually(kPodAMac, &Generator::some_mac), arp_packet(), 0x0806);
    return ethernet_of(usually(kHostAMac, &Generator::some_mac), usually(kPodAMac, &Generator::some_mac),
                       packet(usually(chance(90) ? kPodA : kPodC, &Generator::some_address), some_address(), payload()));
  }

  // Between this node's pods and those of its peers, in either direction, as the driver hands it over and as it goes without a tunnel.
  Frame inner_frame() {
    static const Words sources = {kPodAtPeer2, kPodAtPeer2, kPodAtPeer3, kPodAtPeer4, kPeer2, kPodA};
    static const Words targets = {kPodA, kPodB, kPodA, kPodC, kPodAtPeer2, kPodAtPeer3, kNoPod};
    static const Words macs = {kVtepMac, kUplinkMac};
    return ethernet_of(
        usually(one_of(macs), &Generator::some_mac), chance(70) ? kWireMac : some_mac(),
        packet(usually(one_of(sources), &Generator::some_address), usually(one_of(targets), &Generator::some_address), payload()));
  }

  Frame tunnel_packet() {
    const std::string sender = usually(chance(60) ? kPeer2 : kPeer3, &Generator::some_address);
    Frame content;
    put(content, 40000 + below(1000), 2);
    put(content, chance(95) ? kTunnelPort : below(65536), 2);
    put(content, 0, 4);
    put(content, chance(95) ? 0x08000000 : below(UINT32_MAX), 4);
    put(content, (chance(95) ? kVni : below(1U << 24U)) << 8U, 4);
    const Frame inner = inner_frame();
    content.insert(content.end(), inner.begin(), inner.end());
    write(content, 4, static_cast<uint16_t>(content.size()));
    Frame ip;
    put(ip, 0x45, 1);
    put(ip, chance(10) ? below(256) : 0, 1);
    put(ip, 20 + content.size(), 2);
    put(ip, 0, 2);
    put(ip, chance(4) ? below(65536) : 0, 2);
    put(ip, 64, 1);
    put(ip, 17, 1);
    put(ip, 0, 2);
    put_v4(ip, sender);
    put_v4(ip, usually(kNode, &Generator::some_address));
    write(ip, 10, checksum(ip));
    ip.insert(ip.end(), content.begin(), content.end());
    return ethernet_of(usually(kUplinkMac, &Generator::some_mac), kWireMac, ip);
  }

  void damage(Frame& frame) {
    switch (below(4)) {
      case 0:  // in the headers
        for (size_t count = 1 + below(3); count > 0; count--)
          frame[below(std::min<size_t>(frame.size(), 100))] = static_cast<uint8_t>(below(256));
        break;
      case 1:
        frame.resize(kEthLen + below(frame.size() - kEthLen + 1));
        break;
      case 2:
        frame.resize(frame.size() + 1 + below(40), 0);
        break;
      default:
        frame[below(std::min<size_t>(frame.size(), 100))] ^= static_cast<uint8_t>(1U << below(8));
    }
  }

  std::mt19937_64 random_;
};

World make_world(bool direct) {
  World world;
  world.pods = {{Address::of(kPodA), Mac::of(kPodAMac), Mac::of(kHostAMac), "vetha", Address::of(kGateway)},
                {Address::of(kPodB), Mac::of(kPodBMac), Mac::of(kHostBMac), "vethb", Address::of(kGateway)},
                {Address::of(kPodC), Mac::of(kPodAMac), Mac::of(kHostAMac), "vetha", Address::of(kGateway), true}};
  const auto peer = [&](const char* subnet, const char* underlay, const char* mac, bool is_direct) {
    const std::string text = subnet;
    const size_t slash = text.find('/');
    world.peers.push_back({Address::of(text.substr(0, slash)), 96 + std::stoi(text.substr(slash + 1)), Address::of(underlay), Mac::of(mac),
                           is_direct, std::string(mac) != kNoMac});
  };
  if (direct) {
    peer(kSubnet2, kPeer2, kWireMac, true);
    peer(kSubnet3, kPeer3, kNoMac, true);
    peer(kSubnet4, kPeer4, kVtep4Mac, false);
  } else {
    peer(kSubnet2, kPeer2, kVtep2Mac, false);
    peer(kSubnet3, kPeer3, kVtep3Mac, false);
  }
  world.underlay = Address::of(kNode);
  world.network = Address::of("10.244.0.0");
  world.network_bits = 96 + 16;
  world.vtep_mac = Mac::of(kVtepMac);
  world.uplink_mac = Mac::of(kUplinkMac);
  world.vni = kVni;
  world.tunnel_port = kTunnelPort;
  world.pod_mtu = kPodMtu;
  world.direct = direct;
  return world;
}

Ruling rule(const World& world, Program program, const Seen& seen) {
  switch (program) {
    case Program::from_pod:
      return rule_from_pod(world, seen);
    case Program::from_wire:
      return rule_from_wire(world, seen);
    case Program::from_tunnel:
      return rule_from_tunnel(world, seen);
    case Program::from_host:
      return rule_from_host(world, seen);
    case Program::wire_xdp:
      break;
  }
  return {};
}

// The pod's IP packet with one hop less, if that is what happens to it.
Frame hop(const Frame& frame, size_t at, bool less) {
  Frame packet(frame.begin() + static_cast<std::ptrdiff_t>(at), frame.end());
  if (!less) return packet;
  packet[8]--;
  // RFC 1624: adding to the sum what the word lost. Of the two zeros it is the one that a header summed up anew has.
  uint32_t sum = (static_cast<uint32_t>(packet[10]) << 8U | packet[11]) + 0x0100U;
  if (sum >= 0xffffU) sum -= 0xffffU;
  packet[10] = static_cast<uint8_t>(sum >> 8U);
  packet[11] = static_cast<uint8_t>(sum);
  return packet;
}

// Is what came out, past the stack, the packet that went in, addressed to where the rules let it go? Empty: yes.
std::string compare_fast(const World& world, Program program, const Frame& in, const Frame& out, const Ruling& ruling) {
  if (ruling.answer)
    return Mac::at(out, 0) == Mac::at(in, 6) && out.size() == in.size() ? "" : "the ARP answer is not for the pod that asked";
  const Frame packet = hop(in, ruling.packet, program != Program::from_host);
  size_t at = kEthLen;
  if (ruling.deliver != nullptr) {
    if (Mac::at(out, 0) != ruling.deliver->mac || Mac::at(out, 6) != ruling.deliver->host_mac)
      return "delivered with the wrong MAC addresses";
  } else if (ruling.send == nullptr) {
    return "the rules let it go nowhere but to the stack";
  } else if (!ruling.send->direct) {
    at = kEthLen + kOverhead;
    if (out.size() < at) return "too short for a tunnel packet";
    if (Address::v4_at(out, kEthLen + 16) != ruling.send->underlay || Address::v4_at(out, kEthLen + 12) != world.underlay)
      return "sent between the wrong nodes";
    if (Mac::at(out, kInnerEth) != ruling.send->mac || number_at(out, kEthLen + 22) != world.tunnel_port) return "not the peer's VTEP";
  }
  return Frame(out.begin() + static_cast<std::ptrdiff_t>(at), out.end()) == packet ? "" : "another packet came out";
}

std::string judge(const World& world, Program program, const Frame& in, const Outcome& outcome, const Ruling& ruling) {
  switch (outcome.verdict) {
    case TC_ACT_SHOT:
      return ruling.drop || ruling.may_drop ? "" : "dropped";
    case TC_ACT_UNSPEC:
      if (ruling.drop) return "left to the stack";
      return outcome.frame == in ? "" : "changed, and left to the stack";
    case TC_ACT_REDIRECT:
      return ruling.drop ? "let through" : compare_fast(world, program, in, outcome.frame, ruling);
    default:
      return fmt::format("verdict {}", outcome.verdict);
  }
}

std::string hex(const Frame& frame) {
  std::string text;
  for (const uint8_t byte : frame) text += fmt::format("{:02x}", byte);
  return text;
}

class Packets : public ::testing::TestWithParam<bool> {
 protected:
  Packets() {
    config.direct = GetParam() ? 1 : 0;
    programs.emplace(config);
    xdp.emplace(*programs, config);
    if (GetParam()) {
      programs->fill_direct();
    } else {
      programs->fill();
    }
    programs->remove_peer(kSubnetOverV6);  // the model's world has no IPv6
    programs->add_pod(kPodC, "vetha", kPodAMac, kHostAMac, MERINO_DELIVER_STACK);
  }

  Metadata metadata(Generator& generator, Program program, Seen& seen) const {
    Metadata all;
    all.interface = seen.interface = program == Program::from_pod    ? (generator.chance(90) ? "vetha" : "vethb")
                                     : program == Program::from_wire ? "uplink"
                                                                     : "merino0";
    all.vlan = seen.vlan = generator.vlan();
    if (program == Program::from_tunnel && generator.chance(97)) {
      Metadata::TunnelKey key;
      if (generator.chance(5)) key.vni = 2;
      static const std::vector<std::string> remotes = {kPeer2, kPeer2, kPeer2, kPeer3, kPeer4, kStranger, kNode};
      key.remote = generator.one_of(remotes);
      if (generator.chance(5)) key.local = kNodeOther;
      all.tunnel = key;
      seen.tunnel = Seen::Tunnel{key.vni, Address::of(key.remote), Address::of(key.local)};
    }
    return all;
  }

  // False: a packet was judged otherwise than the rules say.
  bool run_batch(Program program, Generator& generator, int count) {
    const auto before = programs->counters();
    uint64_t dropped_before = 0;  // by wire_xdp, which sees what from_wire sees
    for (int i = 0; i < count; i++) {
      const Frame frame = generator.frame(program);
      Seen seen{.frame = frame, .interface = {}, .vlan = {}, .tunnel = {}};
      const Metadata beside = metadata(generator, program, seen);
      const Outcome outcome = programs->run_uncounted(program, frame, beside);
      const Ruling ruling = rule(world, program, seen);
      std::string wrong = judge(world, program, frame, outcome, ruling);
      if (program == Program::from_wire && !beside.vlan && xdp->run_uncounted(frame).verdict == XDP_DROP) {
        dropped_before++;
        if (outcome.verdict != TC_ACT_SHOT) wrong = "dropped by wire_xdp";
      }
      verdicts[{program, outcome.verdict}]++;
      if (wrong.empty()) continue;
      ADD_FAILURE() << name_of(program) << " on " << seen.interface << ": " << wrong << "; the rules: " << ruling.why
                    << (ruling.drop ? ", drop" : "") << "\nvlan " << (seen.vlan ? fmt::format("{:#x}", *seen.vlan) : "none") << ", tunnel "
                    << (beside.tunnel ? fmt::format("{} {} {}", beside.tunnel->vni, beside.tunnel->remote, beside.tunnel->local) : "none")
                    << "\n in " << hex(frame) << "\nout " << hex(outcome.frame);
      return false;
    }
    uint64_t counted = 0;
    for (const Count& each : programs->counted_since(before)) counted += each.packets;
    EXPECT_EQ(counted, static_cast<uint64_t>(count) + dropped_before) << "each packet is counted once by each program";
    EXPECT_TRUE(program != Program::from_wire || dropped_before > 0);
    return !HasFailure();
  }

  Topology topology;
  merino_config config = topology.config();
  std::optional<LoadedPrograms> programs;
  std::optional<LoadedWireXdp> xdp;
  World world = make_world(GetParam());
  std::map<std::pair<Program, int>, uint64_t> verdicts;
};

INSTANTIATE_TEST_SUITE_P(With, Packets, ::testing::Bool(), [](const auto& each) { return each.param ? "PeersOnTheSegment" : "Tunnels"; });

TEST_P(Packets, AreJudgedAsTheRulesSay) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds_wanted());
  uint64_t seed = seconds_wanted() == 0 ? 1 : std::random_device{}();
  uint64_t packets = 0;
  do {
    Generator generator(seed);
    for (const Program program : kPrograms) {
      ASSERT_TRUE(run_batch(program, generator, kBatch)) << "seed " << seed;
      packets += kBatch;
    }
    seed++;
  } while (std::chrono::steady_clock::now() < end);
  fmt::print("{} packets", packets);
  for (const auto& [key, count] : verdicts) fmt::print("; {} {} {}", name_of(key.first), verdict_name(key.second), count);
  fmt::print("\n");
  // Each program met each of its verdicts often, or the packets are no test.
  for (const Program program : kPrograms) {
    for (const int verdict : {TC_ACT_UNSPEC, TC_ACT_SHOT, TC_ACT_REDIRECT})
      EXPECT_GT(verdicts[std::pair(program, verdict)], packets / 1000) << name_of(program) << " " << verdict_name(verdict);
  }
}

}  // namespace
}  // namespace merino::test::packets_test
