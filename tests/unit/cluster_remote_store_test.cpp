#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>
#include <thread>

#include "cluster/remote_store.h"

namespace merino {
namespace cluster_remote_store_test {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::HasSubstr;

Lease lease_of(const std::string& subnet, const std::string& public_ip) {
  Lease lease;
  lease.subnet = *Prefix::parse(subnet);
  lease.attributes.public_ip = *IpAddress::parse(public_ip);
  lease.expires = kNeverExpires;
  return lease;
}

// A source whose connection the test holds in its hands.
class FakeSource final : public LeaseSource {
 public:
  explicit FakeSource(const StopSignal& stop) : stop_(stop) {}

  [[nodiscard]] std::string name() const override { return "the fake"; }
  Result<NetConf> load_conf(const std::string& path) override {
    return parse_net_conf(R"({"Network":"10.1.0.0/16","Backend":{"Type":"vxlan"}})", path);
  }
  Result<NodeHints> hints() override { return NodeHints{.public_ip = IpAddress::parse("192.0.2.9").value(), .published = {}}; }
  Result<Lease> acquire(const NetConf&, const LeaseRequest&) override { return lease_of("10.1.1.0/24", "192.0.2.1"); }
  Result<Lease> renew(const Lease& lease) override {
    std::unique_lock guard(lock_);
    ++renewals_;
    changed_.notify_all();
    changed_.wait(guard, [this] { return !held_ || stop_.is_raised(); });
    if (refusal_) return tl::unexpected(*refusal_);
    Lease renewed = lease;
    renewed.attributes.backend_type = "renewed";
    return renewed;
  }
  Status mark_ready() override { return fail(ErrorKind::invalid, "forbidden"); }

  Status follow(const std::function<void(LeaseSet)>& changed) override {
    std::unique_lock guard(lock_);
    ++connections_;
    begun_.push_back(std::chrono::steady_clock::now());
    changed_.notify_all();
    while (!stop_.is_raised()) {
      if (refusal_) return tl::unexpected(*refusal_);
      while (!sets_.empty()) {
        changed(sets_.front());
        sets_.pop_front();
      }
      changed_.wait_for(guard, milliseconds(5));
    }
    return fail(ErrorKind::unavailable, "stopped");
  }

  void give(LeaseSet set) {
    const std::lock_guard guard(lock_);
    sets_.push_back(std::move(set));
  }
  void refuse(std::optional<Error> why) {
    const std::lock_guard guard(lock_);
    refusal_ = std::move(why);
  }
  void hold(bool held) {
    const std::lock_guard guard(lock_);
    held_ = held;
    changed_.notify_all();
  }
  int renewals() {
    const std::lock_guard guard(lock_);
    return renewals_;
  }
  void await_connections(int count) {
    std::unique_lock guard(lock_);
    changed_.wait(guard, [&] { return connections_ >= count; });
  }
  // The time from each connection to the next.
  std::vector<milliseconds> pauses() {
    const std::lock_guard guard(lock_);
    std::vector<milliseconds> out;
    for (size_t i = 1; i < begun_.size(); ++i) out.push_back(std::chrono::duration_cast<milliseconds>(begun_[i] - begun_[i - 1]));
    return out;
  }

 private:
  const StopSignal& stop_;
  std::mutex lock_;
  std::condition_variable changed_;
  std::deque<LeaseSet> sets_;
  std::optional<Error> refusal_;
  bool held_ = false;
  int renewals_ = 0;
  int connections_ = 0;
  std::vector<std::chrono::steady_clock::time_point> begun_;
};

class RemoteStore : public testing::Test {
 protected:
  RemoteStore() {
    auto stop = std::make_unique<StopSignal>(*StopSignal::open());
    auto source = std::make_unique<FakeSource>(*stop);
    source_ = source.get();
    store_ = *open_remote_store(std::move(source), std::move(stop), {milliseconds(1), milliseconds(10), milliseconds(50)});
  }

  // Waits for the store's events until `condition` holds.
  template <class Condition>
  bool await(const Condition& condition) {
    const auto deadline = std::chrono::steady_clock::now() + seconds(20);
    while (std::chrono::steady_clock::now() < deadline) {
      if (condition()) return true;
      pollfd event{.fd = store_->event_fd(), .events = POLLIN, .revents = 0};
      if (::poll(&event, 1, 100) > 0) store_->drain_events();
    }
    return false;
  }

  [[nodiscard]] size_t known() { return store_->list() ? store_->list()->leases.size() : 0; }

