// What a node asks of the API server and writes there.
#include "support/kube_source_fixture.h"

namespace merino {
namespace cluster_kube_source_test {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

TEST_F(KubeSourceTest, AcquiresThePodCidrAndSaysSoOnce) {
  api_.put(NodeText{.pod_cidr = "10.244.3.0/24", .without = {"kube-subnet-manager", "backend-type", "backend-data", "public-ip"}});
  const auto lease = acquire();
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_EQ(lease->subnet, prefix("10.244.3.0/24"));
  EXPECT_EQ(lease->attributes, attributes("192.168.88.11"));
  EXPECT_EQ(lease->expires, kNeverExpires);
  EXPECT_THAT(api_.patches(), SizeIs(1));
  EXPECT_EQ(api_.node("node1")["metadata"]["annotations"][kPrefix + "public-ip"], "192.168.88.11");

  EXPECT_TRUE(source().renew(*lease));
  EXPECT_TRUE(acquire());
  EXPECT_THAT(api_.patches(), IsEmpty()) << "nothing differs";

  Lease changed = *lease;
  changed.attributes = attributes("192.168.88.12");
  EXPECT_TRUE(source().renew(changed));
  EXPECT_THAT(api_.patches(), ElementsAre(R"({"metadata":{"annotations":{"flannel.alpha.coreos.com/public-ip":"192.168.88.12"}}})"));
}

TEST_F(KubeSourceTest, AcquireErrorsNameTheRemedy) {
  auto lease = acquire();
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().kind, ErrorKind::unavailable) << "it may be registered any time";
  EXPECT_THAT(lease.error().message(), AllOf(HasSubstr("/api/v1/nodes/node1"), HasSubstr("NODE_NAME")));

  api_.put({.pod_cidr = ""});
  lease = acquire();
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(lease.error().message(), AllOf(HasSubstr("node \"node1\" pod cidr not assigned"), HasSubstr("--allocate-node-cidrs")));

  api_.put({.pod_cidr = "10.245.0.0/24"});
  lease = acquire();
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().kind, ErrorKind::invalid);
  EXPECT_THAT(lease.error().message(), AllOf(HasSubstr("10.244.0.0/16"), HasSubstr("doesn't contain"), HasSubstr("--cluster-cidr")));
}

TEST_F(KubeSourceTest, FindsItsNodeByItsPod) {
  options_.node_name = "";
  options_.pod_name = "merino-x";
  options_.pod_namespace = "kube-flannel";
  api_.put({.name = "worker"});
  auto lease = acquire();
  ASSERT_FALSE(lease);
  EXPECT_THAT(lease.error().message(), HasSubstr("pods/merino-x"));
  api_.set([](ApiServer& api) { api.pods["kube-flannel/merino-x"] = ""; });
  EXPECT_THAT(acquire().error().message(), HasSubstr("node name not present"));
  api_.set([](ApiServer& api) { api.pods["kube-flannel/merino-x"] = "../x"; });
  EXPECT_THAT(acquire().error().message(), HasSubstr("no name of Kubernetes"));
  api_.set([](ApiServer& api) { api.pods["kube-flannel/merino-x"] = "worker"; });
  lease = acquire();
  ASSERT_TRUE(lease) << lease.error().message();
  api_.requests();
  ASSERT_TRUE(source().renew(*lease));
  EXPECT_THAT(api_.requests(), Each(Not(HasSubstr("/pods/")))) << "asked once";
}

TEST_F(KubeSourceTest, OptionsAreChecked) {
  options_.node_name = "Node/1";
  EXPECT_THAT(open_kube_source(options_, stop_).error().message(), HasSubstr("NODE_NAME"));
  options_.node_name = "";
  EXPECT_THAT(open_kube_source(options_, stop_).error().message(), HasSubstr("POD_NAME and POD_NAMESPACE"));
  options_.pod_name = "a";
  options_.pod_namespace = "..";
  EXPECT_THAT(open_kube_source(options_, stop_).error().message(), HasSubstr("POD_NAMESPACE"));
  options_.pod_namespace = "x";
  EXPECT_TRUE(open_kube_source(options_, stop_));
  options_.annotation_prefix = "x";
  EXPECT_FALSE(open_kube_source(options_, stop_));
}

TEST_F(KubeSourceTest, MarksTheNodeOnce) {
  api_.put(NodeText{});
  ASSERT_TRUE(source().mark_ready());
  EXPECT_THAT(api_.patches(), ElementsAre(HasSubstr("NetworkUnavailable")));
  const auto conditions = api_.node("node1")["status"]["conditions"];
  ASSERT_EQ(conditions.size(), 2U) << conditions;
  EXPECT_EQ(conditions[1]["reason"], "FlannelIsUp");
  ASSERT_TRUE(source().mark_ready());
  EXPECT_THAT(api_.patches(), IsEmpty());
}

TEST_F(KubeSourceTest, MarksNothingIfItMayNot) {
  options_.set_node_network_unavailable = false;
  api_.put(NodeText{});
  ASSERT_TRUE(source().mark_ready());
  EXPECT_THAT(api_.requests(), IsEmpty());
}

