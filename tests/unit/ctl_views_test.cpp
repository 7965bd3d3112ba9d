#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "ctl/views.h"

namespace merino::ctl {
namespace ctl_views_test {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

PodEntry entry(const char* address) {
  return {*IpAddress::parse(address),
          *IpAddress::parse("10.244.1.1"),
          7,
          *MacAddress::parse("02:00:00:00:00:01"),
          *MacAddress::parse("02:00:00:00:00:02"),
          Delivery::peer};
}

Attachment attachment(const char* prefix) {
  Attachment out;
  out.network = "cbr0";
  out.container_id = "0123456789abcdef";
  out.ifname = "eth0";
  out.netns = "/run/netns/a";
  out.host_ifname = "veth1";
  out.host_ifindex = 7;
  out.addresses = {*Prefix::parse(prefix)};
  out.complete = true;
  return out;
}

PodRow sound_row() {
  auto rows = join_pods({entry("10.244.1.2")}, {attachment("10.244.1.2/24")});
  rows.at(0).host_ifname = "veth1";
  return rows.at(0);
}

TEST(Pods, EntryAndRecordOfOneAddressAreOneRow) {
  const PodRow row = sound_row();
  EXPECT_TRUE(row.entry && row.attachment);
  EXPECT_EQ(pod_trouble(row), "");
}

TEST(Pods, AreMeantByAddressOrByName) {
  PodRow named = sound_row();
  named.attachment->pod_namespace = "default";
  named.attachment->pod_name = "web-0";
  PodRow second = named;
  second.address = *IpAddress::parse("fd00::2");
  const std::vector<PodRow> rows{named, second};
  EXPECT_EQ(addresses_meant("default/web-0", rows).value(), (std::vector{named.address, second.address}));
  EXPECT_EQ(addresses_meant("10.9.9.9", rows).value(), std::vector{*IpAddress::parse("10.9.9.9")});
  const auto nobody = addresses_meant("web-0", rows);
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().message(), "\"web-0\" is neither an address nor a pod of this node; merinoctl pods lists them");
}

TEST(Pods, WhatIsOnlyOnOneSideIsShownAndNamed) {
  const auto rows = join_pods({entry("10.244.1.3")}, {attachment("10.244.1.2/24")});
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].address.to_string(), "10.244.1.2");
  EXPECT_EQ(pod_trouble(rows[0]), "no entry in the map");
  EXPECT_EQ(rows[1].address.to_string(), "10.244.1.3");
  EXPECT_EQ(pod_trouble(rows[1]), "in the map, but no record of it");
}

TEST(Pods, APodOfAnotherPluginNeedsNoRecord) {
  PodEntry adopted = entry("10.244.1.4");
  adopted.gateway = IpAddress{};
  auto rows = join_pods({adopted}, {});
  EXPECT_EQ(pod_trouble(rows.at(0)), "its interface is gone");
  rows.at(0).host_ifname = "veth2";
  EXPECT_EQ(pod_trouble(rows.at(0)), "");
  EXPECT_NE(pods_text(rows, Width::narrow, kFile).find("ok, of another plugin"), std::string::npos);
}

TEST(Pods, EachTroubleHasItsName) {
  PodRow gone = sound_row();
  gone.host_ifname.clear();
  EXPECT_EQ(pod_trouble(gone), "its interface is gone");
  PodRow moved = sound_row();
  moved.entry->host_ifindex = 8;
  EXPECT_EQ(pod_trouble(moved), "the map points at another interface");
  PodRow half = sound_row();
  half.attachment->complete = false;
  EXPECT_EQ(pod_trouble(half), "being added, or its ADD was cut short");
}

TEST(Pods, TextShortensTheContainerId) {
  EXPECT_EQ(pods_text({sound_row()}, Width::narrow, kFile),
            "ADDRESS     POD           INTERFACE  STATE\n"
            "10.244.1.2  0123456789ab  veth1      ok\n");
}

TEST(Pods, NamesOfKubernetesStandInItsPlace) {
  PodRow row = sound_row();
  row.attachment->pod_namespace = "default";
  row.attachment->pod_name = "web-0";
  EXPECT_EQ(pods_text({row}, Width::wide, kFile),
            "ADDRESS     POD            INTERFACE  DELIVERY  POD MAC            NETWORK  CONTAINER         IN POD  STATE\n"
            "10.244.1.2  default/web-0  veth1      peer      02:00:00:00:00:01  cbr0     0123456789abcdef  eth0    ok\n");
}

TEST(Pods, NoPodsIsAnAnswer) {
  EXPECT_EQ(pods_text({}, Width::narrow, kFile), "no pods on this node\n");
  EXPECT_EQ(json::parse(pods_json({})), json::array());
}

TEST(Pods, JsonHasEverything) {
  const json pod = json::parse(pods_json({sound_row()})).at(0);
  EXPECT_EQ(pod, json::parse(R"({"address": "10.244.1.2", "interface": "veth1", "ifindex": 7, "pod_mac": "02:00:00:00:00:01",
    "host_mac": "02:00:00:00:00:02", "gateway": "10.244.1.1", "delivery": "peer", "network": "cbr0", "container_id": "0123456789abcdef",
    "pod_interface": "eth0", "netns": "/run/netns/a", "namespace": "", "name": "", "trouble": ""})"));
}

