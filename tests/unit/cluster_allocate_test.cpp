#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "cluster/allocate.h"

namespace merino {
namespace cluster_allocate_test {

using testing::ElementsAre;
using testing::HasSubstr;

Prefix prefix(const std::string& text) { return Prefix::parse(text).value(); }
IpAddress ip(const std::string& text) { return IpAddress::parse(text).value(); }

Lease lease(const std::string& subnet, const std::string& public_ip = "1.1.1.1") {
  Lease out;
  out.subnet = prefix(subnet);
  out.attributes.public_ip = ip(public_ip);
  out.expires = std::chrono::system_clock::now() + kLeaseTtl;
  return out;
}

Lease reservation(const std::string& subnet, const std::string& public_ip) {
  Lease out = lease(subnet, public_ip);
  out.expires = kNeverExpires;
  return out;
}

NetConf conf(const std::string& network, int subnet_len, const std::string& min, const std::string& max) {
  NetConf out;
  out.pools[prefix(network).family()] = SubnetPool{prefix(network), subnet_len, ip(min), ip(max)};
  return out;
}

const NetConf kConf = conf("10.3.0.0/16", 24, "10.3.1.0", "10.3.25.0");
// flannel's test registry; the last one lies outside of SubnetMin-SubnetMax.
const std::vector<Lease> kLeases{lease("10.3.1.0/24"), lease("10.3.2.0/24"), lease("10.3.4.0/24"), lease("10.3.5.0/24"),
                                 lease("10.3.31.0/24")};
const IpAddress kOwn = ip("1.2.3.4");

size_t first(size_t) { return 0; }
size_t last(size_t bound) { return bound - 1; }

SubnetChoice choose(const std::vector<Lease>& leases, const Subnets& previous = {}, const Pick& pick = first,
                    const std::vector<Subnets>& blocked = {}, const NetConf& with = kConf) {
  auto choice = choose_subnets(with, leases, blocked, kOwn, previous, pick);
  EXPECT_TRUE(choice) << choice.error().message();
  return choice.value_or(SubnetChoice{});
}

TEST(Allocate, takes_free_subnets_between_min_and_max) {  // flannel: TestAcquireLease
  EXPECT_EQ(choose(kLeases).subnets, prefix("10.3.3.0/24"));
  EXPECT_EQ(choose(kLeases, {}, last).subnets, prefix("10.3.25.0/24"));
  EXPECT_FALSE(choose(kLeases).held);
}

TEST(Allocate, the_first_subnet_is_skipped_by_default_bounds) { EXPECT_EQ(choose({}).subnets, prefix("10.3.1.0/24")); }

TEST(Allocate, every_pick_is_free_and_distinct) {
  std::set<Subnets> seen;
  size_t bound = 0;
  choose(kLeases, {}, [&](size_t n) { return bound = n, 0; });
  EXPECT_EQ(bound, 21U);  // 1..25 without 1, 2, 4, 5
  for (size_t i = 0; i < bound; ++i) seen.insert(choose(kLeases, {}, [i](size_t) { return i; }).subnets);
  EXPECT_EQ(seen.size(), bound);
  for (const Lease& taken : kLeases) EXPECT_EQ(seen.count(taken.subnet), 0U);
}

TEST(Allocate, chooses_among_the_first_hundred_free) {
  const NetConf wide = conf("10.0.0.0/8", 24, "10.0.1.0", "10.255.255.0");
  size_t bound = 0;
  const Pick pick = [&](size_t n) { return (bound = n) - 1; };
  EXPECT_EQ(choose({}, {}, pick, {}, wide).subnets, prefix("10.0.100.0/24"));
  EXPECT_EQ(bound, kFreeSubnetChoices);
  EXPECT_EQ(choose({lease("10.0.50.0/24"), lease("10.0.128.0/17")}, {}, pick, {}, wide).subnets, prefix("10.0.101.0/24"));
}

TEST(Allocate, the_lease_with_the_own_public_ip_is_used_again) {
  auto leases = kLeases;
  leases.push_back(lease("10.3.7.0/24", "1.2.3.4"));
  const SubnetChoice choice = choose(leases, prefix("10.3.6.0/24"));
  EXPECT_EQ(choice.subnets, prefix("10.3.7.0/24"));
  EXPECT_TRUE(choice.held);
}

TEST(Allocate, of_several_own_leases_the_previous_one_or_else_the_reservation) {
  const std::vector<Lease> leases{lease("10.3.7.0/24", "1.2.3.4"), reservation("10.3.8.0/24", "1.2.3.4"), lease("10.3.9.0/24", "1.2.3.4")};
  EXPECT_EQ(choose(leases).subnets, prefix("10.3.8.0/24"));
  EXPECT_EQ(choose(leases, prefix("10.3.9.0/24")).subnets, prefix("10.3.9.0/24"));
}

TEST(Allocate, an_own_lease_that_does_not_fit_is_not_used) {  // flannel: TestConfigChanged
  const NetConf changed = conf("10.4.0.0/16", 24, "10.4.1.0", "10.4.255.0");
  const auto leases = std::vector<Lease>{lease("10.3.7.0/24", "1.2.3.4"), reservation("10.3.8.0/24", "1.2.3.4"), lease("10.3.9.0/24")};
  EXPECT_EQ(choose(leases, {}, first, {}, changed).subnets, prefix("10.4.1.0/24"));
  EXPECT_THAT(unfit_leases(changed, leases, kOwn), ElementsAre(prefix("10.3.7.0/24")));
  EXPECT_THAT(unfit_leases(kConf, leases, kOwn), ElementsAre());
}

TEST(Allocate, the_previous_subnet_is_used_if_it_is_free_and_fits) {  // flannel: TestAcquireLease
  EXPECT_EQ(choose(kLeases, prefix("10.3.6.0/24")).subnets, prefix("10.3.6.0/24"));
  EXPECT_FALSE(choose(kLeases, prefix("10.3.6.0/24")).held);
  for (const char* unfit : {"10.4.1.0/24", "10.3.0.0/24", "10.3.26.0/24", "10.3.6.0/25", "10.3.6.1/24", "fd00::/24"}) {
    EXPECT_EQ(choose(kLeases, prefix(unfit)).subnets, prefix("10.3.3.0/24")) << unfit;
  }
  EXPECT_EQ(choose(kLeases, prefix("10.3.5.0/24")).subnets, prefix("10.3.3.0/24")) << "another node holds it";
  EXPECT_EQ(choose(kLeases, prefix("10.3.6.0/24"), first, {prefix("10.3.6.0/24")}).subnets, prefix("10.3.3.0/24")) << "it is blocked";
}

TEST(Allocate, a_blocked_subnet_is_passed_over_but_one_of_another_length_is_another_name) {
  EXPECT_EQ(choose(kLeases, {}, first, {prefix("10.3.3.0/24")}).subnets, prefix("10.3.6.0/24"));
  EXPECT_EQ(choose(kLeases, {}, first, {prefix("10.3.0.0/16"), prefix("10.3.3.0/25"), prefix("0.0.0.0/0")}).subnets, prefix("10.3.3.0/24"));
}

TEST(Allocate, leases_of_other_lengths_block_what_they_overlap) {
  EXPECT_EQ(choose({lease("10.3.0.0/21")}).subnets, prefix("10.3.8.0/24"));
  EXPECT_EQ(choose({lease("10.3.1.128/25"), lease("10.3.2.4/30")}).subnets, prefix("10.3.3.0/24"));
  EXPECT_EQ(choose({lease("10.3.0.0/21"), lease("10.3.1.0/24")}).subnets, prefix("10.3.8.0/24")) << "overlapping each other";
  EXPECT_EQ(choose({lease("10.3.0.0/21")}, prefix("10.3.6.0/24")).subnets, prefix("10.3.8.0/24")) << "the previous subnet lies inside";
}

TEST(Allocate, out_of_subnets) {
  const NetConf tiny = conf("10.3.0.0/28", 30, "10.3.0.4", "10.3.0.12");
  const std::vector<Lease> full{lease("10.3.0.4/30"), lease("10.3.0.8/30"), lease("10.3.0.12/30")};
  const auto none = choose_subnets(tiny, full, {}, kOwn, {}, first);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::exhausted);
  EXPECT_THAT(none.error().message(), HasSubstr("out of subnets"));
  EXPECT_EQ(choose({full[0], full[2]}, {}, last, {}, tiny).subnets, prefix("10.3.0.8/30"));
  EXPECT_FALSE(choose_subnets(tiny, {full[0]}, {full[1].subnet, full[2].subnet}, kOwn, {}, first));
}

TEST(Allocate, the_last_subnet_of_the_address_space) {
  const NetConf top = conf("255.255.0.0/16", 24, "255.255.254.0", "255.255.255.0");
  EXPECT_EQ(choose({}, {}, last, {}, top).subnets, prefix("255.255.255.0/24"));
  EXPECT_FALSE(choose_subnets(top, {lease("255.255.254.0/23")}, {}, kOwn, {}, first));
}

}  // namespace cluster_allocate_test
}  // namespace merino
