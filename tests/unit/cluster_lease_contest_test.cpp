// Leases that change one by one make the same set as all of them at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "cluster/lease_contest.h"
#include "cluster/lease_list.h"

namespace merino {

void PrintTo(const RejectedLease& lease, std::ostream* out) { *out << lease.key << ": " << lease.reason; }

namespace cluster_lease_contest_test {

using testing::ElementsAre;
using testing::IsEmpty;

Prefix prefix(const std::string& text) { return *Prefix::parse(text); }

LeaseClaim claim(const Subnets& subnets, int64_t born, const std::string& node = "192.0.2.1") {
  LeaseClaim out;
  out.born = born;
  out.lease = std::make_shared<const Lease>(
      Lease{.subnet = subnets, .attributes = {.public_ip = *IpAddress::parse(node), .backend_type = "vxlan", .vxlan = {}}, .expires = {}});
  return out;
}

std::vector<std::string> keys(const LeaseSet& set) {
  std::vector<std::string> out;
  for (const Lease& lease : set.leases) out.push_back(format_subnet_key(lease.subnet));
  return out;
}

std::multimap<std::string, std::string> rejected(const LeaseSet& set) {
  std::multimap<std::string, std::string> out;
  for (const RejectedLease& lease : set.rejected) out.emplace(lease.key, lease.reason);
  return out;
}

TEST(LeaseContest, WhatAnOlderLeaseHeldBackCountsWhenThatIsGone) {
  LeaseContest contest;
  const LeaseClaim older = claim(prefix("10.1.0.0/16"), 1);
  const LeaseClaim younger = claim(prefix("10.1.2.0/24"), 2);
  const LeaseClaim aside = claim(prefix("10.2.0.0/24"), 3);
  contest.add("a", older);
  contest.add("b", aside);
  EXPECT_THAT(keys(contest.set()), ElementsAre("10.1.0.0-16", "10.2.0.0-24"));
  contest.add("c", younger);
  EXPECT_THAT(keys(contest.set()), ElementsAre("10.1.0.0-16", "10.2.0.0-24"));
  EXPECT_EQ(rejected(contest.set()).count("10.1.2.0-24"), 1U);
  contest.remove(older);
  EXPECT_THAT(keys(contest.set()), ElementsAre("10.1.2.0-24", "10.2.0.0-24"));
  EXPECT_THAT(contest.set().rejected, IsEmpty());
  contest.remove(aside);
  contest.remove(younger);
  EXPECT_THAT(keys(contest.set()), IsEmpty());
}

class Walk {
 public:
  explicit Walk(uint32_t seed) : random_(seed) {}

  void step() {
    LeaseClaim fresh = any();
    const std::string name = fresh.lease ? format_subnet_key(fresh.lease->subnet) : "none" + std::to_string(below(9));
    if (const auto known = claims_.find(name); known != claims_.end()) {
      contest_.remove(known->second);
      claims_.erase(known);
      if (below(2) == 0) return;
    }
    const auto added = claims_.emplace(name, std::move(fresh));
    contest_.add(name, added.first->second);
  }
  LeaseSet set() { return contest_.set(); }
  [[nodiscard]] LeaseSet from_nothing() const {
    LeaseContest all(kRules);
    for (const auto& [name, claim] : claims_) all.add(name, claim);
    return all.set();
  }
  uint32_t below(uint32_t bound) { return std::uniform_int_distribution<uint32_t>(0, bound - 1)(random_); }

 private:
  // Out of few addresses and lengths, so that many overlap; in one family, the other, or both; and some that are none.
  LeaseClaim any() {
    LeaseClaim out = claim(subnets(), below(5), "192.0.2." + std::to_string(below(250) + 1));
    if (below(12) == 0) out = {.born = 0, .reason = "not JSON", .lease = nullptr};
    return out;
  }
  Subnets subnets() {
    static constexpr int kLengths[] = {24, 24, 24, 24, 22, 25, 12};
    const uint32_t kind = below(4);
    Subnets out;
    if (kind != 0) out.v4 = Prefix(IpAddress::from_v4(0x0a010000U + (below(80) << 8U)), kLengths[below(7)]).masked();
    if (kind < 2) out.v6 = Prefix(IpAddress::parse("fd10::")->plus(uint64_t{below(40)} << 62U), 66 - static_cast<int>(below(4))).masked();
    return out;
  }

