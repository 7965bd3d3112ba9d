// The own lease is kept, whatever happens to it in the store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/steps.h"

namespace merino {
namespace agent_lease_test {

using testing::HasSubstr;
using testing::SizeIs;

Prefix prefix(const std::string& text) { return *Prefix::parse(text); }
IpAddress ip(const std::string& text) { return *IpAddress::parse(text); }
std::chrono::system_clock::time_point in(std::chrono::minutes time) { return std::chrono::system_clock::now() + time; }

class FakeStore : public LeaseStore {
 public:
  Result<LeaseSet> list() override { return listing; }
  Result<Lease> acquire(const NetConf&, const LeaseRequest&) override { return fail(ErrorKind::unsupported, "not here"); }
  Result<Lease> renew(const Lease& lease) override {
    renewed.push_back(lease);
    if (renewal_error) return tl::unexpected(*renewal_error);
    Lease fresh = lease;
    fresh.expires = in(longest_left);
    listing->leases = {fresh};
    return fresh;
  }
  [[nodiscard]] int event_fd() const override { return -1; }
  bool drain_events() override { return false; }

  Result<LeaseSet> listing = LeaseSet{};
  std::optional<Error> renewal_error;
  std::vector<Lease> renewed;
  std::chrono::minutes longest_left = std::chrono::hours(24);  // of a lease that was just renewed
};

class LeaseStep : public testing::Test {
 protected:
  LeaseStep() : netlink_(Netlink::open().value()) {
    node_.conf.pools.v4 = SubnetPool{.network = prefix("10.244.0.0/16"), .subnet_len = 24, .subnet_min = {}, .subnet_max = {}};
    node_.uplink = {2, "eth0", 1500, ip("192.168.88.12"), ip("192.168.88.12")};
    node_.vtep_mac.v4 = *MacAddress::parse("46:65:8d:36:f7:4e");
    node_.lease = {prefix("10.244.98.0/24"), lease_attributes(node_), in(std::chrono::hours(24))};
    store_.listing->leases = {node_.lease};
  }

  void change_listed(const std::function<void(Lease&)>& change) {
    Lease lease = store_.listing->leases[0];
    change(lease);
    store_.listing->leases = {lease};
  }

