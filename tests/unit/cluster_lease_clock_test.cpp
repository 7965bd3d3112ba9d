// The wall clock is set while leases are known: nobody's ends early, and none lives on for ever.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/lease_directory.h"
#include "support/lease_dir.h"

namespace merino {
namespace cluster_lease_clock_test {

using namespace std::chrono_literals;
using namespace test;
using std::chrono::nanoseconds;
using testing::ElementsAre;
using testing::IsEmpty;

// The test's clocks: one that runs, and one that is set.
class LeaseClocks : public testing::Test {
 protected:
  [[nodiscard]] Moment now() const { return {start_.wall + run_ + set_, start_.boot + run_}; }
  void pass(nanoseconds time) { run_ += time; }
  void set_ahead(nanoseconds by) { set_ += by; }

  std::vector<std::string> alive() {
    EXPECT_TRUE(directory_.refresh(now()));
    std::vector<std::string> out;
    for (const Lease& lease : make_lease_set(directory_.files(), now().wall, nullptr).leases) out.push_back(to_string(lease.subnet));
    return out;
  }
  [[nodiscard]] nanoseconds left() const { return directory_.files().at(kKey).lease->expires - now().wall; }

  static constexpr const char* kKey = "10.244.1.0-24";
  const Moment start_ = Moment::now();
  nanoseconds run_{0};
  nanoseconds set_{0};
  const LeaseDir dir_;
  LeaseDirectory directory_{dir_.subnets(), start_};
};

TEST_F(LeaseClocks, ALeaseKeepsTheTimeThatItHadLeft) {
  dir_.write_lease(kKey, "1.1.1.1");
  dir_.set_age(kKey, 20h);
  pass(3s);
  ASSERT_THAT(alive(), ElementsAre("10.244.1.0/24"));
  set_ahead(30h);
  EXPECT_THAT(alive(), ElementsAre("10.244.1.0/24"));
  EXPECT_GT(left(), 3h);
  EXPECT_LE(left(), 4h);
  EXPECT_FALSE(directory_.refresh(now()).value()) << "one change for one jump";
  pass(4h);
  EXPECT_THAT(alive(), IsEmpty()) << "and no longer";
}

TEST_F(LeaseClocks, AClockThatWasDecadesBehindKeepsNobodyForDecades) {
  set_ahead(-(20 * 365 * 24h));
  directory_ = LeaseDirectory(dir_.subnets(), now());
  dir_.write_lease(kKey, "1.1.1.1");
  ASSERT_THAT(alive(), ElementsAre("10.244.1.0/24"));
  set_ahead(20 * 365 * 24h);
  pass(3s);  // a file that is younger is read again each time
  EXPECT_THAT(alive(), ElementsAre("10.244.1.0/24"));
  EXPECT_LE(left(), kLeaseTtl + 1min);
  pass(kLeaseTtl + 1min);
  EXPECT_THAT(alive(), IsEmpty());
}

// The files are on a server whose clock is right.
TEST_F(LeaseClocks, ARenewalIsNewThoughItsTimeIsOldByAWrongClock) {
  dir_.write_lease(kKey, "1.1.1.1");
  dir_.set_age(kKey, 20h);
  ASSERT_THAT(alive(), ElementsAre("10.244.1.0/24"));
  set_ahead(30h);
  ASSERT_THAT(alive(), ElementsAre("10.244.1.0/24"));
  pass(3h);
  dir_.set_age(kKey, -3h);
  EXPECT_THAT(alive(), ElementsAre("10.244.1.0/24"));
  EXPECT_GT(left(), 23h);
  pass(20h);
  EXPECT_THAT(alive(), ElementsAre("10.244.1.0/24"));
}

TEST_F(LeaseClocks, SetBackNothingEnds) {
  dir_.write_lease(kKey, "1.1.1.1");
  ASSERT_THAT(alive(), ElementsAre("10.244.1.0/24"));
  set_ahead(-30h);
  EXPECT_THAT(alive(), ElementsAre("10.244.1.0/24"));
  set_ahead(30h);
  EXPECT_THAT(alive(), ElementsAre("10.244.1.0/24"));
  EXPECT_LE(left(), kLeaseTtl + 1min);
}

TEST_F(LeaseClocks, AReservationNeverEnds) {
  dir_.write_lease(kKey, "1.1.1.1");
  dir_.reserve(kKey);
  ASSERT_THAT(alive(), ElementsAre("10.244.1.0/24"));
  set_ahead(30h);
  EXPECT_THAT(alive(), ElementsAre("10.244.1.0/24"));
  EXPECT_EQ(directory_.files().at(kKey).lease->expires, kNeverExpires);
}

}  // namespace cluster_lease_clock_test
}  // namespace merino