  static inline const LeaseRules kRules{{prefix("10.0.0.0/9"), prefix("fd10::/16")}, {24, 64}};
  std::mt19937 random_;
  std::map<std::string, LeaseClaim> claims_;
  LeaseContest contest_{kRules};
};

TEST(LeaseContest, ARandomWalkIsAtEachStepWhatFollowsFromNothing) {
  for (const uint32_t seed : {1U, 2U, 3U}) {
    Walk walk(seed);
    LeaseSet told;
    std::map<Subnets, LeaseList::Item> by_differences;
    for (int i = 0; i < 400; ++i) {
      for (uint32_t changes = walk.below(3) + 1; changes > 0; --changes) walk.step();
      const LeaseSet set = walk.set();
      const LeaseSet whole = walk.from_nothing();
      ASSERT_EQ(keys(set), keys(whole)) << "seed " << seed << ", step " << i;
      ASSERT_TRUE(set.leases == whole.leases) << "seed " << seed << ", step " << i;
      ASSERT_EQ(rejected(set), rejected(whole)) << "seed " << seed << ", step " << i;

      const LeaseDifference differs = difference(told.leases, set.leases);
      for (const auto& lease : differs.gone) ASSERT_EQ(by_differences.erase(lease->subnet), 1U);
      for (const auto& lease : differs.come) ASSERT_TRUE(by_differences.emplace(lease->subnet, lease).second);
      std::vector<LeaseList::Item> items;
      for (const auto& [subnet, lease] : by_differences) items.push_back(lease);
      ASSERT_TRUE(LeaseList(items) == set.leases) << "seed " << seed << ", step " << i;
      told = set;
    }
  }
}

TEST(LeaseList, EqualLeasesAreNoDifference) {
  const LeaseClaim one = claim(prefix("10.1.1.0/24"), 1);
  const LeaseClaim two = claim(prefix("10.1.2.0/24"), 1);
  const LeaseList list{*one.lease, *two.lease};
  const LeaseList copy{*one.lease, *two.lease};
  EXPECT_TRUE(list == copy);
  EXPECT_THAT(difference(list, copy).come, IsEmpty());
  EXPECT_THAT(difference(list, copy).gone, IsEmpty());
  EXPECT_EQ(difference(list, LeaseList{*two.lease}).gone.size(), 1U);
  EXPECT_EQ(difference({}, list).come.size(), 2U);
}

LeaseList::Item lease(uint32_t number, uint32_t version) {
  return claim(Prefix(IpAddress::from_v4(0x0a000000U + (number << 8U)), 24), 1, "192.0.2." + std::to_string(version + 1)).lease;
}

std::vector<LeaseList::Item> items(const std::map<uint32_t, LeaseList::Item>& leases) {
  std::vector<LeaseList::Item> out;
  for (const auto& [number, item] : leases) out.push_back(item);
  return out;
}

std::vector<LeaseList::Item> items(const LeaseList& list) {
  std::vector<LeaseList::Item> out;
  for (auto at = list.begin(); at != list.end(); ++at) out.push_back(at.item());
  return out;
}

// Of many blocks, that are split and emptied.
TEST(LeaseList, AListThatChangesIsAtEachStepTheOneOfItsLeases) {
  std::mt19937 random(7);
  const auto below = [&](uint32_t bound) { return std::uniform_int_distribution<uint32_t>(0, bound - 1)(random); };
  std::map<uint32_t, LeaseList::Item> model;
  LeaseList list;
  LeaseList told;
  std::map<Subnets, LeaseList::Item> by_differences;
  for (int i = 0; i < 6000; ++i) {
    // First more come than go, then the other way round.
    const uint32_t number = below(2000);
    if (below(10) < (i < 3000 ? 2U : 9U)) {
      model.erase(number);
      list.erase(lease(number, 0)->subnet);
    } else {
      list.put(model[number] = lease(number, below(2)));
    }
    ASSERT_EQ(list.size(), model.size());
    const Lease* found = list.find(lease(number, 0)->subnet);
    ASSERT_EQ(found, model.contains(number) ? model[number].get() : nullptr);
    if (below(20) != 0) continue;

    ASSERT_EQ(items(list), items(model));
    const LeaseList from_nothing(items(model));
    ASSERT_TRUE(list == from_nothing && from_nothing == list);
    ASSERT_THAT(difference(list, from_nothing).come, IsEmpty());
    if (!model.empty()) {
      ASSERT_EQ(&list[model.size() / 2], items(model)[model.size() / 2].get());
    }
    const LeaseDifference differs = difference(told, list);
    for (const auto& gone : differs.gone) ASSERT_EQ(by_differences.erase(gone->subnet), 1U);
    for (const auto& come : differs.come) ASSERT_TRUE(by_differences.emplace(come->subnet, come).second);
    ASSERT_EQ(by_differences.size(), model.size());
    told = list;
  }
}

TEST(LeaseList, AnOlderCopyStaysAsItWas) {
  LeaseList list{*lease(1, 0), *lease(2, 0)};
  const LeaseList before = list;
  list.put(lease(2, 1));
  list.put(lease(3, 0));
  list.erase(lease(1, 0)->subnet);
  EXPECT_EQ(before.size(), 2U);
  EXPECT_EQ(before.front(), *lease(1, 0));
  EXPECT_FALSE(before == list);
  EXPECT_EQ(list.front(), *lease(2, 1));
  EXPECT_EQ(list.find(lease(1, 0)->subnet), nullptr);
  LeaseList one;
  one.put(lease(1, 0));
  one.erase(lease(1, 0)->subnet);
  EXPECT_TRUE(one.empty() && one.begin() == one.end() && one == LeaseList());
}

}  // namespace cluster_lease_contest_test
}  // namespace merino
