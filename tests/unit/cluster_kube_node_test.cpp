#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/kube_node.h"

namespace merino {
namespace cluster_kube_node_test {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

struct PrefixCase {
  const char* prefix;
  const char* backend_type;  // nullptr: refused
};
void PrintTo(const PrefixCase& one, std::ostream* out) { *out << one.prefix; }

class KubePrefix : public testing::TestWithParam<PrefixCase> {};
INSTANTIATE_TEST_SUITE_P(Kube, KubePrefix,
                         testing::Values(PrefixCase{"flannel.alpha.coreos.com", "flannel.alpha.coreos.com/backend-type"},
                                         PrefixCase{"flannel.alpha.coreos.com/", "flannel.alpha.coreos.com/backend-type"},
                                         PrefixCase{"flannel.alpha.coreos.com/prefix", "flannel.alpha.coreos.com/prefix-backend-type"},
                                         PrefixCase{"flannel.alpha.coreos.com/prefix-", "flannel.alpha.coreos.com/prefix-backend-type"},
                                         PrefixCase{"org.com", "org.com/backend-type"}, PrefixCase{"org9.com", "org9.com/backend-type"},
                                         PrefixCase{"org.com/9", "org.com/9-backend-type"}, PrefixCase{"org", nullptr},
                                         PrefixCase{"org/", nullptr}, PrefixCase{"org/prefix", nullptr}, PrefixCase{"org.COM", nullptr},
                                         PrefixCase{"org.com/PREFIX", nullptr}, PrefixCase{"", nullptr}, PrefixCase{"a.b/c/d", nullptr},
                                         PrefixCase{"a.b/c/", nullptr}, PrefixCase{"a..b", nullptr}, PrefixCase{".a.b", nullptr},
                                         PrefixCase{"a.b.", nullptr}, PrefixCase{"a.b/-", nullptr}, PrefixCase{"x y.z", nullptr},
                                         PrefixCase{"a.b/12345678901234567890123456789012345678901",
                                                    "a.b/12345678901234567890123456789012345678901-backend-type"},
                                         PrefixCase{"a.b/123456789012345678901234567890123456789012", nullptr}));

TEST_P(KubePrefix, AsFlannelReadsIt) {
  const auto names = make_annotation_names(GetParam().prefix);
  if (GetParam().backend_type != nullptr) {
    ASSERT_TRUE(names) << names.error().message();
    EXPECT_EQ(names->backend_type, GetParam().backend_type);
  } else {
    ASSERT_FALSE(names) << names->backend_type;
    EXPECT_EQ(names.error().kind, ErrorKind::invalid);
    EXPECT_THAT(names.error().message(), HasSubstr("--kube-annotation-prefix"));
  }
}

TEST(KubeNodeReader, KeepsWhatCounts) {
  NodeText text{.annotations = {{"public-ip-overwrite", "1.2.3.4"}, {"node-public-ip", "5.6.7.8"}}, .ballast = 10000};
  auto json = text.json();
  json["status"]["conditions"].push_back({{"type", "NetworkUnavailable"}, {"status", "False"}, {"reason", "FlannelIsUp"}});
  json["status"]["conditions"].push_back({{"type", "Other"}, {"status", "True"}});
  const KubeNode node = read_node(json.dump());
  EXPECT_EQ(node.name, "node1");
  EXPECT_EQ(node.created, "2026-11-23T10:00:00Z");
  EXPECT_THAT(node.pod_cidrs, ElementsAre("10.244.1.0/24"));
  EXPECT_THAT(node.annotations,
              UnorderedElementsAre(Pair(kPrefix + "kube-subnet-manager", "true"), Pair(kPrefix + "backend-type", "vxlan"),
                                   Pair(kPrefix + "backend-data", R"({"VNI":1,"VtepMAC":"f2:91:b4:a4:d8:06"})"),
                                   Pair(kPrefix + "public-ip", "192.168.88.11"), Pair(kPrefix + "public-ip-overwrite", "1.2.3.4"),
                                   Pair(kPrefix + "node-public-ip", "5.6.7.8")));
  EXPECT_EQ(node.unavailable_status, "False");
  EXPECT_EQ(node.unavailable_reason, "FlannelIsUp");
  EXPECT_EQ(node.too_long, "");
}

TEST(KubeNodeReader, PodCidrsComeBeforePodCidr) {
  EXPECT_THAT(read_node(R"({"spec":{"podCIDR":"10.244.1.0/24"}})").pod_cidrs, ElementsAre("10.244.1.0/24"));
  EXPECT_THAT(read_node(R"({"spec":{"podCIDRs":["fd00::/64","10.244.2.0/24"],"podCIDR":"fd00::/64"}})").pod_cidrs,
              ElementsAre("fd00::/64", "10.244.2.0/24"));
  EXPECT_THAT(read_node(R"({"spec":{}})").pod_cidrs, IsEmpty());
  EXPECT_LE(read_node(R"({"spec":{"podCIDRs":["1","2","3","4","5","6","7","8","9"]}})").pod_cidrs.size(), 4U);
}

TEST(KubeNodeReader, WrongTypesAreAsGoodAsAbsent) {
  const KubeNode node = read_node(
      R"({"metadata":{"name":7,"annotations":{"flannel.alpha.coreos.com/public-ip":{"a":1},"flannel.alpha.coreos.com/backend-type":[1]}},)"
      R"("spec":{"podCIDR":null,"podCIDRs":"x"},"status":{"conditions":[1,{"type":{"a":1},"status":[2]},[3]]}})");
  EXPECT_EQ(node.name, "");
  EXPECT_THAT(node.annotations, testing::Not(testing::Contains(Pair(kPrefix + "public-ip", testing::Ne("")))));
  EXPECT_THAT(node.pod_cidrs, IsEmpty());
  EXPECT_EQ(node.unavailable_status, "");
  for (const char* text :
       {R"({"metadata":1,"spec":[],"status":"x"})", R"({"metadata":{"annotations":[1,"x"]},"status":{"conditions":{}}})"}) {
    EXPECT_THAT(read_node(text).annotations, IsEmpty()) << text;
  }
}

TEST(KubeNodeReader, SaysWhatWasTooLong) {
  const KubeNode node = read_node(NodeText{.annotations = {{"backend-data", std::string(1U << 20U, 'x')}}});
  EXPECT_EQ(node.too_long, kPrefix + "backend-data");
  EXPECT_EQ(node.annotation(kPrefix + "backend-data")->size(), JsonPush::kLongestKept);
  EXPECT_EQ(read_node(NodeText{.annotations = {{"other", std::string(1U << 20U, 'x')}}}).too_long, "") << "not ours";
}

TEST(KubeNodeReader, NothingOfOneNodeIsInTheNext) {
  const AnnotationNames names = annotation_names();
  std::vector<KubeNode> nodes;
  KubeListReader reader(names, [&](KubeNode node) {
    nodes.push_back(std::move(node));
    return ok();
  });
  JsonPush json(reader);
  const nlohmann::json list = {
      {"kind", "NodeList"},
      {"metadata", {{"resourceVersion", "42"}, {"continue", "abc"}, {"remainingItemCount", 3}}},
      {"items", {NodeText{.annotations = {{"public-ip-overwrite", "9.9.9.9"}}}.json(), {{"metadata", {{"name", "bare"}}}}}}};
  ASSERT_TRUE(json.feed(list.dump()));
  EXPECT_TRUE(reader.complete);
  EXPECT_EQ(reader.resource_version, "42");
  EXPECT_EQ(reader.next_page, "abc");
  ASSERT_EQ(nodes.size(), 2U);
  EXPECT_EQ(nodes[0].name, "node1");
  EXPECT_EQ(nodes[1].name, "bare");
  EXPECT_THAT(nodes[1].annotations, IsEmpty());
  EXPECT_THAT(nodes[1].pod_cidrs, IsEmpty());
  EXPECT_EQ(nodes[1].created, "");
}

TEST(KubeWatchReader, ReadsEvents) {
  const AnnotationNames names = annotation_names();
  std::vector<KubeEvent> events;
  KubeWatchReader reader(names, [&](KubeEvent event) {
    events.push_back(std::move(event));
    return ok();
  });
  JsonPush json(reader);
  const nlohmann::json added = {{"type", "ADDED"}, {"object", NodeText{.version = "8"}.json()}};
  ASSERT_TRUE(json.feed(added.dump() + "\n"));
  ASSERT_TRUE(json.feed(R"({"object":{"kind":"Node","metadata":{"resourceVersion":"9","creationTimestamp":null}},"type":"BOOKMARK"})"));
  ASSERT_TRUE(json.feed(
      R"({"type":"ERROR","object":{"kind":"Status","metadata":{},"status":"Failure","message":"too old","reason":"Expired","code":410}})"));
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0].type, "ADDED");
  EXPECT_EQ(events[0].resource_version, "8");
  EXPECT_EQ(events[0].node.name, "node1");
  EXPECT_EQ(events[1].type, "BOOKMARK");
  EXPECT_EQ(events[1].resource_version, "9");
  EXPECT_EQ(events[1].node.name, "");
  EXPECT_EQ(events[2].type, "ERROR");
  EXPECT_EQ(events[2].code, "410");
  EXPECT_EQ(events[2].reason, "Expired");
  EXPECT_EQ(events[2].message, "too old");
}

}  // namespace cluster_kube_node_test
}  // namespace merino
