#include <gmock/gmock.h>

#include "cni/address_range.h"

namespace merino::cni {
namespace cni_address_range_test {

Prefix prefix(const std::string& text) { return *Prefix::parse(text); }
IpAddress ip(const std::string& text) { return *IpAddress::parse(text); }

AddressRange range(const std::string& subnet, const std::string& start = "", const std::string& end = "", const std::string& gateway = "") {
  const auto bound = [](const std::string& text) { return text.empty() ? std::nullopt : std::optional(ip(text)); };
  return *make_range(prefix(subnet), {bound(start), bound(end), bound(gateway)});
}

std::vector<std::string> walk(const RangeSet& set, std::optional<IpAddress> last = std::nullopt) {
  std::vector<std::string> seen;
  RangeWalk walk(set, last);
  while (const auto candidate = walk.next()) seen.push_back(candidate->address.to_string());
  return seen;
}

TEST(address_range, defaults_of_ipv4) {
  const AddressRange it = range("10.1.2.0/24");
  EXPECT_EQ(it.gateway, ip("10.1.2.1"));
  EXPECT_EQ(it.to_string(), "10.1.2.1-10.1.2.254");
}

TEST(address_range, defaults_of_ipv6_have_no_broadcast_address) {
  const AddressRange it = range("fd00:0:0:1::/64");
  EXPECT_EQ(it.gateway, ip("fd00:0:0:1::1"));
  EXPECT_EQ(it.end, ip("fd00:0:0:1:ffff:ffff:ffff:ffff"));
}

TEST(address_range, refusals_name_the_reason) {
  const auto refused = [](const std::string& subnet, const RangeBounds& bounds) { return make_range(prefix(subnet), bounds).error().what; };
  EXPECT_THAT(refused("10.1.2.0/31", {}), testing::HasSubstr("too small"));
  EXPECT_THAT(refused("fd00::/127", {}), testing::HasSubstr("too small"));
  EXPECT_THAT(refused("10.1.2.5/24", {}), testing::AllOf(testing::HasSubstr("host bits"), testing::HasSubstr("10.1.2.0/24")));
  EXPECT_THAT(refused("10.1.2.0/24", {ip("10.1.3.1"), {}, {}}), testing::HasSubstr("rangeStart 10.1.3.1"));
  EXPECT_THAT(refused("10.1.2.0/24", {{}, ip("10.1.3.1"), {}}), testing::HasSubstr("rangeEnd 10.1.3.1"));
  EXPECT_THAT(refused("10.1.2.0/24", {{}, {}, ip("10.1.3.1")}), testing::HasSubstr("gateway 10.1.3.1"));
  EXPECT_THAT(refused("10.1.2.0/24", {{}, {}, ip("fd00::1")}), testing::HasSubstr("gateway fd00::1"));
  EXPECT_THAT(refused("10.1.2.0/24", {ip("10.1.2.9"), ip("10.1.2.8"), {}}), testing::HasSubstr("after"));
  EXPECT_TRUE(make_range(prefix("10.1.2.0/30"), {}));
}

TEST(address_range, sets_must_not_overlap_or_mix) {
  EXPECT_TRUE(check_range_sets({{range("10.1.2.0/24")}, {range("fd00::/64")}}));
  EXPECT_TRUE(check_range_sets({{range("10.1.2.0/24", "10.1.2.10", "10.1.2.20"), range("10.1.2.0/24", "10.1.2.21", "10.1.2.30")}}));
  EXPECT_FALSE(check_range_sets({{}}));
  EXPECT_FALSE(check_range_sets({{range("10.1.2.0/24"), range("fd00::/64")}}));
  EXPECT_FALSE(check_range_sets({{range("10.1.2.0/24", "10.1.2.10", "10.1.2.20"), range("10.1.2.0/24", "10.1.2.20", "10.1.2.30")}}));
  EXPECT_FALSE(check_range_sets({{range("10.1.2.0/24")}, {range("10.1.2.128/25")}}));
}

TEST(address_range, walk_skips_gateway_network_and_broadcast) {
  EXPECT_THAT(walk({range("10.1.2.0/29")}), testing::ElementsAre("10.1.2.2", "10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.6"));
  EXPECT_THAT(walk({range("10.1.2.0/30", "10.1.2.0", "10.1.2.3", "10.1.2.2")}), testing::ElementsAre("10.1.2.1"));
  EXPECT_THAT(walk({range("fd00::/126")}), testing::ElementsAre("fd00::2", "fd00::3"));
}

TEST(address_range, walk_begins_after_the_last_one_and_sees_each_once) {
  const RangeSet set = {range("10.1.2.0/29"), range("10.1.3.0/30")};
  EXPECT_THAT(walk(set, ip("10.1.2.5")), testing::ElementsAre("10.1.2.6", "10.1.3.2", "10.1.2.2", "10.1.2.3", "10.1.2.4", "10.1.2.5"));
  EXPECT_THAT(walk(set, ip("10.1.3.2")), testing::ElementsAre("10.1.2.2", "10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.6", "10.1.3.2"));
}

TEST(address_range, walk_from_a_foreign_last_one_begins_at_the_start) {
  EXPECT_THAT(walk({range("10.1.2.0/30")}, ip("10.9.9.9")), testing::ElementsAre("10.1.2.2"));
}

TEST(address_range, walk_of_nothing_allowed_ends) {
  EXPECT_THAT(walk({range("10.1.2.0/30", "10.1.2.1", "10.1.2.1")}), testing::IsEmpty());
  EXPECT_THAT(walk({range("10.1.2.0/30", "10.1.2.1", "10.1.2.1")}, ip("10.1.2.1")), testing::IsEmpty());
  EXPECT_THAT(walk({range("10.1.2.0/30", "10.1.2.2", "10.1.2.2")}, ip("10.1.2.2")), testing::ElementsAre("10.1.2.2"));
}

}  // namespace cni_address_range_test
}  // namespace merino::cni