TEST_F(KubeSourceTest, ANodeThatRegistersAnewGetsEverythingAgain) {
  api_.put(NodeText{});
  const auto lease = acquire();
  ASSERT_TRUE(source().mark_ready());
  api_.remove("node1");
  const auto gone = source().renew(*lease);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(gone.error().message(), HasSubstr("NotFound"));
  api_.put(NodeText{.without = {"kube-subnet-manager", "backend-type", "backend-data", "public-ip"}});
  api_.patches();
  ASSERT_TRUE(source().renew(*lease));
  EXPECT_THAT(api_.patches(), ElementsAre(HasSubstr("backend-data"), HasSubstr("NetworkUnavailable")));

  api_.remove("node1");
  api_.put(NodeText{.pod_cidr = "10.244.9.0/24"});
  const auto other = source().renew(*lease);
  ASSERT_TRUE(other) << other.error().message();
  EXPECT_EQ(other->subnet, prefix("10.244.9.0/24")) << "it has another podCIDR now";

  api_.remove("node1");
  api_.put(NodeText{.pod_cidr = "10.99.9.0/24"});
  EXPECT_THAT(source().renew(*lease).error().message(), HasSubstr("doesn't contain \"10.99.9.0/24\""));
}

// Two networks side by side: each agent writes and reads its own annotations only.
TEST_F(KubeSourceTest, AnotherPrefixIsAnotherNetwork) {
  options_.annotation_prefix = "org.com/x";
  api_.put(NodeText{.without = {"kube-subnet-manager", "backend-type", "backend-data", "public-ip"}});
  api_.put({.name = "flannels", .pod_cidr = "10.244.2.0/24", .public_ip = "1.1.1.2"});
  ASSERT_TRUE(acquire());
  const auto annotations = api_.node("node1")["metadata"]["annotations"];
  for (const char* name : {"backend-data", "backend-type", "kube-subnet-manager", "public-ip"}) {
    EXPECT_TRUE(annotations.contains(std::string("org.com/x-") + name)) << annotations;
    EXPECT_FALSE(annotations.contains(kPrefix + name)) << annotations;
  }
  begin_following();
  EXPECT_TRUE(comes_to_know({"10.244.1.0/24 192.168.88.11"})) << "the one of flannel's prefix is nobody's business";
}

TEST_F(KubeSourceTest, HintsComeFromTheNode) {
  api_.put(NodeText{.annotations = {{"node-public-ip", "5.6.7.8"}}});
  const auto hints = source().hints();
  ASSERT_TRUE(hints) << hints.error().message();
  EXPECT_EQ(hints->public_ip, ip("5.6.7.8"));
  EXPECT_EQ(hints->published, attributes("192.168.88.11"));
}

TEST_F(KubeSourceTest, AnOverwriteIsPublishedAndIsNoDifference) {
  api_.put(NodeText{.public_ip = "172.18.0.2", .annotations = {{"public-ip-overwrite", "172.18.0.2"}}});
  const auto lease = acquire("192.168.88.11");
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_EQ(lease->attributes, attributes("192.168.88.11"));
  EXPECT_THAT(api_.patches(), IsEmpty()) << "the Node says it already";
  begin_following();
  EXPECT_TRUE(comes_to_know({"10.244.1.0/24 192.168.88.11"}));
  api_.put(NodeText{.public_ip = "172.18.0.2", .annotations = {{"public-ip-overwrite", "172.18.0.3"}}});
  EXPECT_TRUE(wait_for([&] { return known() != std::vector<std::string>{"10.244.1.0/24 192.168.88.11"}; })) << "to be renewed";
  ASSERT_TRUE(source().renew(*lease));
  EXPECT_TRUE(comes_to_know({"10.244.1.0/24 192.168.88.11"}));
  EXPECT_EQ(api_.node("node1")["metadata"]["annotations"][kPrefix + "public-ip"], "172.18.0.3");
}

TEST_F(KubeSourceTest, ARotatedTokenIsReadAnew) {
  put_nodes(1);
  ASSERT_TRUE(acquire());
  api_.set([](ApiServer& api) { api.token = "token-2"; });
  const auto refused = acquire();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(refused.error().message(), AllOf(HasSubstr("401"), Not(HasSubstr("token-1"))));
  write_text(dir_.file("token"), "token-2\n");
  EXPECT_TRUE(acquire());
}

TEST_F(KubeSourceTest, MissingRightsNameTheRole) {
  put_nodes(1);
  api_.set([](ApiServer& api) { api.faults.status = 403; });
  const auto refused = acquire();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(refused.error().message(), AllOf(HasSubstr("403"), HasSubstr("Fault by the test"), HasSubstr("ClusterRole")));
}

TEST_F(KubeSourceTest, AServerOfAnotherAuthorityIsNotTrusted) {
  const ApiServer other;
  trust(other.ca_file());
  put_nodes(1);
  const auto refused = acquire();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(refused.error().message(), HasSubstr("certificate"));
  EXPECT_THAT(api_.requests(), IsEmpty());
}

TEST_F(KubeSourceTest, OwnPodCidrThatIsAnOldersIsAnErrorOfTheRenewal) {
  api_.put(NodeText{});
  const auto lease = acquire();
  ASSERT_TRUE(lease);
  begin_following();
  ASSERT_TRUE(wait_for([&] { return known().size() == 1; }));
  api_.put({.name = "elder", .public_ip = "9.9.9.9", .created = "2020-01-01T00:00:00Z"});
  ASSERT_TRUE(comes_to_know({"10.244.1.0/24 9.9.9.9"}));
  const auto renewed = source().renew(*lease);
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().kind, ErrorKind::exists);
  EXPECT_THAT(renewed.error().message(), AllOf(HasSubstr("elder"), HasSubstr("node1")));
  api_.remove("elder");
  ASSERT_TRUE(comes_to_know({"10.244.1.0/24 192.168.88.11"}));
  EXPECT_TRUE(source().renew(*lease));
}

}  // namespace cluster_kube_source_test
}  // namespace merino
