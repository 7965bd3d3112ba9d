#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "ctl/packet.h"
#include "ctl/packets.h"

namespace merino::ctl {
namespace ctl_packets_test {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::SizeIs;

const ReasonInfo kSpoofed{MERINO_SPOOFED, "spoofed", Action::drop, "not its own", "the pod forges"};
const ReasonInfo kNoPeer{MERINO_NO_PEER, "no_peer", Action::drop, "no node", "merinoctl peers"};
const ReasonInfo kEncap{MERINO_ENCAP, "encap", Action::fast, "sent", ""};

IpAddress ip(const char* text) { return *IpAddress::parse(text); }

PacketNames names() {
  PacketNames out;
  out.pods = {{ip("10.244.1.2"), "default/web-0"}};
  out.interfaces = {{7, "mr123"}};
  out.tunnel = {8472, TunnelKind::vxlan};
  return out;
}

Sighting sighting(const ReasonInfo& reason) {
  Sighting seen;
  seen.reason = &reason;
  seen.program = Program::from_pod;
  seen.ifindex = 7;
  seen.time = std::chrono::system_clock::time_point(std::chrono::seconds(1000));
  seen.length = 66;
  const MacAddress mac({2, 0, 0, 0, 0, 1});
  seen.frame = make_frame(mac, mac, make_ip_packet({ip("10.244.1.2"), ip("10.244.2.2"), Protocol::udp, 5, 53}), Family::v4);
  return seen;
}

TEST(Drops, CountAndLastPacketStandTogether) {
  const auto rows = join_drops({{&kEncap, 9, 900}, {&kSpoofed, 3, 180}, {&kNoPeer, 0, 0}}, {sighting(kSpoofed)});
  ASSERT_THAT(rows, SizeIs(1)) << "only what was dropped, if anything was";
  const auto now = std::chrono::system_clock::time_point(std::chrono::seconds(1065));
  EXPECT_EQ(drops_text(rows, names(), now, Width::narrow, kFile),
            "REASON   PACKETS    LAST  AT     PACKET\n"
            "spoofed        3  1m ago  mr123  10.244.1.2:5 → 10.244.2.2:53 udp, from pod default/web-0\n");
  EXPECT_THAT(drops_text(rows, names(), now, Width::wide, kFile), HasSubstr("the pod forges"));
  const json drop = json::parse(drops_json(rows, names())).at(0);
  EXPECT_EQ(drop.at("packets"), 3);
  EXPECT_EQ(drop.at("last").at("packet").at("source_pod"), "default/web-0");
  EXPECT_EQ(drops_text({}, names(), now, Width::narrow, kFile), "nothing was dropped\n");
}

TEST(Drops, WithoutASightingTheCountIsShown) {
  const auto rows = join_drops({{&kNoPeer, 2, 120}}, {sighting(kSpoofed)});
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_FALSE(rows[0].last);
  EXPECT_THAT(drops_text(rows, names(), {}, Width::narrow, kFile), HasSubstr("no_peer        2     -  -   -"));
}

TEST(Drops, NodesHaveNamesTooAndInTheTunnelsEnds) {
  PacketNames known = names();
  known.nodes = {{ip("10.244.2.2"), "worker-2"}, {ip("192.168.88.12"), "worker-2"}};
  EXPECT_THAT(sighting_text(sighting(kEncap), known, Width::narrow, kFile), HasSubstr(" udp, from pod default/web-0, to node worker-2\n"));
  EXPECT_EQ(json::parse(sighting_json(sighting(kEncap), known)).at("packet").at("destination_node"), "worker-2");

  Sighting tunnelled = sighting(kEncap);
  const MacAddress mac({2, 0, 0, 0, 0, 1});
  const Envelope envelope{ip("192.168.88.11"), ip("192.168.88.12"), 8472};
  tunnelled.frame = make_frame(mac, mac, make_tunnel_packet(envelope, make_vxlan(1, sighting(kEncap).frame)), Family::v4);
  EXPECT_THAT(sighting_text(tunnelled, known, Width::narrow, kFile), HasSubstr("in a tunnel 192.168.88.11 → 192.168.88.12 (worker-2)\n"));
  const json line = json::parse(sighting_json(tunnelled, known));
  EXPECT_EQ(line.at("tunnel").at("destination_node"), "worker-2");
  EXPECT_FALSE(line.at("tunnel").contains("source_node"));
}

TEST(Trace, ALineForPeopleAndOneForMachines) {
  EXPECT_THAT(
      sighting_text(sighting(kEncap), names(), Width::narrow, kFile),
      MatchesRegex(
          "..:..:..\\.000000 from_pod mr123 encap 66 bytes: 10\\.244\\.1\\.2:5 → 10\\.244\\.2\\.2:53 udp, from pod default/web-0\n"));
  EXPECT_THAT(sighting_text(sighting(kEncap), names(), Width::wide, kFile), HasSubstr(" encap (sent) 66 bytes: "));
  const json line = json::parse(sighting_json(sighting(kEncap), names()));
  EXPECT_EQ(line.at("reason"), "encap");
  EXPECT_EQ(line.at("interface"), "mr123");
  EXPECT_EQ(line.at("packet").at("destination_port"), 53);
}

}  // namespace ctl_packets_test
}  // namespace merino::ctl
