// The Kubernetes lease source against an API server that is the test's own, over TLS.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <functional>

#include "cluster/kube_lease.h"
#include "cluster/kube_source.h"
#include "support/api_server.h"
#include "support/lease_dir.h"

namespace merino {
namespace {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;
using testing::StartsWith;

class KubeSourceTest : public testing::Test {
 protected:
  KubeSourceTest() {
    write_text(dir_.file("token"), "token-1\n");
    write_text(dir_.file("net-conf.json"), R"({"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}})");
    options_.kubeconfig_file = dir_.file("kubeconfig");
    options_.node_name = "node1";
    trust(api_.ca_file());
  }
  ~KubeSourceTest() override { end_following(); }

  void trust(const std::string& ca_file) const {
    write_text(dir_.file("kubeconfig"),
               "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: '" +
                   api_.url() + "', certificate-authority: '" + ca_file + "'}}]\nusers: [{name: u, user: {tokenFile: token}}]\n");
  }

  LeaseSource& source() {
    if (!source_) {
      auto opened = open_kube_source(options_, stop_);
      if (!opened) throw std::runtime_error(opened.error().message());
      source_ = std::move(*opened);
    }
    return *source_;
  }
  NetConf conf() { return source().load_conf(dir_.file("net-conf.json")).value(); }
  Result<Lease> acquire(const std::string& public_ip = "192.168.88.11") { return source().acquire(conf(), request(public_ip)); }

  // Calls follow() again and again, as the remote store does.
  void begin_following() {
    LeaseSource& followed = source();
    follower_ = std::thread([this, &followed] {
      while (!stop_.is_raised()) {
        auto ended = followed.follow([this](LeaseSet set) {
          const std::lock_guard lock(mutex_);
          set_ = std::move(set);
          ++sets_;
        });
        const std::lock_guard lock(mutex_);
        if (!ended) errors_.push_back(ended.error().message());
        if (errors_.size() > 1) std::this_thread::sleep_for(20ms);
      }
    });
  }
  void end_following() {
    stop_.raise();
    if (follower_.joinable()) follower_.join();
  }

  [[nodiscard]] std::vector<std::string> known() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const Lease& lease : set_.leases) out.push_back(lease.subnet.to_string() + " " + lease.attributes.public_ip.to_string());
    return out;
  }
  [[nodiscard]] std::vector<std::string> rejected() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const RejectedLease& lease : set_.rejected) out.push_back(lease.key);
    return out;
  }
  [[nodiscard]] std::vector<std::string> errors() const {
    const std::lock_guard lock(mutex_);
    return errors_;
  }
  [[nodiscard]] size_t sets() const {
    const std::lock_guard lock(mutex_);
    return sets_;
  }

  static bool wait_for(const std::function<bool()>& done) {
    for (int i = 0; i < 3000 && !done(); ++i) std::this_thread::sleep_for(10ms);
    return done();
  }
  bool comes_to_know(const std::vector<std::string>& wanted) const {
    const bool known_now = wait_for([&] { return known() == wanted; });
    EXPECT_EQ(known(), wanted);
    return known_now;
  }

  void put_nodes(int count) {
    for (int i = 1; i <= count; ++i) {
      api_.put({.name = "node" + std::to_string(i),
                .pod_cidr = "10.244." + std::to_string(i) + ".0/24",
                .public_ip = "1.1.1." + std::to_string(i)});
    }
  }

  TempDir dir_;
  ApiServer api_;
  KubeOptions options_;
  StopSignal stop_ = StopSignal::open().value();
  std::unique_ptr<LeaseSource> source_;
  std::thread follower_;
  mutable std::mutex mutex_;
  LeaseSet set_;
  size_t sets_ = 0;
  std::vector<std::string> errors_;
};

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
  EXPECT_EQ(lease.error().kind, ErrorKind::not_found);
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
  EXPECT_EQ(gone.error().kind, ErrorKind::not_found);
  api_.put(NodeText{.without = {"kube-subnet-manager", "backend-type", "backend-data", "public-ip"}});
  api_.patches();
  ASSERT_TRUE(source().renew(*lease));
  EXPECT_THAT(api_.patches(), ElementsAre(HasSubstr("backend-data"), HasSubstr("NetworkUnavailable")));

  api_.remove("node1");
  api_.put(NodeText{.pod_cidr = "10.244.9.0/24"});
  const auto other = source().renew(*lease);
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind, ErrorKind::exists);
  EXPECT_THAT(other.error().message(), AllOf(HasSubstr("is 10.244.9.0/24 now, and was 10.244.1.0/24"), HasSubstr("restart merinod")));
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

