// How a node keeps up with the other nodes.
#include <sys/resource.h>

#include "cluster/kube_lease.h"
#include "support/kube_source_fixture.h"

namespace merino {
namespace cluster_kube_follow_test {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using testing::AllOf;
using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class KubeFollowTest : public KubeSourceTest {};

TEST_F(KubeFollowTest, FollowsNodesAsTheyComeChangeAndGo) {
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

TEST_F(KubeFollowTest, AnEventThatChangesNothingIsNotTold) {
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

TEST_F(KubeFollowTest, ListsInPages) {
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

TEST_F(KubeFollowTest, APageThatIsGoneBeginsTheListAnew) {
  api_.set([](ApiServer& api) {
    api.page = 3;
    api.faults.continue_gone = 1;
  });
  put_nodes(8);
  begin_following();
  ASSERT_TRUE(wait_for([&] { return known().size() == 8; }));
  EXPECT_THAT(errors(), IsEmpty());
}

TEST_F(KubeFollowTest, PagesThatAreAlwaysGoneAreAnError) {
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

TEST_F(KubeFollowTest, TheWatchAsksForBookmarksAndHasAnEnd) {
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

TEST_F(KubeFollowTest, AWatchThatEndedGoesOnFromTheBookmark) {
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

TEST_F(KubeFollowTest, HistoryThatIsGoneIsListedAnew) {
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
  // The watch may have been too young to be ended; the source then says so and is asked again.
  EXPECT_THAT(errors(), Each(HasSubstr("it ended as soon as it began")));
}

TEST_F(KubeFollowTest, HistoryThatIsAlwaysGoneIsAnErrorAndNoHotLoop) {
  put_nodes(1);
  api_.set([](ApiServer& api) { api.faults.watch_gone = 100000; });
  begin_following();
  ASSERT_TRUE(wait_for([&] { return !errors().empty(); }));
  EXPECT_LE(api_.requests().size(), 6U);
}

TEST_F(KubeFollowTest, WatchesThatEndAtOnceAreAnErrorAndNoHotLoop) {
  put_nodes(1);
  api_.set([](ApiServer& api) { api.faults.watch_ends = 100000; });
  begin_following();
  ASSERT_TRUE(wait_for([&] { return !errors().empty(); }));
  EXPECT_THAT(errors()[0], HasSubstr("as soon as it began"));
}

TEST_F(KubeFollowTest, AnApiServerThatWasAwayIsCaughtUpWithWithoutAList) {
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

TEST_F(KubeFollowTest, AYoungerHistoryIsListedAnew) {
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

TEST_F(KubeFollowTest, ASlowListInSmallPiecesIsRead) {
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

TEST_F(KubeFollowTest, AListThatNeverEndsEnds) {
  api_.set([](ApiServer& api) { api.faults.list = R"({"metadata":{"resourceVersion":"7","continue":"x"},"items":[]})"; });
  begin_following();
  ASSERT_TRUE(wait_for([&] { return !errors().empty(); }));
  EXPECT_THAT(errors()[0], HasSubstr("does not end"));
}

TEST_F(KubeFollowTest, AWatchThatTalksNonsenseIsFollowedByANewList) {
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

TEST_F(KubeFollowTest, TheStopSignalEndsAWatch) {
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

}  // namespace cluster_kube_follow_test
}  // namespace merino
