// Subnets of both families for one node.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/allocate.h"
#include "support/lease_dir.h"

namespace merino {
namespace cluster_allocate_families_test {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const NetConf kDual = dual_conf();
const PerFamily<IpAddress> kOwn(ip("1.2.3.4"), ip("fd00::4"));

Lease lease(const std::string& subnets, const PerFamily<IpAddress>& public_ip = ip("1.1.1.1")) {
  Lease out{.subnet = subnets_of(subnets), .attributes = {}, .expires = std::chrono::system_clock::now() + kLeaseTtl};
  out.attributes.public_ip = public_ip;
  return out;
}

size_t first(size_t) { return 0; }
size_t last(size_t bound) { return bound - 1; }

Subnets choose(const std::vector<Lease>& leases, const Subnets& previous = {}, const NetConf& conf = kDual, const Pick& pick = first,
               const std::vector<Subnets>& blocked = {}) {
  const auto choice = choose_subnets(conf, leases, blocked, kOwn, previous, pick);
  EXPECT_TRUE(choice) << choice.error().message();
  return choice ? choice->subnets : Subnets{};
}

TEST(AllocateFamilies, one_subnet_of_each) {
  EXPECT_EQ(choose({}), subnets_of("10.244.1.0/24,fd10:244:0:1::/64"));
  EXPECT_EQ(choose({}, {}, kDual, last), subnets_of("10.244.100.0/24,fd10:244:0:64::/64")) << "of the first hundred";
  EXPECT_EQ(choose({}, {}, net_conf("10.244.0.0/16")), subnets_of("10.244.1.0/24"));
  const NetConf v6 =
      parse_net_conf(R"({"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd10::/48","Backend":{"Type":"vxlan"}})", "").value();
  EXPECT_EQ(choose({}, {}, v6), subnets_of("fd10:0:0:1::/64"));
}

TEST(AllocateFamilies, each_family_has_its_own_neighbours_and_bounds) {
  const std::vector<Lease> leases{lease("10.244.1.0/24"), lease("fd10:244:0:1::/64"), lease("10.244.2.0/24,fd10:244:0:3::/64")};
  EXPECT_EQ(choose(leases), subnets_of("10.244.3.0/24,fd10:244:0:2::/64"));
  const NetConf bounded = dual_conf(R"(, "IPv6SubnetMin": "fd10:244:0:8::", "IPv6SubnetMax": "fd10:244:0:9::")");
  EXPECT_EQ(choose({lease("fd10:244:0:8::/64")}, {}, bounded), subnets_of("10.244.1.0/24,fd10:244:0:9::/64"));
  const auto none = choose_subnets(bounded, {lease("fd10:244:0:8::/63")}, {}, kOwn, {}, first);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::exhausted);
  EXPECT_THAT(none.error().message(), HasSubstr("every /64 from fd10:244:0:8:: to fd10:244:0:9:: is leased"));
}

TEST(AllocateFamilies, the_previous_subnet_of_each_is_kept_by_itself) {
  const Subnets previous = subnets_of("10.244.7.0/24,fd10:244:0:7::/64");
  EXPECT_EQ(choose({}, previous), previous);
  EXPECT_EQ(choose({lease("10.244.7.0/24")}, previous), subnets_of("10.244.1.0/24,fd10:244:0:7::/64"));
  EXPECT_EQ(choose({lease("fd10:244:0:7::/64")}, previous), subnets_of("10.244.7.0/24,fd10:244:0:1::/64"));
  EXPECT_EQ(choose({}, previous, kDual, first, {previous}), subnets_of("10.244.1.0/24,fd10:244:0:1::/64")) << "blocked";
  EXPECT_EQ(choose({}, previous, net_conf("10.244.0.0/16")), subnets_of("10.244.7.0/24")) << "IPv6 was turned off";
}

TEST(AllocateFamilies, turning_ipv6_on_and_off_keeps_the_ipv4_subnet) {
  const std::vector<Lease> v4{lease("10.244.7.0/24", ip("1.2.3.4"))};
  EXPECT_EQ(choose(v4, subnets_of("10.244.7.0/24")), subnets_of("10.244.7.0/24,fd10:244:0:1::/64"));
  EXPECT_THAT(unfit_leases(kDual, v4, kOwn), ElementsAre(subnets_of("10.244.7.0/24")));
  const std::vector<Lease> both{lease("10.244.7.0/24,fd10:244:0:7::/64", kOwn)};
  EXPECT_EQ(choose(both, both[0].subnet, net_conf("10.244.0.0/16")), subnets_of("10.244.7.0/24"));
  EXPECT_THAT(unfit_leases(net_conf("10.244.0.0/16"), both, kOwn), ElementsAre(both[0].subnet));
}

TEST(AllocateFamilies, the_own_lease_must_fit_in_both) {
  const std::vector<Lease> held{lease("10.244.7.0/24,fd10:244:0:7::/64", kOwn)};
  const auto choice = choose_subnets(kDual, held, {}, kOwn, subnets_of("10.244.9.0/24"), first);
  ASSERT_TRUE(choice);
  EXPECT_TRUE(choice->held);
  EXPECT_EQ(choice->subnets, held[0].subnet);
  EXPECT_FALSE(fits(kDual, subnets_of("10.244.7.0/24")));
  EXPECT_FALSE(fits(kDual, subnets_of("fd10:244:0:7::/64")));
  EXPECT_FALSE(fits(kDual, subnets_of("10.244.7.0/24,fd10:244:0:70::/60")));
  EXPECT_FALSE(fits(net_conf("10.244.0.0/16"), held[0].subnet));
}

TEST(AllocateFamilies, a_reservation_of_one_family_stays_and_is_in_the_way) {
  std::vector<Lease> leases{lease("10.244.1.0/24", ip("1.2.3.4"))};
  leases[0].expires = kNeverExpires;
  EXPECT_EQ(choose(leases), subnets_of("10.244.2.0/24,fd10:244:0:1::/64"));
  EXPECT_THAT(unfit_leases(kDual, leases, kOwn), IsEmpty());
}

TEST(AllocateFamilies, a_lease_of_billions_of_subnets_is_passed_at_once) {
  const NetConf large = net_conf("10.244.0.0/16", R"(, "EnableIPv6": true, "IPv6Network": "fd00::/16", "IPv6SubnetLen": 126)");
  EXPECT_EQ(choose({lease("fd00::/17")}, {}, large), subnets_of("10.244.1.0/24,fd00:8000::/126"));
  EXPECT_EQ(choose({lease("fd00::/17"), lease("fd00:8000::/18"), lease("fd00:c000::/126")}, {}, large),
            subnets_of("10.244.1.0/24,fd00:c000::4/126"));
  const auto none = choose_subnets(large, {lease("fd00::/17"), lease("fd00:8000::/17")}, {}, kOwn, {}, first);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, ErrorKind::exhausted);
}

TEST(AllocateFamilies, the_last_subnet_of_the_address_space) {
  const NetConf top =
      parse_net_conf(R"({"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"ffff:ffff:ffff:fff0::/60","Backend":{"Type":"vxlan"}})", "")
          .value();
  EXPECT_EQ(choose({}, {}, top, last), subnets_of("ffff:ffff:ffff:ffff::/64"));
  EXPECT_FALSE(choose_subnets(top, {lease("ffff::/16")}, {}, kOwn, {}, first));
}

TEST(AllocateFamilies, own_leases_that_count_for_nobody_are_named) {
  LeaseSet set;
  set.rejected = {{"a", "overlaps", lease("10.244.7.0/24,fd10:244:0:7::/64", kOwn)},
                  {"b", "overlaps", lease("10.244.8.0/24")},
                  {"c", "no lease", std::nullopt},
                  {"d", "overlaps", lease("10.244.9.0/24", ip("1.2.3.4"))}};
  set.rejected[3].lease->expires = kNeverExpires;
  EXPECT_THAT(passed_over_leases(set, kOwn), ElementsAre(subnets_of("10.244.7.0/24,fd10:244:0:7::/64")));
}

}  // namespace cluster_allocate_families_test
}  // namespace merino