TEST_F(KubeSourceTest, FollowsNodesAsTheyComeChangeAndGo) {
  put_nodes(2);
  api_.put({.name = "windows", .pod_cidr = "10.244.7.0/24", .without = {"kube-subnet-manager"}});
  begin_following();
  ASSERT_TRUE(comes_to_know({"10.244.1.0/24 1.1.1.1", "10.244.2.0/24 1.1.1.2"}));
  put_nodes(3);
  ASSERT_TRUE(comes_to_know({"10.244.1.0/24 1.1.1.1", "10.244.2.0/24 1.1.1.2", "10.244.3.0/24 1.1.1.3"}));
  api_.put({.name = "node2", .pod_cidr = "10.244.2.0/24", .public_ip = "2.2.2.2"});
  ASSERT_TRUE(comes_to_know({"10.244.1.0/24 1.1.1.1", "10.244.2.0/24 2.2.2.2", "10.244.3.0/24 1.1.1.3"}));
  api_.remove("node3");
  ASSERT_TRUE(comes_to_know({"10.244.1.0/24 1.1.1.1", "10.244.2.0/24 2.2.2.2"}));
  api_.put({.name = "node2", .pod_cidr = "10.244.2.0/24", .public_ip = "moon"});
  ASSERT_TRUE(comes_to_know({"10.244.1.0/24 1.1.1.1"}));
  EXPECT_THAT(rejected(), ElementsAre("node2"));
  api_.put({.name = "node2", .pod_cidr = "10.244.2.0/24", .without = {"kube-subnet-manager"}});
  EXPECT_TRUE(wait_for([&] { return rejected().empty(); }));
  EXPECT_THAT(errors(), IsEmpty());
}

TEST_F(KubeSourceTest, AnEventThatChangesNothingIsNotTold) {
  put_nodes(2);
  begin_following();
  ASSERT_TRUE(wait_for([&] { return sets() == 1; }));
  auto node = api_.node("node2");
  node["status"]["conditions"][0]["reason"] = "Heartbeat";
  api_.put("node2", node);
  put_nodes(3);
  ASSERT_TRUE(wait_for([&] { return known().size() == 3; }));
  EXPECT_LE(sets(), 3U) << "node1 is this node itself, of which all is told";
}

TEST_F(KubeSourceTest, ListsInPages) {
  api_.set([](ApiServer& api) { api.page = 3; });
  put_nodes(8);
  begin_following();
  ASSERT_TRUE(wait_for([&] { return known().size() == 8; }));
  const auto requests = api_.requests();
  ASSERT_GE(requests.size(), 3U);
  EXPECT_EQ(requests[0], "GET /api/v1/nodes?limit=500");
  EXPECT_EQ(requests[1], "GET /api/v1/nodes?limit=500&continue=after%3Dnode3");
  EXPECT_EQ(requests[2], "GET /api/v1/nodes?limit=500&continue=after%3Dnode6");
}

TEST_F(KubeSourceTest, APageThatIsGoneBeginsTheListAnew) {
  api_.set([](ApiServer& api) {
    api.page = 3;
    api.faults.continue_gone = 1;
  });
  put_nodes(8);
  begin_following();
  ASSERT_TRUE(wait_for([&] { return known().size() == 8; }));
  EXPECT_THAT(errors(), IsEmpty());
}

TEST_F(KubeSourceTest, PagesThatAreAlwaysGoneAreAnError) {
  api_.set([](ApiServer& api) {
    api.page = 3;
    api.faults.continue_gone = 1000;
  });
  put_nodes(8);
  begin_following();
  ASSERT_TRUE(wait_for([&] { return !errors().empty(); }));
  EXPECT_THAT(errors()[0], HasSubstr("410"));
  EXPECT_EQ(sets(), 0U) << "half a list is none";
}