  Node node_;
  FakeStore store_;
  Netlink netlink_;
  Site site_{node_, store_, netlink_};
};

TEST_F(LeaseStep, ALeaseInOrderIsLeftAlone) {
  EXPECT_FALSE(keep_lease(site_).value());
  EXPECT_TRUE(follow_leases(site_).value()) << "the first look brings the leases";
  EXPECT_FALSE(keep_lease(site_).value());
  EXPECT_FALSE(follow_leases(site_).value());
  EXPECT_THAT(store_.renewed, SizeIs(0));
}

// Two nodes with one public address take one lease for theirs.
TEST_F(LeaseStep, ALeaseThatAnotherNodeWritesIsNotFoughtOverForEver) {
  site_.written = node_.lease.attributes;
  const auto other_writes = [this] {
    change_listed([](Lease& lease) { lease.attributes.vxlan.v4->vtep_mac = *MacAddress::parse("02:00:00:00:00:09"); });
  };
  for (size_t times = 1; times <= 6; ++times) {
    other_writes();
    ASSERT_TRUE(keep_lease(site_)) << "a hand may have done it";
    EXPECT_THAT(store_.renewed, SizeIs(times));
  }
  other_writes();
  const auto contested = keep_lease(site_);
  ASSERT_FALSE(contested);
  EXPECT_THAT(contested.error().message(),
              testing::AllOf(HasSubstr("another node writes this node's lease of 10.244.98.0/24 again and again"),
                             HasSubstr("02:00:00:00:00:09"), HasSubstr("--public-ip")));
  EXPECT_THAT(store_.renewed, SizeIs(6));

  site_.put_right.front() -= std::chrono::minutes(11);
  EXPECT_TRUE(keep_lease(site_)) << "tried again after a while";
  node_.vtep_mac.v4 = *MacAddress::parse("02:00:00:00:00:0a");
  EXPECT_TRUE(keep_lease(site_)) << "what this node has to say is said";
}

TEST_F(LeaseStep, RenewedWithinTheMarginAndNotBefore) {
  change_listed([](Lease& lease) { lease.expires = in(std::chrono::minutes(61)); });
  ASSERT_TRUE(keep_lease(site_));
  EXPECT_THAT(store_.renewed, SizeIs(0));
  change_listed([](Lease& lease) { lease.expires = in(std::chrono::minutes(60)); });
  ASSERT_TRUE(keep_lease(site_));
  ASSERT_THAT(store_.renewed, SizeIs(1));
  EXPECT_EQ(store_.renewed[0].subnet, prefix("10.244.98.0/24"));
  EXPECT_GT(node_.lease.expires, in(std::chrono::hours(23)));

  node_.options.renew_margin = std::chrono::minutes(1439);
  change_listed([](Lease& lease) { lease.expires = in(std::chrono::minutes(1438)); });
  ASSERT_TRUE(keep_lease(site_));
  EXPECT_THAT(store_.renewed, SizeIs(2)) << "another margin";
}

// A day later by the clock that nobody sets, whatever the other one says.
TEST_F(LeaseStep, AClockThatWasSetBackDelaysNoRenewal) {
  change_listed([](Lease& lease) { lease.expires = in(std::chrono::hours(24 + 30)); });
  ASSERT_TRUE(keep_lease(site_));
  EXPECT_THAT(store_.renewed, SizeIs(0));
  EXPECT_LE(node_.lease.expires, in(std::chrono::hours(24))) << "what is told is how long it will be";
  site_.renewal.at -= std::chrono::hours(23);
  ASSERT_TRUE(keep_lease(site_));
  EXPECT_THAT(store_.renewed, SizeIs(1));
  ASSERT_TRUE(keep_lease(site_));
  EXPECT_THAT(store_.renewed, SizeIs(1));
}

// As on a file server whose clock is a day behind: the renewed lease looks as old as before.
TEST_F(LeaseStep, ARenewalThatDoesNotShowIsNotRepeatedAllTheTime) {
  store_.longest_left = std::chrono::minutes(10);
  change_listed([](Lease& lease) { lease.expires = in(std::chrono::minutes(9)); });
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(keep_lease(site_));
  EXPECT_THAT(store_.renewed, SizeIs(1));
}

TEST_F(LeaseStep, AReservationNeedsNoRenewal) {
  change_listed([](Lease& lease) { lease.expires = kNeverExpires; });
  ASSERT_TRUE(keep_lease(site_));
  EXPECT_THAT(store_.renewed, SizeIs(0));
  EXPECT_EQ(node_.lease.expires, kNeverExpires);
}

TEST_F(LeaseStep, ADeletedLeaseIsTakenAgainAtOnce) {
  store_.listing->leases = {};
  ASSERT_TRUE(keep_lease(site_));
  ASSERT_THAT(store_.renewed, SizeIs(1));
  EXPECT_EQ(store_.renewed[0].subnet, prefix("10.244.98.0/24"));
  EXPECT_THAT(node_.leases.leases, SizeIs(1));
}

TEST_F(LeaseStep, WhatTheNodeSaysOfItselfIsKeptTrue) {
  node_.uplink.public_ip = ip("192.168.88.99");
  ASSERT_TRUE(keep_lease(site_));
  ASSERT_THAT(store_.renewed, SizeIs(1));
  EXPECT_EQ(store_.renewed[0].attributes.public_ip, ip("192.168.88.99"));
  EXPECT_EQ(store_.renewed[0].subnet, prefix("10.244.98.0/24"));
  ASSERT_TRUE(keep_lease(site_));
  EXPECT_THAT(store_.renewed, SizeIs(1));

  change_listed([](Lease& lease) { lease.attributes.vxlan.v4->vtep_mac = *MacAddress::parse("02:00:00:00:00:01"); });
  ASSERT_TRUE(keep_lease(site_));
  ASSERT_THAT(store_.renewed, SizeIs(2)) << "somebody else's edit is put right";
  EXPECT_EQ(store_.renewed[1].attributes.vxlan.v4->vtep_mac, node_.vtep_mac.v4);
}

TEST_F(LeaseStep, AnotherNodesClaimIsAnError) {
  change_listed([](Lease& lease) { lease.attributes.public_ip = ip("192.168.88.66"); });
  store_.renewal_error = fail(ErrorKind::exists, "192.168.88.66 holds it").value();
  const auto kept = keep_lease(site_);
  ASSERT_FALSE(kept);
  EXPECT_THAT(kept.error().message(), HasSubstr("192.168.88.66 holds it"));
  EXPECT_EQ(node_.lease.subnet, prefix("10.244.98.0/24")) << "pods of this node have its addresses; it keeps to them";
}

TEST_F(LeaseStep, AStoreOutOfReachChangesNothing) {
  store_.listing->leases = store_.listing->leases.with({prefix("10.244.3.0/24"), lease_attributes(node_), in(std::chrono::hours(1))});
  ASSERT_TRUE(keep_lease(site_));
  ASSERT_THAT(node_.leases.leases, SizeIs(2));
  store_.listing = fail(ErrorKind::unavailable, "gone");
  EXPECT_FALSE(keep_lease(site_));
  EXPECT_THAT(node_.leases.leases, SizeIs(2)) << "what is known stays";
  EXPECT_THAT(store_.renewed, SizeIs(0));
}

}  // namespace agent_lease_test
}  // namespace merino
