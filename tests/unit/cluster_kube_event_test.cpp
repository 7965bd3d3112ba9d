#include <nlohmann/json.hpp>

#include "support/kube_source_fixture.h"

namespace merino {
namespace cluster_kube_event_test {

using nlohmann::json;
using test::KubeSourceTest;

const OperatorNotice kConflict{"SubnetConflict", "lease x overlaps; do this"};

TEST_F(KubeSourceTest, ANoticeIsAnEventOfTheNode) {
  ASSERT_TRUE(source().tell(kConflict));
  const auto events = api_.events();
  ASSERT_EQ(events.size(), 1U);
  const json& event = events.begin()->second;
  EXPECT_EQ(event.at("reason"), "SubnetConflict");
  EXPECT_EQ(event.at("message"), kConflict.message);
  EXPECT_EQ(event.at("type"), "Warning");
  EXPECT_EQ(event.at("involvedObject").at("kind"), "Node");
  EXPECT_EQ(event.at("involvedObject").at("name"), "node1");
  EXPECT_EQ(event.at("involvedObject").at("uid"), "node1") << "what kubectl describe looks for";
  EXPECT_EQ(event.at("count"), 1);
}

TEST_F(KubeSourceTest, ToldAgainItIsCountedUp) {
  ASSERT_TRUE(source().tell(kConflict));
  ASSERT_TRUE(source().tell({"MtuMismatch", "another"}));
  ASSERT_TRUE(source().tell(kConflict));
  const auto events = api_.events();
  ASSERT_EQ(events.size(), 2U);
  int counted = 0;
  for (const auto& [name, event] : events) counted += event.at("count").get<int>();
  EXPECT_EQ(counted, 3);
}

TEST_F(KubeSourceTest, AnEventThatTheServerForgotIsMadeAnew) {
  ASSERT_TRUE(source().tell(kConflict));
  api_.forget_events();
  ASSERT_TRUE(source().tell(kConflict));
  EXPECT_EQ(api_.events().size(), 1U);
}

TEST_F(KubeSourceTest, WithoutTheRightToWriteEventsTheErrorSaysWhich) {
  api_.set([](auto& api) { api.faults.status = 403; });
  const auto told = source().tell(kConflict);
  ASSERT_FALSE(told);
  EXPECT_THAT(told.error().message(), testing::HasSubstr("events create, patch"));
}

}  // namespace cluster_kube_event_test
}  // namespace merino
