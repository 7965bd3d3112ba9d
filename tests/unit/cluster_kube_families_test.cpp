// Nodes of both families in Kubernetes.
#include <algorithm>

#include "cluster/kube_lease.h"
#include "support/kube_source_fixture.h"

namespace merino {
namespace cluster_kube_families_test {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

const std::string kV6Data = R"({"VNI":1,"VtepMAC":"46:65:8d:36:f7:4e"})";
const Subnets kDual = subnets_of("10.244.0.0/16,fd10:244::/48");

// A Node with podCIDRs in this order, whose annotations say both families.
nlohmann::json dual_node(const std::vector<std::string>& cidrs, NodeText text = {}) {
  text.annotations.insert({{"public-ipv6", "fd77::11"}, {"backend-v6-data", kV6Data}});
  auto json = text.json();
  json["spec"]["podCIDR"] = cidrs.at(0);
  json["spec"]["podCIDRs"] = cidrs;
  return json;
}

NodeLease lease_of(const nlohmann::json& node) { return read_node_lease(read_node(node.dump()), annotation_names()).value(); }

NodeText with(const std::string& annotation, const std::string& value) { return {.annotations = {{annotation, value}}}; }

TEST(KubeFamilies, BothInEitherOrder) {
  for (const auto& cidrs : {std::vector<std::string>{"fd10:244:0:1::/64", "10.244.7.0/24"}, {"10.244.7.0/24", "fd10:244:0:1::/64"}}) {
    const NodeLease lease = lease_of(dual_node(cidrs));
    EXPECT_EQ(lease.reason, "");
    EXPECT_EQ(lease.lease.subnet, subnets_of("10.244.7.0/24,fd10:244:0:1::/64"));
    EXPECT_EQ(lease.lease.attributes, attributes_of("192.168.88.11", "fd77::11"));
  }
}

TEST(KubeFamilies, Ipv6Alone) {
  NodeText text;
  text.without = {"public-ip", "backend-data"};
  const NodeLease lease = lease_of(dual_node({"fd10:244:0:1::99/64"}, text));
  EXPECT_EQ(lease.reason, "");
  EXPECT_EQ(lease.lease.subnet, subnets_of("fd10:244:0:1::/64"));
  EXPECT_EQ(lease.lease.attributes, attributes_of("", "fd77::11"));
}

TEST(KubeFamilies, OnlyTheFirstCidrOfAFamilyCounts) {
  EXPECT_EQ(lease_of(dual_node({"10.244.7.0/24", "10.244.8.0/24"})).lease.subnet, subnets_of("10.244.7.0/24"));
  EXPECT_THAT(lease_of(dual_node({"10.244.7.0/24", "x"})).reason, HasSubstr("must be a prefix"));
}

TEST(KubeFamilies, HostileIpv6AnnotationsAreNamed) {
  const auto reason = [](const NodeText& text) { return lease_of(dual_node({"10.244.7.0/24", "fd10:244:0:1::/64"}, text)).reason; };
  for (const char* bad : {"10.0.0.1", "fe80::1", "ff02::1", "::1", "::", "::ffff:10.0.0.1", "fd00::1%eth0", "moon\n\x1b[31m"}) {
    EXPECT_THAT(reason(with("public-ipv6", bad)), AllOf(HasSubstr("public-ipv6 must be"), Not(HasSubstr("\x1b")))) << bad;
  }
  for (const std::string bad : {"{", "[1]", "x", R"({"VNI":1})", R"({"VNI":16777216,"VtepMAC":"46:65:8d:36:f7:4e"})",
                                R"({"VNI":1,"VtepMAC":"01:00:5e:00:00:01"})", R"({"VNI":1,"VtepMAC":"00:00:00:00:00:00"})"}) {
    EXPECT_THAT(reason(with("backend-v6-data", bad)), HasSubstr("backend-v6-data")) << bad;
  }
  EXPECT_THAT(reason(with("backend-v6-data", std::string(2000, 'x'))), HasSubstr("backend-v6-data is longer than 1024 bytes"));
}

TEST(KubeFamilies, WhatHostGwHasLeftOfIpv6IsNoFault) {
  const NodeLease lease = lease_of(dual_node({"10.244.7.0/24"}, with("backend-v6-data", "null")));
  EXPECT_EQ(lease.reason, "");
  EXPECT_TRUE(lease.lease.attributes.vxlan.v4);
  EXPECT_FALSE(lease.lease.attributes.vxlan.v6);
}

TEST(KubeFamilies, WithoutANetworkOfItsFamilyASubnetDoesNoHarm) {
  const NodeLeases nodes{{"a", lease_of(dual_node({"10.244.1.0/24", "fd99::/64"}))},
                         {"b", lease_of(dual_node({"10.244.2.0/24", "fd99::/64"}))}};
  const LeaseSet v4 = make_lease_set(nodes, prefix("10.244.0.0/16"));
  ASSERT_THAT(v4.leases, SizeIs(2)) << "that they overlap is nobody's business";
  EXPECT_EQ(v4.leases[0].subnet, subnets_of("10.244.1.0/24"));
  EXPECT_THAT(v4.rejected, IsEmpty());

  const LeaseSet outside = make_lease_set(nodes, kDual);
  EXPECT_THAT(outside.leases, IsEmpty());
  ASSERT_THAT(outside.rejected, SizeIs(2));
  EXPECT_EQ(outside.rejected[0].reason, "podCIDR fd99::/64 is outside of Network fd10:244::/48");

  const LeaseSet overlapping = make_lease_set(nodes, subnets_of("10.244.0.0/16,fd99::/48"));
  ASSERT_THAT(overlapping.leases, SizeIs(1));
  EXPECT_THAT(overlapping.rejected[0].reason,
              HasSubstr("10.244.2.0/24 and fd99::/64 overlaps 10.244.1.0/24 and fd99::/64 of the older node a"));
}

TEST(KubeFamilies, NodesOfOneFamilyAndOfBothLiveTogether) {
  NodeText v6;
  v6.without = {"public-ip", "backend-data"};
  const NodeLeases nodes{{"both", lease_of(dual_node({"10.244.2.0/24", "fd10:244:0:2::/64"}))},
                         {"v4", lease_of(NodeText{}.json())},
                         {"v6", lease_of(dual_node({"fd10:244:0:1::/64"}, v6))}};
  const LeaseSet set = make_lease_set(nodes, kDual);
  EXPECT_THAT(set.rejected, IsEmpty());
  ASSERT_THAT(set.leases, SizeIs(3));
  EXPECT_TRUE(std::is_sorted(set.leases.begin(), set.leases.end(), [](const Lease& a, const Lease& b) { return a.subnet < b.subnet; }));
  const LeaseSet v4 = make_lease_set(nodes, prefix("10.244.0.0/16"));
  EXPECT_THAT(v4.leases, SizeIs(2));
  ASSERT_THAT(v4.rejected, SizeIs(1));
  EXPECT_EQ(v4.rejected[0].key, "v6");
}

TEST(KubeFamilies, ThePatchIsFlannelsByteForByte) {
  const KubeNode bare = read_node(R"({"metadata":{"name":"node1"},"spec":{"podCIDR":"10.244.1.0/24"}})");
  const LeaseAttributes both = attributes_of("192.168.88.12", "fd77::12");
  EXPECT_EQ(annotations_patch(bare, annotation_names(), both, both.public_ip), golden("annotations_dual_stack.json"));
}

TEST(KubeFamilies, ThePatchLeavesAFamilyThatTheNodeDoesNotHave) {
  const AnnotationNames names = annotation_names();
  const KubeNode node = read_node(dual_node({"10.244.1.0/24"}).dump());
  const LeaseAttributes v4 = attributes("192.168.88.11");
  EXPECT_EQ(annotations_patch(node, names, v4, v4.public_ip), "");
  LeaseAttributes direct = attributes_of("192.168.88.11", "fd77::11");
  direct.backend_type = "host-gw";
  direct.vxlan = {};
  EXPECT_THAT(annotations_patch(node, names, direct, direct.public_ip),
              AllOf(HasSubstr(R"("flannel.alpha.coreos.com/backend-data":"null")"),
                    HasSubstr(R"("flannel.alpha.coreos.com/backend-v6-data":"null")"), HasSubstr("host-gw"), Not(HasSubstr("public-ip"))));
}

TEST(KubeFamilies, TheOverwriteOfEach) {
  const AnnotationNames names = annotation_names();
  const LeaseAttributes both = attributes_of("192.168.88.11", "fd77::11");
  const auto published = [&](const NodeText& node, const LeaseAttributes& mine) { return published_ip(read_node(node), names, mine); };
  EXPECT_EQ(published(with("public-ipv6-overwrite", "2001:db8::7"), both).value(),
            PerFamily<IpAddress>(ip("192.168.88.11"), ip("2001:db8::7")));
  EXPECT_EQ(published(with("public-ip-overwrite", "172.18.0.2"), both).value(), PerFamily<IpAddress>(ip("172.18.0.2"), ip("fd77::11")));
  EXPECT_EQ(published(with("public-ipv6-overwrite", "2001:db8::7"), attributes("192.168.88.11")).value(), ip("192.168.88.11"));
  for (const char* bad : {"10.0.0.1", "fe80::1", "::", "moon"}) {
    const auto refused = published(with("public-ipv6-overwrite", bad), both);
    ASSERT_FALSE(refused) << bad;
    EXPECT_THAT(refused.error().message(), HasSubstr("kubectl annotate node node1 " + kPrefix + "public-ipv6-overwrite-"));
  }
}

TEST(KubeFamilies, TheOwnAddressesAreAsTheyWereAskedFor) {
  const PerFamily<IpAddress> wanted(ip("192.168.88.11"), ip("fd00::1"));
  const auto own = [&](const NodeText& text) { return own_addresses(lease_of(dual_node({"10.244.1.0/24"}, text)), wanted); };
  EXPECT_EQ(own(with("public-ipv6", "fd00::1")), wanted);
  EXPECT_NE(own(with("public-ipv6", "fd00::9")), wanted) << "to be written";
  NodeText text = with("public-ipv6", "fd00::1");
  text.annotations["public-ipv6-overwrite"] = "fd00::2";
  EXPECT_NE(own(text), wanted) << "the overwrite is new";
  text.annotations["public-ipv6"] = "fd00::2";
  EXPECT_EQ(own(text), wanted) << "written";
  EXPECT_EQ(own_addresses(lease_of(dual_node({"10.244.1.0/24"})), ip("192.168.88.11")), ip("192.168.88.11")) << "flannel's of IPv6 is left";
}

TEST(KubeFamilies, HintsOfIpv6) {
  const AnnotationNames names = annotation_names();
  const auto hints = read_hints(read_node(dual_node({"10.244.1.0/24"}, with("node-public-ipv6", "fd00::5")).dump()), names);
  ASSERT_TRUE(hints);
  EXPECT_EQ(hints->public_ip, PerFamily<IpAddress>(ip("fd00::5")));
  EXPECT_EQ(hints->published, attributes_of("192.168.88.11", "fd77::11"));
  const auto refused = read_hints(read_node(with("node-public-ipv6", "10.0.0.1")), names);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("node-public-ipv6-"));
}

class KubeFamiliesSource : public KubeSourceTest {
 protected:
  void configure(const std::string& keys) const { write_text(dir_.file("net-conf.json"), "{" + keys + R"(,"Backend":{"Type":"vxlan"}})"); }
  static constexpr const char* kBoth = R"("Network":"10.244.0.0/16","EnableIPv6":true,"IPv6Network":"fd10:244::/48")";
  Result<Lease> acquire_as(const LeaseAttributes& who) { return source().acquire(conf(), {.attributes = who, .previous = {}}); }
};

TEST_F(KubeFamiliesSource, AcquiresBothAndSaysSoOnce) {
  configure(kBoth);
  api_.put("node1", dual_node({"fd10:244:0:3::/64", "10.244.3.0/24"}, {.without = {"kube-subnet-manager"}}));
  const LeaseAttributes who = attributes_of("192.168.88.12", "fd77::12");
  const auto lease = acquire_as(who);
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_EQ(lease->subnet, subnets_of("10.244.3.0/24,fd10:244:0:3::/64"));
  EXPECT_EQ(lease->attributes, who);
  EXPECT_THAT(api_.patches(), SizeIs(1));
  EXPECT_EQ(api_.node("node1")["metadata"]["annotations"][kPrefix + "public-ipv6"], "fd77::12");
  EXPECT_TRUE(source().renew(*lease));
  EXPECT_THAT(api_.patches(), IsEmpty()) << "nothing differs";
}

TEST_F(KubeFamiliesSource, ACidrThatIsMissingOrOutsideIsNamed) {
  configure(kBoth);
  api_.put(NodeText{});
  auto lease = acquire_as(attributes_of("192.168.88.12", "fd77::12"));
  ASSERT_FALSE(lease);
  EXPECT_THAT(lease.error().message(),
              AllOf(HasSubstr("node \"node1\" has no IPv6 podCIDR, only 10.244.1.0/24"), HasSubstr("--cluster-cidr")));
  api_.put("node1", dual_node({"10.244.1.0/24", "fd99::/64"}));
  lease = acquire_as(attributes_of("192.168.88.12", "fd77::12"));
  ASSERT_FALSE(lease);
  EXPECT_THAT(lease.error().message(), HasSubstr(R"("fd10:244::/48" specified in the flannel net config doesn't contain "fd99::/64")"));
}

TEST_F(KubeFamiliesSource, WhatIsLeftOfAFamilyThatIsOffIsNoDifference) {
  api_.put("node1", dual_node({"10.244.1.0/24", "fd10:244:0:1::/64"}));
  const auto lease = acquire("192.168.88.11");
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_THAT(api_.patches(), IsEmpty());
  begin_following();
  ASSERT_TRUE(comes_to_know({"10.244.1.0/24 192.168.88.11"}));
  const std::lock_guard lock(mutex_);
  EXPECT_THAT(set_.leases, ElementsAre(*lease));
}

TEST_F(KubeFamiliesSource, Ipv6AloneOnNodesOfBothStaysInOrder) {
  configure(R"("EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd10:244::/48")");
  api_.put("node1", dual_node({"10.244.1.0/24", "fd10:244:0:9::/64"}));
  api_.put("node2", dual_node({"10.244.2.0/24", "fd10:244:0:1::/64"}, {.name = "node2"}));
  const auto lease = acquire_as(attributes_of("", "fd77::11"));
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_EQ(lease->subnet, subnets_of("fd10:244:0:9::/64"));
  begin_following();
  ASSERT_TRUE(wait_for([&] { return known().size() == 2; }));
  const std::lock_guard lock(mutex_);
  EXPECT_EQ(set_.leases[0].subnet, subnets_of("fd10:244:0:1::/64"));
  EXPECT_EQ(set_.leases[1], *lease);
}

}  // namespace cluster_kube_families_test
}  // namespace merino