TEST_F(KubeSourceTest, TheWatchAsksForBookmarksAndHasAnEnd) {
  put_nodes(1);
  begin_following();
  std::vector<std::string> seen;
  ASSERT_TRUE(wait_for([&] {
    for (const auto& request : api_.requests()) seen.push_back(request);
    return seen.size() >= 2;
  }));
  EXPECT_THAT(seen[1], AllOf(StartsWith("GET /api/v1/nodes?watch=true&"), HasSubstr("&allowWatchBookmarks=true"),
                             HasSubstr("&resourceVersion=101&"), HasSubstr("&timeoutSeconds=")));
}

TEST_F(KubeSourceTest, AWatchThatEndedGoesOnFromTheBookmark) {
  put_nodes(1);
  begin_following();
  std::vector<std::string> seen;
  const auto asked_for = [&](const std::string& part) {
    for (const auto& request : api_.requests()) seen.push_back(request);
    return testing::Value(seen, Contains(HasSubstr(part)));
  };
  ASSERT_TRUE(wait_for([&] { return asked_for("watch=true"); }));
  api_.bookmark(5000);
  api_.end_watches();
  ASSERT_TRUE(wait_for([&] { return asked_for("resourceVersion=5000"); }));
  put_nodes(2);
  ASSERT_TRUE(wait_for([&] { return known().size() == 2; }));
  EXPECT_EQ(std::count_if(seen.begin(), seen.end(), [](const auto& request) { return request.find("limit=500") != std::string::npos; }), 1)
      << "listed once";
}

TEST_F(KubeSourceTest, HistoryThatIsGoneIsListedAnew) {
  put_nodes(2);
  begin_following();
  ASSERT_TRUE(wait_for([&] { return known().size() == 2; }));
  api_.set([](ApiServer& api) { api.faults.watch_gone = 1; });
  api_.compact();
  api_.remove("node2");
  ASSERT_TRUE(comes_to_know({"10.244.1.0/24 1.1.1.1"}));
  api_.set([](ApiServer& api) { api.faults.watch_gone_event = 1; });
  api_.end_watches();
  put_nodes(3);
  ASSERT_TRUE(wait_for([&] { return known().size() == 3; }));
  EXPECT_THAT(errors(), IsEmpty());
}

TEST_F(KubeSourceTest, HistoryThatIsAlwaysGoneIsAnErrorAndNoHotLoop) {
  put_nodes(1);
  api_.set([](ApiServer& api) { api.faults.watch_gone = 100000; });
  begin_following();
  ASSERT_TRUE(wait_for([&] { return !errors().empty(); }));
  EXPECT_LE(api_.requests().size(), 6U);
}

TEST_F(KubeSourceTest, WatchesThatEndAtOnceAreAnErrorAndNoHotLoop) {
  put_nodes(1);
  api_.set([](ApiServer& api) { api.faults.watch_ends = 100000; });
  begin_following();
  ASSERT_TRUE(wait_for([&] { return !errors().empty(); }));
  EXPECT_THAT(errors()[0], HasSubstr("as soon as it began"));
}

TEST_F(KubeSourceTest, AnApiServerThatWasAwayIsCaughtUpWithWithoutAList) {
  put_nodes(2);
  begin_following();
  ASSERT_TRUE(wait_for([&] { return known().size() == 2; }));
  api_.stop();
  ASSERT_TRUE(wait_for([&] { return errors().size() >= 3; }));
  EXPECT_EQ(known().size(), 2U);
  api_.requests();
  put_nodes(3);
  api_.restart();
  ASSERT_TRUE(wait_for([&] { return known().size() == 3; }));
  EXPECT_THAT(api_.requests(), Not(Contains(HasSubstr("limit=500"))));
}