TEST(Pods, BytesThatAreNoUtf8DoNotBreakTheJson) {
  PodRow row = sound_row();
  row.attachment->netns = "/run/netns/\xff\xfe";
  EXPECT_THAT(json::parse(pods_json({row})).at(0).at("netns").get<std::string>(), HasSubstr("/run/netns/"));
}

Peer peer() {
  return {*Prefix::parse("10.244.2.0/24"), *IpAddress::parse("192.168.77.2"), *MacAddress::parse("02:00:00:00:00:09"), PeerKind::vxlan};
}

Peer direct_peer(const MacAddress& mac) {
  return {*Prefix::parse("10.244.3.0/24"), *IpAddress::parse("192.168.77.3"), mac, PeerKind::direct};
}

TEST(Peers, Text) {
  EXPECT_EQ(peers_text({peer(), direct_peer(*MacAddress::parse("02:00:00:00:00:13"))}, {}, Width::wide, kFile),
            "SUBNET         NODE          KIND    NEXT HOP      MAC\n"
            "10.244.2.0/24  192.168.77.2  vxlan   -             02:00:00:00:00:09\n"
            "10.244.3.0/24  192.168.77.3  direct  192.168.77.3  02:00:00:00:00:13\n");
  EXPECT_THAT(peers_text({peer()}, {}, Width::narrow, kFile), Not(HasSubstr("NEXT HOP")));
  EXPECT_THAT(peers_text({direct_peer({})}, {}, Width::narrow, kFile), HasSubstr("not known yet"));
  EXPECT_EQ(peers_text({}, {}, Width::narrow, kFile), "no peers: no other node has a lease\n");
}

TEST(Peers, Json) {
  EXPECT_EQ(json::parse(peers_json({peer(), direct_peer({})}, {})), json::parse(R"([
    {"subnet": "10.244.2.0/24", "node": "192.168.77.2", "vtep_mac": "02:00:00:00:00:09", "kind": "vxlan"},
    {"subnet": "10.244.3.0/24", "node": "192.168.77.3", "next_hop": "192.168.77.3", "neighbour_mac": "", "kind": "direct"}])"));
  EXPECT_EQ(json::parse(peers_json({}, {})), json::array());
}

TEST(Peers, NamesStandBesideAddressesWhereTheyAreKnown) {
  const NodeNames names = {{*IpAddress::parse("192.168.77.2"), "worker-2"}};
  EXPECT_EQ(peers_text({peer(), direct_peer({})}, names, Width::wide, kFile),
            "SUBNET         NODE          NAME      KIND    NEXT HOP      MAC\n"
            "10.244.2.0/24  192.168.77.2  worker-2  vxlan   -             02:00:00:00:00:09\n"
            "10.244.3.0/24  192.168.77.3  -         direct  192.168.77.3  not known yet\n");
  EXPECT_THAT(peers_text({direct_peer({})}, names, Width::narrow, kFile), Not(HasSubstr("NAME")));
  const json peers = json::parse(peers_json({peer(), direct_peer({})}, names));
  EXPECT_EQ(peers.at(0).at("node_name"), "worker-2");
  EXPECT_FALSE(peers.at(1).contains("node_name"));
}

const ReasonInfo kFast{MERINO_DECAP, "decap", Action::fast, "delivered", ""};
const ReasonInfo kDrop{MERINO_FORGED, "forged", Action::drop, "not its source", "look at the sender"};

TEST(Counters, ZeroRowsAreHiddenUnlessAskedFor) {
  const std::vector<Counter> counters{{&kFast, 3, 300}, {&kDrop, 0, 0}};
  EXPECT_EQ(counters_text(counters, ZeroRows::hide, kFile),
            "REASON  ACTION  PACKETS  BYTES  MEANING\n"
            "decap   fast          3    300  delivered\n");
  EXPECT_THAT(counters_text(counters, ZeroRows::show, kFile), HasSubstr("forged"));
  EXPECT_EQ(json::parse(counters_json(counters, ZeroRows::hide)).size(), 1u);
  EXPECT_EQ(json::parse(counters_json(counters, ZeroRows::show)).size(), 2u);
}

TEST(Counters, TheRemedyStandsBesideWhatWasMet) {
  EXPECT_THAT(counters_text({{&kDrop, 1, 60}}, ZeroRows::hide, kFile), HasSubstr("not its source (look at the sender)"));
  EXPECT_THAT(counters_text({{&kDrop, 0, 0}}, ZeroRows::show, kFile), Not(HasSubstr("look at the sender")));
}

TEST(Counters, NothingCountedIsAnAnswer) {
  EXPECT_EQ(counters_text({{&kFast, 0, 0}}, ZeroRows::hide, kFile), "nothing counted yet: no packet has met the programs\n");
}

TEST(Counters, JsonKeepsLargeNumbersExact) {
  const json counter = json::parse(counters_json({{&kDrop, 18446744073709551615ULL, 9007199254740993ULL}}, ZeroRows::hide)).at(0);
  EXPECT_EQ(counter.at("packets").get<uint64_t>(), 18446744073709551615ULL);
  EXPECT_EQ(counter.at("bytes").get<uint64_t>(), 9007199254740993ULL);
  EXPECT_EQ(counter.at("action"), "drop");
  EXPECT_EQ(counter.at("remedy"), "look at the sender");
}

}  // namespace ctl_views_test
}  // namespace merino::ctl