  const LeaseSet one_{{lease_of("10.1.1.0/24", "192.0.2.1")}, {}};
  const LeaseSet two_{{lease_of("10.1.1.0/24", "192.0.2.1"), lease_of("10.1.2.0/24", "192.0.2.2")}, {}};
  const Error away_{ErrorKind::unavailable, "connection refused", "", 0};
  FakeSource* source_;
  std::unique_ptr<LeaseStore> store_;
};

TEST_F(RemoteStore, GivesTheNewestSetAndSaysWhenItChanges) {
  EXPECT_THAT(store_->list().error().message(), HasSubstr("the fake has not answered yet"));
  source_->give(one_);
  EXPECT_TRUE(await([&] { return known() == 1; }));
  source_->give(two_);
  EXPECT_TRUE(await([&] { return known() == 2; }));
}

TEST_F(RemoteStore, ASourceThatIsAwayIsNamedAndComesBack) {
  source_->give(two_);
  ASSERT_TRUE(await([&] { return known() == 2; }));
  source_->refuse(away_);
  ASSERT_TRUE(await([&] { return !store_->list(); }));
  EXPECT_EQ(store_->list().error().kind, ErrorKind::unavailable);
  EXPECT_THAT(store_->list().error().message(), HasSubstr("the fake is away since "));
  EXPECT_THAT(store_->list().error().message(), HasSubstr("the network goes on with what is known: connection refused"));
  source_->give(one_);
  source_->refuse(std::nullopt);
  EXPECT_TRUE(await([&] { return known() == 1; }));
}

TEST_F(RemoteStore, AConnectionThatEndsIsMadeAgain) {
  source_->await_connections(1);
  source_->refuse(away_);
  source_->await_connections(4);
  source_->refuse(std::nullopt);
  source_->give(one_);
  EXPECT_TRUE(await([&] { return known() == 1; }));
}

// Of a source that answers nobody: each pause may be twice the one before, up to the longest, and is at least half of that.
TEST(RemoteStoreBackoff, GrowsToItsLongest) {
  auto stop = std::make_unique<StopSignal>(*StopSignal::open());
  auto source = std::make_unique<FakeSource>(*stop);
  FakeSource& fake = *source;
  fake.refuse(Error{ErrorKind::unavailable, "connection refused", "", 0});
  const auto store = *open_remote_store(std::move(source), std::move(stop), {milliseconds(40), milliseconds(160), milliseconds(10)});
  fake.await_connections(6);
  const auto pauses = fake.pauses();
  const int least[] = {20, 40, 80, 80, 80};
  for (size_t i = 0; i < std::size(least); ++i) EXPECT_GE(pauses[i], milliseconds(least[i])) << i;
}

// Nodes that lost the same server at the same moment must not come back at the same moment.
TEST(RemoteStoreBackoff, HasJitterFromHalfToWhole) {
  for (const auto backoff : {milliseconds(1), milliseconds(100), milliseconds(5000)}) {
    EXPECT_EQ(with_jitter(backoff, 0), backoff / 2);
    std::set<milliseconds> seen;
    for (unsigned random = 0; random < 10000; ++random) seen.insert(with_jitter(backoff, random));
    EXPECT_GE(*seen.begin(), backoff / 2);
    EXPECT_LE(*seen.rbegin(), backoff);
    EXPECT_GE(seen.size(), static_cast<size_t>(backoff.count() / 2)) << "every moment between";
  }
}

TEST_F(RemoteStore, ARenewalShowsInTheSetAtOnce) {
  source_->give(one_);
  ASSERT_TRUE(await([&] { return known() == 1; }));
  const auto renewed = store_->renew(two_.leases[1]);
  ASSERT_TRUE(renewed) << renewed.error().message();
  EXPECT_EQ(renewed->attributes.backend_type, "renewed");
  ASSERT_EQ(known(), 2U);
  EXPECT_EQ(store_->list()->leases[1], *renewed);
  ASSERT_TRUE(store_->renew(one_.leases[0]));
  EXPECT_EQ(known(), 2U);
  EXPECT_EQ(store_->list()->leases[0].attributes.backend_type, "renewed");
}

TEST_F(RemoteStore, ARenewalWithOtherSubnetsTakesThePlaceOfTheOldOnes) {
  LeaseSet set = two_;
  Lease both = set.leases[1];
  both.subnet.v6 = *Prefix::parse("fd10:0:0:2::/64");
  set.leases = {set.leases[0], both, lease_of("10.1.3.0/24", "192.0.2.3")};
  source_->give(set);
  ASSERT_TRUE(await([&] { return known() == 3; }));
  Lease own = set.leases[1];
  own.subnet.v4.reset();
  ASSERT_TRUE(store_->renew(own));
  ASSERT_EQ(known(), 3U);
  EXPECT_EQ(store_->list()->leases[0].subnet, own.subnet) << "in order";
  own.subnet = {*Prefix::parse("10.1.2.0/24"), own.subnet.v6};
  ASSERT_TRUE(store_->renew(own));
  ASSERT_EQ(known(), 3U);
  EXPECT_EQ(store_->list()->leases[1].subnet, own.subnet);
}

TEST_F(RemoteStore, ASlowRenewalIsAskedForOnceAndItsAnswerKept) {
  source_->give(one_);
  source_->hold(true);
  for (int i = 0; i < 3; ++i) {
    const auto pending = store_->renew(one_.leases[0]);
    ASSERT_FALSE(pending);
    EXPECT_EQ(pending.error().kind, ErrorKind::unavailable);
    EXPECT_THAT(pending.error().message(), HasSubstr("the renewal of the lease is not answered yet"));
  }
  source_->hold(false);
  EXPECT_TRUE(await([&] { return store_->renew(one_.leases[0]).has_value(); }));
  EXPECT_EQ(source_->renewals(), 1);
}

TEST_F(RemoteStore, ErrorsOfTheSourceArePassedOn) {
  source_->refuse(Error{ErrorKind::exists, "another node has it", "", 0});
  EXPECT_EQ(store_->renew(one_.leases[0]).error().kind, ErrorKind::exists);
  EXPECT_THAT(store_->mark_ready().error().message(), HasSubstr("forbidden"));
  EXPECT_EQ(store_->acquire({}, {})->subnet.v4->to_string(), "10.1.1.0/24");
  EXPECT_EQ(store_->hints()->public_ip.v4->to_string(), "192.0.2.9");
  EXPECT_EQ(store_->load_conf("f")->networks().v4->to_string(), "10.1.0.0/16");
}

TEST_F(RemoteStore, EndsInTheMiddleOfARenewal) {
  source_->hold(true);
  EXPECT_FALSE(store_->renew(one_.leases[0]));
  std::thread releaser([this] { source_->hold(false); });
  releaser.join();
  store_.reset();
}

}  // namespace cluster_remote_store_test
}  // namespace merino