TEST_F(KubeSourceTest, AYoungerHistoryIsListedAnew) {
  put_nodes(2);
  begin_following();
  ASSERT_TRUE(wait_for([&] { return known().size() == 2; }));
  api_.bookmark(90000);
  api_.put({.name = "node3", .pod_cidr = "10.244.3.0/24"});
  ASSERT_TRUE(wait_for([&] { return known().size() == 3; }));
  api_.stop();
  api_.remove("node2");
  api_.bookmark(50);
  api_.compact();
  api_.restart();
  ASSERT_TRUE(wait_for([&] { return known().size() == 2; }));
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

TEST_F(KubeSourceTest, ASlowListInSmallPiecesIsRead) {
  put_nodes(5);
  api_.set([](ApiServer& api) { api.faults.no_content_length = true; });
  begin_following();
  ASSERT_TRUE(wait_for([&] { return known().size() == 5; }));
}

class LyingServer : public KubeSourceTest, public testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Kube, LyingServer,
                         testing::Values("", "x", "[]", "{}", R"({"items":[]})", R"({"metadata":{"resourceVersion":7},"items":[]})",
                                         R"({"metadata":{"resourceVersion":"7&x=1"},"items":[]})",
                                         R"({"metadata":{"resourceVersion":"7"},"items":[{}]})",
                                         R"({"metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"a","annotations":{"flannel.)",
                                         R"({"metadata":{"resourceVersion":"7"},"items":[)"));

TEST_P(LyingServer, GivesAnErrorAndNoLeases) {
  api_.set([](ApiServer& api) { api.faults.list = GetParam(); });
  begin_following();
  ASSERT_TRUE(wait_for([&] { return !errors().empty(); }));
  EXPECT_EQ(sets(), 0U) << GetParam();
}

TEST_F(KubeSourceTest, AListThatNeverEndsEnds) {
  api_.set([](ApiServer& api) { api.faults.list = R"({"metadata":{"resourceVersion":"7","continue":"x"},"items":[]})"; });
  begin_following();
  ASSERT_TRUE(wait_for([&] { return !errors().empty(); }));
  EXPECT_THAT(errors()[0], HasSubstr("does not end"));
}

TEST_F(KubeSourceTest, AWatchThatTalksNonsenseIsFollowedByANewList) {
  put_nodes(2);
  for (const char* nonsense :
       {"x", R"({"type":"ADDED","object":{}})", R"({"type":"DANCED","object":{"metadata":{"name":"a"}}})", R"({"type":"ADDED","obj)"}) {
    SCOPED_TRACE(nonsense);
    api_.set([&](ApiServer& api) { api.faults.watch = nonsense; });
    const size_t before = errors().size();
    if (!follower_.joinable()) begin_following();
    api_.end_watches();
    ASSERT_TRUE(wait_for([&] { return errors().size() > before + 1; }));
    api_.set([&](ApiServer& api) { api.faults.watch.reset(); });
    ASSERT_TRUE(wait_for([&] { return known().size() == 2; }));
  }
  put_nodes(4);
  ASSERT_TRUE(wait_for([&] { return known().size() == 4; }));
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

TEST_F(KubeSourceTest, TheStopSignalEndsAWatch) {
  put_nodes(1);
  begin_following();
  ASSERT_TRUE(wait_for([&] { return sets() == 1; }));
  const auto begun = std::chrono::steady_clock::now();
  end_following();
  EXPECT_LT(std::chrono::steady_clock::now() - begun, 20s) << "a watch lasts minutes";
}

long peak_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

// 5,000 Nodes of 40 kB: 200 MB, of which nothing but the leases is kept.
TEST(KubeMemory, DoesNotGrowWithTheSizeOfNodes) {
  const AnnotationNames names = annotation_names();
  NodeLeases kept;
  KubeListReader reader(names, [&](const KubeNode& node) {
    kept.emplace(node.name, *read_node_lease(node, names));
    return ok();
  });
  JsonPush json(reader);
  const std::string item = NodeText{.name = "NAME", .pod_cidr = "10.244.1.0/24", .ballast = 40000}.text();
  const size_t name = item.find("NAME");
  const long before = peak_kib();
  ASSERT_TRUE(json.feed(R"({"items":[)"));
  for (int i = 0; i < 5000; ++i) {
    ASSERT_TRUE(json.feed(i > 0 ? "," : ""));
    ASSERT_TRUE(json.feed(std::string_view(item).substr(0, name)));
    ASSERT_TRUE(json.feed("node" + std::to_string(i)));
    ASSERT_TRUE(json.feed(std::string_view(item).substr(name + 4)));
  }
  ASSERT_TRUE(json.feed(R"(],"metadata":{"resourceVersion":"1"}})"));
  EXPECT_TRUE(reader.complete);
  EXPECT_EQ(kept.size(), 5000U);
  EXPECT_LT(peak_kib() - before, 20L * 1024);
}

}  // namespace
}  // namespace merino
