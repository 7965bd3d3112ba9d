#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/kube_lease.h"
#include "support/kube_node.h"
#include "support/lease_dir.h"

namespace merino {
namespace cluster_kube_lease_test {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kMac = "f2:91:b4:a4:d8:06";

NodeLeases leases_of(const std::vector<NodeText>& nodes) {
  NodeLeases out;
  for (const NodeText& text : nodes) {
    if (auto lease = read_node_lease(read_node(text), annotation_names())) out.emplace(text.name, *lease);
  }
  return out;
}

std::vector<std::string> accepted(const LeaseSet& set) {
  std::vector<std::string> out;
  for (const Lease& lease : set.leases) out.push_back(to_string(lease.subnet) + " " + to_string(lease.attributes.public_ip));
  return out;
}

std::vector<std::string> rejected(const LeaseSet& set) {
  std::vector<std::string> out;
  for (const RejectedLease& lease : set.rejected) out.push_back(lease.key + ": " + lease.reason);
  return out;
}

TEST(KubeLease, OfANode) {
  const auto lease = read_node_lease(read_node(NodeText{}), annotation_names());
  ASSERT_TRUE(lease);
  EXPECT_EQ(lease->reason, "");
  EXPECT_EQ(lease->lease.subnet, prefix("10.244.1.0/24"));
  EXPECT_EQ(lease->lease.attributes, attributes("192.168.88.11", kMac));
  EXPECT_EQ(lease->lease.expires, kNeverExpires);
}

TEST(KubeLease, OfANodeWithoutFlannelIsNobodysBusiness) {
  EXPECT_FALSE(read_node_lease(read_node(NodeText{.without = {"kube-subnet-manager"}}), annotation_names()));
  EXPECT_FALSE(read_node_lease(read_node(NodeText{.annotations = {{"kube-subnet-manager", "True"}}}), annotation_names()));
  EXPECT_FALSE(read_node_lease(read_node(NodeText{}), *make_annotation_names("flannel.alpha.coreos.com/other"))) << "another prefix";
}

TEST(KubeLease, OfAnotherBackendParses) {
  const auto lease =
      read_node_lease(read_node(NodeText{.annotations = {{"backend-type", "host-gw"}, {"backend-data", "null"}}}), annotation_names());
  ASSERT_TRUE(lease);
  EXPECT_EQ(lease->reason, "");
  EXPECT_EQ(lease->lease.attributes.backend_type, "host-gw");
  EXPECT_TRUE(lease->lease.attributes.vxlan.empty());
}

struct RejectedNode {
  const char* name;
  NodeText node;
  const char* reason;
};
void PrintTo(const RejectedNode& one, std::ostream* out) { *out << one.name; }

class KubeRejected : public testing::TestWithParam<RejectedNode> {};

NodeText with(const std::string& annotation, const std::string& value) { return {.annotations = {{annotation, value}}}; }
NodeText without(const std::string& annotation) { return {.without = {annotation}}; }

INSTANTIATE_TEST_SUITE_P(
    Kube, KubeRejected,
    testing::Values(
        RejectedNode{"no_ip", without("public-ip"), "public-ip is missing"},
        RejectedNode{"empty_ip", with("public-ip", ""), "public-ip is missing"},
        RejectedNode{"text_ip", with("public-ip", "moon\n\x1b[31m"), R"(public-ip must be an IPv4 address, found "moon\x0a\x1b[31m")"},
        RejectedNode{"v6_ip", with("public-ip", "fd00::1"), "must be an IPv4 address"},
        RejectedNode{"loopback", with("public-ip", "127.0.0.1"), "unicast"},
        RejectedNode{"multicast", with("public-ip", "224.0.0.1"), "unicast"}, RejectedNode{"none", with("public-ip", "0.0.0.0"), "unicast"},
        RejectedNode{"broadcast", with("public-ip", "255.255.255.255"), "unicast"},
        RejectedNode{"v6_address", with("public-ipv6", "10.0.0.1"), "public-ipv6 must be an IPv6 address"},
        RejectedNode{"no_data", without("backend-data"), "backend-data is missing"},
        RejectedNode{"null_data", with("backend-data", "null"), "VNI is missing"},
        RejectedNode{"no_json", with("backend-data", "{"), "backend-data: not valid JSON"},
        RejectedNode{"array", with("backend-data", "[1]"), "must be a JSON object"},
        RejectedNode{"vni_type", with("backend-data", R"({"VNI":"1","VtepMAC":"f2:91:b4:a4:d8:06"})"), "VNI must be a whole number"},
        RejectedNode{"vni_range", with("backend-data", R"({"VNI":16777216,"VtepMAC":"f2:91:b4:a4:d8:06"})"), "VNI must be from 0 to"},
        RejectedNode{"no_mac", with("backend-data", R"({"VNI":1})"), "VtepMAC is missing"},
        RejectedNode{"multicast_mac", with("backend-data", R"({"VNI":1,"VtepMAC":"01:00:5e:00:00:01"})"), "unicast MAC"},
        RejectedNode{"zero_mac", with("backend-data", R"({"VNI":1,"VtepMAC":"00:00:00:00:00:00"})"), "unicast MAC"},
        RejectedNode{"bad_mac", with("backend-data", R"({"VNI":1,"VtepMAC":"f2:91"})"), "must be a MAC address"},
        RejectedNode{"mac_type", with("backend-data", R"({"VNI":1,"VtepMAC":{"a":1}})"), "VtepMAC must be a string"},
        RejectedNode{"huge", with("backend-data", std::string(200000, '[')), "backend-data is longer than 1024 bytes"},
        RejectedNode{"deep", with("backend-data", std::string(1000, '[')), "not valid JSON"},
        RejectedNode{"no_cidr", {.pod_cidr = ""}, "pod cidr not assigned"},
        RejectedNode{"bad_cidr", {.pod_cidr = "10.244.1.0"}, "must be a prefix"},
        RejectedNode{"long_cidr", {.pod_cidr = std::string(3000, '1')}, "podCIDR"},
        RejectedNode{"v6_cidr", {.pod_cidr = "fd00:244:1::/64"}, "podCIDR fd00:244:1::/64 is outside of Network 10.244.0.0/16"},
        RejectedNode{"outside", {.pod_cidr = "10.245.1.0/24"}, "podCIDR 10.245.1.0/24 is outside of Network 10.244.0.0/16"},
        RejectedNode{"larger", {.pod_cidr = "10.0.0.0/8"}, "outside of Network"}));

TEST_P(KubeRejected, IsNamedAndHarmsNoOther) {
  NodeText bad = GetParam().node;
  bad.name = "bad";
  NodeText good{.pod_cidr = "10.244.2.0/24", .public_ip = "192.168.88.12"};
  const LeaseSet set = make_lease_set(leases_of({bad, good}), prefix("10.244.0.0/16"));
  EXPECT_THAT(accepted(set), ElementsAre("10.244.2.0/24 192.168.88.12"));
  ASSERT_EQ(set.rejected.size(), 1U);
  EXPECT_EQ(set.rejected[0].key, "bad");
  EXPECT_THAT(set.rejected[0].reason, HasSubstr(GetParam().reason));
  EXPECT_LT(set.rejected[0].reason.size(), 600U);
}

TEST(KubeLeaseSet, IsOrderedBySubnet) {
  const LeaseSet set = make_lease_set(leases_of({{.name = "a", .pod_cidr = "10.244.9.0/24", .public_ip = "1.1.1.1"},
                                                 {.name = "b", .pod_cidr = "10.244.10.0/24", .public_ip = "1.1.1.2"},
                                                 {.name = "c", .pod_cidr = "10.244.0.0/24", .public_ip = "1.1.1.3"}}),
                                      {});
  EXPECT_THAT(accepted(set), ElementsAre("10.244.0.0/24 1.1.1.3", "10.244.9.0/24 1.1.1.1", "10.244.10.0/24 1.1.1.2"));
  EXPECT_THAT(rejected(set), IsEmpty());
}

TEST(KubeLeaseSet, LeasesBearTheirNodesNames) {
  NodeLeases nodes = leases_of({{.name = "worker-1"}});
  EXPECT_EQ(make_lease_set(nodes, {}).leases[0].node_name, "worker-1");
  NodeLeases hostile;
  hostile.emplace("\x1b[2J" + std::string(5000, 'x'), nodes.at("worker-1"));
  const std::string name = make_lease_set(hostile, {}).leases[0].node_name;
  EXPECT_EQ(name.find('\x1b'), std::string::npos);
  EXPECT_LT(name.size(), 300U);
}

TEST(KubeLeaseSet, HostBitsOfAPodCidrDoNotCount) {
  EXPECT_THAT(accepted(make_lease_set(leases_of({{.pod_cidr = "10.244.1.77/24"}}), prefix("10.244.0.0/16"))),
              ElementsAre("10.244.1.0/24 192.168.88.11"));
}

TEST(KubeLeaseSet, OfTwoNodesWithOnePodCidrTheOlderCounts) {
  const NodeText older{.name = "z", .public_ip = "1.1.1.1", .created = "2026-11-23T09:59:59Z"};
  const NodeText newer{.name = "a", .public_ip = "1.1.1.2", .created = "2026-11-23T10:00:00Z"};
  const LeaseSet set = make_lease_set(leases_of({newer, older}), {});
  EXPECT_THAT(accepted(set), ElementsAre("10.244.1.0/24 1.1.1.1"));
  EXPECT_THAT(rejected(set), ElementsAre("a: podCIDR 10.244.1.0/24 overlaps 10.244.1.0/24 of the older node z"));
}

TEST(KubeLeaseSet, OfTwoOfTheSameSecondTheFirstNameCounts) {
  const LeaseSet set = make_lease_set(leases_of({{.name = "b", .public_ip = "1.1.1.1"}, {.name = "a", .public_ip = "1.1.1.2"}}), {});
  EXPECT_THAT(accepted(set), ElementsAre("10.244.1.0/24 1.1.1.2"));
  EXPECT_THAT(rejected(set), ElementsAre(HasSubstr("b: ")));
}

TEST(KubeLeaseSet, ANewcomerThatClaimsTheNetworkTakesNothing) {
  const std::vector<NodeText> nodes = {
      {.name = "n1", .pod_cidr = "10.244.1.0/24", .public_ip = "1.1.1.1"},
      {.name = "n2", .pod_cidr = "10.244.2.0/24", .public_ip = "1.1.1.2"},
      {.name = "a", .pod_cidr = "10.244.0.0/16", .public_ip = "6.6.6.6", .created = "2026-11-24T00:00:00Z"},
      {.name = "b", .pod_cidr = "10.244.2.128/25", .public_ip = "6.6.6.7", .created = "2026-11-24T00:00:00Z"}};
  const LeaseSet set = make_lease_set(leases_of(nodes), prefix("10.244.0.0/16"));
  EXPECT_THAT(accepted(set), ElementsAre("10.244.1.0/24 1.1.1.1", "10.244.2.0/24 1.1.1.2"));
  EXPECT_THAT(rejected(set), ElementsAre(HasSubstr("a: podCIDR 10.244.0.0/16 overlaps"),
                                         HasSubstr("b: podCIDR 10.244.2.128/25 overlaps 10.244.2.0/24 of the older node n2")));
}

TEST(KubePatch, WritesFlannelsAnnotationsByteForByte) {
  const KubeNode bare = read_node(R"({"metadata":{"name":"node1"},"spec":{"podCIDR":"10.244.1.0/24"}})");
  EXPECT_EQ(annotations_patch(bare, annotation_names(), attributes("192.168.88.11", "46:65:8d:36:f7:4e"), ip("192.168.88.11")),
            R"({"metadata":{"annotations":{)"
            R"("flannel.alpha.coreos.com/backend-data":"{\"VNI\":1,\"VtepMAC\":\"46:65:8d:36:f7:4e\"}",)"
            R"("flannel.alpha.coreos.com/backend-type":"vxlan",)"
            R"("flannel.alpha.coreos.com/kube-subnet-manager":"true",)"
            R"("flannel.alpha.coreos.com/public-ip":"192.168.88.11"}}})");
}

TEST(KubePatch, HoldsOnlyWhatDiffers) {
  const AnnotationNames names = annotation_names();
  const LeaseAttributes mine = attributes("192.168.88.11", kMac);
  EXPECT_EQ(annotations_patch(read_node(NodeText{}), names, mine, mine.public_ip), "");
  EXPECT_EQ(annotations_patch(read_node(NodeText{}), names, mine, ip("9.9.9.9")),
            R"({"metadata":{"annotations":{"flannel.alpha.coreos.com/public-ip":"9.9.9.9"}}})");
  EXPECT_EQ(annotations_patch(read_node(with("kube-subnet-manager", "false")), names, mine, mine.public_ip),
            R"({"metadata":{"annotations":{"flannel.alpha.coreos.com/kube-subnet-manager":"true"}}})");
  EXPECT_EQ(annotations_patch(read_node(with("backend-data", R"({"VtepMAC":"f2:91:b4:a4:d8:06","VNI":1})")), names, mine, mine.public_ip),
            R"({"metadata":{"annotations":{"flannel.alpha.coreos.com/backend-data":"{\"VNI\":1,\"VtepMAC\":\"f2:91:b4:a4:d8:06\"}"}}})")
      << "flannel cannot read another order of keys";
}

TEST(KubePatch, UsesThePrefix) {
  const auto names = make_annotation_names("org.com/x");
  EXPECT_THAT(annotations_patch(read_node(NodeText{}), *names, attributes("1.1.1.1"), ip("1.1.1.1")),
              AllOf(HasSubstr(R"("org.com/x-public-ip":"1.1.1.1")"), Not(HasSubstr("flannel"))));
}

TEST(KubePatch, SetsTheConditionAsFlannelDoes) {
  const auto now = std::chrono::system_clock::from_time_t(1795428000);
  EXPECT_EQ(network_available_patch(read_node(NodeText{}), now),
            R"({"status":{"conditions":[{"type":"NetworkUnavailable","status":"False","lastHeartbeatTime":"2026-11-23T10:00:00Z",)"
            R"("lastTransitionTime":"2026-11-23T10:00:00Z","reason":"FlannelIsUp","message":"Flannel is running on this node"}]}})");
}

TEST(KubePatch, LeavesAConditionThatIsSet) {
  auto json = NodeText{}.json();
  const auto patch_for = [&](const char* status, const char* reason) {
    json["status"]["conditions"] = {{{"type", "NetworkUnavailable"}, {"status", status}, {"reason", reason}}};
    return network_available_patch(read_node(json.dump()), std::chrono::system_clock::now());
  };
  EXPECT_EQ(patch_for("False", "FlannelIsUp"), "");
  EXPECT_NE(patch_for("True", "NoRouteCreated"), "");
  EXPECT_NE(patch_for("False", "RouteCreated"), "");
}

TEST(KubeOverwrite, IsWhatTheNodeSays) {
  const AnnotationNames names = annotation_names();
  const LeaseAttributes mine = attributes("192.168.88.11");
  EXPECT_EQ(published_ip(read_node(NodeText{}), names, mine).value(), ip("192.168.88.11"));
  EXPECT_EQ(published_ip(read_node(with("public-ip-overwrite", "172.18.0.2")), names, mine).value(), ip("172.18.0.2"));
  EXPECT_EQ(published_ip(read_node(with("public-ip-overwrite", "")), names, mine).value(), ip("192.168.88.11"));
  for (const char* bad : {"moon", "127.0.0.1", "fd00::1", "224.1.1.1"}) {
    const auto result = published_ip(read_node(with("public-ip-overwrite", bad)), names, mine);
    ASSERT_FALSE(result) << bad;
    EXPECT_THAT(result.error().message(),
                AllOf(HasSubstr("node1"), HasSubstr("kubectl annotate node node1 " + kPrefix + "public-ip-overwrite-")));
  }
}

TEST(KubeOverwrite, TheOwnLeaseIsAsItWasAskedFor) {
  const auto own = [](const NodeText& node) {
    return own_addresses(*read_node_lease(read_node(node), annotation_names()), ip("10.0.0.1"));
  };
  NodeText node{.public_ip = "10.0.0.1"};
  EXPECT_EQ(own(node), ip("10.0.0.1"));
  node.annotations = {{"public-ip-overwrite", "172.18.0.2"}};
  EXPECT_NE(own(node), ip("10.0.0.1")) << "the overwrite is new: to be written";
  node.public_ip = "172.18.0.2";
  EXPECT_EQ(own(node), ip("10.0.0.1")) << "written";
  node.annotations.clear();
  EXPECT_NE(own(node), ip("10.0.0.1")) << "the overwrite is gone: to be taken back";
}

TEST(KubeHints, ComeFromTheOwnAnnotations) {
  const AnnotationNames names = annotation_names();
  const auto plain = read_hints(read_node(NodeText{}), names);
  ASSERT_TRUE(plain);
  EXPECT_TRUE(plain->public_ip.empty());
  EXPECT_EQ(plain->published, attributes("192.168.88.11", kMac));

  const auto given =
      read_hints(read_node(NodeText{.annotations = {{"node-public-ip", "5.6.7.8"}, {"node-public-ipv6", "fd00::5"}}}), names);
  ASSERT_TRUE(given);
  EXPECT_EQ(given->public_ip.v4, ip("5.6.7.8"));
  EXPECT_EQ(given->public_ip.v6, ip("fd00::5"));

  const auto broken = read_hints(read_node(with("backend-data", "rubbish")), names);
  ASSERT_TRUE(broken);
  EXPECT_FALSE(broken->published);

  const auto refused = read_hints(read_node(with("node-public-ip", "here")), names);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("node-public-ip"));
}

TEST(KubePodCidr, MissingNamesTheRemedy) {
  const auto cidr = read_pod_cidrs(read_node(NodeText{.pod_cidr = ""}));
  ASSERT_FALSE(cidr);
  EXPECT_EQ(cidr.error().kind, ErrorKind::unavailable);
  EXPECT_EQ(cidr.error().what, "node \"node1\" pod cidr not assigned");
  EXPECT_THAT(cidr.error().remedy, AllOf(HasSubstr("--allocate-node-cidrs"), HasSubstr("--pod-network-cidr")));
}

}  // namespace cluster_kube_lease_test
}  // namespace merino
