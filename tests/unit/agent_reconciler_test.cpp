#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/reconciler.h"

namespace merino {
namespace agent_reconciler_test {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::IsEmpty;
using Clock = Reconciler::Clock;

constexpr Clock::time_point kStart{std::chrono::hours(1)};

// A step whose outcome the test decides.
struct FakeStep {
  int runs = 0;
  Result<bool> outcome = false;
  Result<bool> run() {
    ++runs;
    return outcome;
  }
};

class ReconcilerTest : public testing::Test {
 protected:
  void add(FakeStep& step, const std::string& name, unsigned causes, std::vector<std::string> needs = {}) {
    reconciler_.add({.name = name, .causes = causes, .needs = std::move(needs), .run = [&step] { return step.run(); }});
  }
  StepCondition condition(size_t index) { return reconciler_.states()[index].condition; }

  std::vector<std::string> heard_;
  Reconciler reconciler_{[this](const StepState& now, StepCondition) { heard_.push_back(now.name + "/" + now.error); }};
};

tl::unexpected<Error> broken(const std::string& why = "broken") { return fail(ErrorKind::system, "{}", why); }

TEST_F(ReconcilerTest, AStepRunsForItsOwnCausesAndForTheFullCheck) {
  FakeStep network;
  FakeStep rules;
  add(network, "network", cause::kNetwork);
  add(rules, "rules", cause::kRules);
  reconciler_.run(cause::kLeases, kStart);
  EXPECT_EQ(network.runs, 1) << "a step that never ran is due, whatever the cause";
  reconciler_.run(cause::kNetwork, kStart);
  reconciler_.run(cause::kLeases, kStart);
  EXPECT_EQ(network.runs, 2);
  EXPECT_EQ(rules.runs, 1);
  reconciler_.run(cause::kFull, kStart);
  EXPECT_EQ(network.runs, 3);
  EXPECT_EQ(rules.runs, 2);
}

TEST_F(ReconcilerTest, BackoffDoublesFrom250MillisecondsToTenSeconds) {
  FakeStep step;
  step.outcome = broken();
  add(step, "step", cause::kRules);
  auto now = kStart;
  reconciler_.run(cause::kFull, now);
  for (const int wait : {250, 500, 1000, 2000, 4000, 8000, 10000, 10000}) {
    ASSERT_EQ(reconciler_.next_retry(), now + milliseconds(wait));
    const int runs = step.runs;
    reconciler_.run(cause::kFull, now + milliseconds(wait - 1));
    EXPECT_EQ(step.runs, runs) << "too early after " << wait << " ms";
    now += milliseconds(wait);
    reconciler_.run(0, now);
    EXPECT_EQ(step.runs, runs + 1);
  }
  step.outcome = true;
  reconciler_.run(0, now + milliseconds(10000));
  EXPECT_EQ(condition(0), StepCondition::ok);
  EXPECT_EQ(reconciler_.next_retry(), std::nullopt);
  step.outcome = broken();
  reconciler_.run(cause::kFull, now);
  EXPECT_EQ(reconciler_.next_retry(), now + milliseconds(250)) << "a success begins anew";
}

TEST_F(ReconcilerTest, AnEventBringsARetryForwardButNotWithoutPause) {
  FakeStep step;
  step.outcome = broken();
  add(step, "step", cause::kNetwork);
  auto now = kStart;
  for (int i = 0; i < 6; i++) reconciler_.run(0, now += milliseconds(10000));
  const int runs = step.runs;
  ASSERT_EQ(reconciler_.next_retry(), now + milliseconds(8000));
  reconciler_.run(cause::kLeases, now + milliseconds(100));
  EXPECT_EQ(reconciler_.next_retry(), now + milliseconds(8000)) << "not its cause";
  reconciler_.run(cause::kNetwork, now + milliseconds(100));
  EXPECT_EQ(step.runs, runs) << "its own failure may have caused the event";
  EXPECT_EQ(reconciler_.next_retry(), now + milliseconds(1000));
}

TEST_F(ReconcilerTest, EachErrorIsToldOnce) {
  FakeStep step;
  step.outcome = broken("first");
  add(step, "step", 0);
  auto now = kStart;
  for (int i = 0; i < 3; i++) reconciler_.run(cause::kFull, now += milliseconds(10000));
  EXPECT_THAT(heard_, ElementsAre("step/first"));
  step.outcome = broken("second");
  reconciler_.run(cause::kFull, now += milliseconds(10000));
  step.outcome = false;
  for (int i = 0; i < 3; i++) reconciler_.run(cause::kFull, now += milliseconds(10000));
  EXPECT_THAT(heard_, ElementsAre("step/first", "step/second", "step/"));
}

TEST_F(ReconcilerTest, AStepWaitsForWhatItNeedsUntilThatSucceededOnce) {
  FakeStep device;
  FakeStep route;
  device.outcome = broken();
  add(device, "device", cause::kNetwork);
  add(route, "route", cause::kNetwork, {"device"});
  reconciler_.run(cause::kFull, kStart);
  EXPECT_EQ(route.runs, 0);
  EXPECT_EQ(condition(1), StepCondition::waiting);
  EXPECT_EQ(reconciler_.states()[1].error, "waits for device");

  device.outcome = true;
  reconciler_.run(0, kStart + milliseconds(250));
  EXPECT_EQ(route.runs, 1);
  device.outcome = broken();
  reconciler_.run(cause::kFull, kStart + milliseconds(500));
  EXPECT_EQ(route.runs, 2) << "a device that was there once may fail without stopping the rest";
  EXPECT_EQ(condition(0), StepCondition::failed);
  EXPECT_EQ(condition(1), StepCondition::ok);
}

TEST_F(ReconcilerTest, AChangeRunsTheStepsThatBuildOnIt) {
  FakeStep device;
  FakeStep programs;
  FakeStep rules;
  add(device, "device", cause::kNetwork);
  add(programs, "programs", 0, {"device"});
  add(rules, "rules", cause::kRules);
  reconciler_.run(cause::kFull, kStart);
  ASSERT_EQ(programs.runs, 1);
  reconciler_.run(cause::kNetwork, kStart);
  EXPECT_EQ(programs.runs, 1) << "nothing changed";
  device.outcome = true;
  reconciler_.run(cause::kNetwork, kStart);
  EXPECT_EQ(programs.runs, 2);
  EXPECT_EQ(rules.runs, 1);
}

TEST_F(ReconcilerTest, OneFailureDoesNotStopTheOthers) {
  FakeStep first;
  FakeStep second;
  first.outcome = broken();
  add(first, "first", 0);
  add(second, "second", 0);
  reconciler_.run(cause::kFull, kStart);
  EXPECT_EQ(second.runs, 1);
  EXPECT_EQ(condition(1), StepCondition::ok);
}

TEST_F(ReconcilerTest, NothingToDoIsNothingToSay) {
  EXPECT_EQ(reconciler_.next_retry(), std::nullopt);
  reconciler_.run(cause::kFull, kStart);
  EXPECT_THAT(heard_, IsEmpty());
}

TEST_F(ReconcilerTest, CountsWhatWasMended) {
  FakeStep device;
  FakeStep route;
  add(device, "device", cause::kNetwork);
  add(route, "route", cause::kNetwork, {"device"});
  const auto heals = [&](size_t index) { return reconciler_.states()[index].counts.heals; };
  device.outcome = true;
  route.outcome = true;
  reconciler_.run(cause::kFull, kStart);
  EXPECT_EQ(heals(0) + heals(1), 0U) << "made for the first time";
  device.outcome = false;
  reconciler_.run(cause::kNetwork, kStart);
  EXPECT_EQ(heals(0), 0U);
  EXPECT_EQ(heals(1), 1U) << "the route alone was gone";
  device.outcome = true;
  reconciler_.run(cause::kNetwork, kStart);
  EXPECT_EQ(heals(0), 1U);
  EXPECT_EQ(heals(1), 1U) << "it went with its device, and follows it";
  device.outcome = broken();
  reconciler_.run(cause::kNetwork, kStart);
  const StepCounts counts = reconciler_.states()[0].counts;
  EXPECT_EQ(counts.runs, 4U);
  EXPECT_EQ(counts.failures, 1U);
}

}  // namespace agent_reconciler_test
}  // namespace merino
