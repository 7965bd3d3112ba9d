// Leases of both families, and of IPv6 alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster/lease.h"
#include "support/lease_dir.h"

namespace merino {
namespace cluster_lease_families_test {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(LeaseFamilies, both_are_flannels_json_byte_for_byte) {
  const LeaseAttributes both = attributes_of("192.168.88.12", "fd77::12");
  EXPECT_EQ(format_lease_attributes(both), golden("lease_dual_stack_vxlan.json"));
  EXPECT_EQ(parse_lease_attributes(golden("lease_dual_stack_vxlan.json")).value(), both);
}

TEST(LeaseFamilies, ipv6_alone) {
  const LeaseAttributes v6 = attributes_of("", "fd77::12");
  EXPECT_EQ(format_lease_attributes(v6), golden("lease_ipv6_only.json"));
  EXPECT_EQ(parse_lease_attributes(golden("lease_ipv6_only.json")).value(), v6);
  EXPECT_EQ(parse_lease_attributes(R"({"PublicIPv6":"fd77::12"})").value().public_ip, PerFamily<IpAddress>(ip("fd77::12")));
}

TEST(LeaseFamilies, data_of_a_family_without_address_means_nothing) {
  const auto v4 = parse_lease_attributes(
      R"({"PublicIP":"1.2.3.4","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"f2:91:b4:a4:d8:06"},"BackendV6Data":"x"})");
  ASSERT_TRUE(v4) << v4.error().message();
  EXPECT_EQ(*v4, attributes("1.2.3.4"));
  const auto v6 = parse_lease_attributes(
      R"({"PublicIP":"0.0.0.0","PublicIPv6":"fd77::12","BackendType":"vxlan","BackendData":5,"BackendV6Data":{"VNI":1,"VtepMAC":"46:65:8d:36:f7:4e"}})");
  ASSERT_TRUE(v6) << v6.error().message();
  EXPECT_EQ(*v6, attributes_of("", "fd77::12"));
}

TEST(LeaseFamilies, an_ipv6_address_without_data_is_accepted) {
  for (const char* more : {"", R"(,"BackendV6Data":null)"}) {
    const auto lease = parse_lease_attributes(
        R"({"PublicIP":"1.2.3.4","PublicIPv6":"fd77::12","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"f2:91:b4:a4:d8:06"})" +
        std::string(more) + "}");
    ASSERT_TRUE(lease) << lease.error().message();
    EXPECT_TRUE(lease->vxlan.v4);
    EXPECT_FALSE(lease->vxlan.v6);
  }
}

TEST(LeaseFamilies, hostile_ipv6_fields_are_refused_with_the_keys_name) {
  const auto expect_refused = [](const std::string& json, const char* key) {
    const auto lease = parse_lease_attributes(json);
    ASSERT_FALSE(lease) << json;
    EXPECT_THAT(lease.error().what, AllOf(HasSubstr(key), Not(HasSubstr("\x1b")), Not(HasSubstr("\n"))));
  };
  for (const char* address : {R"("fe80::1")", R"("ff02::1")", R"("::1")", R"("::")", R"("")", R"("::ffff:1.2.3.4")", R"("1.2.3.4")",
                              R"("fd00::1%eth0")", R"("fd00::1/64")", R"("[fd00::1]")", R"("\u001b[31m\n")", "6", "[]", "{}", "true"}) {
    expect_refused(R"({"PublicIP":"1.2.3.4","PublicIPv6":)" + std::string(address) + "}", "PublicIPv6");
    expect_refused(R"({"PublicIP":"0.0.0.0","PublicIPv6":)" + std::string(address) + "}", "PublicIP");
  }
  expect_refused(R"({"PublicIP":"0.0.0.0","PublicIPv6":null})", "PublicIP");
  expect_refused(R"({"PublicIP":"moon","PublicIPv6":"fd00::1"})", "PublicIP");
  expect_refused(R"({"PublicIP":"","PublicIPv6":"fd00::1"})", "PublicIP");
  for (const char* data : {"\"x\"", "[1]", "5", "{}", R"({"VNI":1})", R"({"VNI":16777216,"VtepMAC":"46:65:8d:36:f7:4e"})",
                           R"({"VNI":1,"VtepMAC":"01:00:5e:00:00:01"})", R"({"VNI":1,"VtepMAC":"00:00:00:00:00:00"})",
                           R"({"VNI":-1,"VtepMAC":"46:65:8d:36:f7:4e"})", R"({"VNI":1,"VtepMAC":"\u001b"})"}) {
    expect_refused(R"({"PublicIP":"0.0.0.0","PublicIPv6":"fd00::1","BackendType":"vxlan","BackendV6Data":)" + std::string(data) + "}",
                   "BackendV6Data");
  }
}

TEST(LeaseFamilies, a_node_is_known_by_its_ipv4_address_or_else_by_the_other) {
  const PerFamily<IpAddress> both(ip("1.1.1.1"), ip("fd00::1"));
  EXPECT_TRUE(is_same_node(both, both));
  EXPECT_TRUE(is_same_node(both, ip("1.1.1.1")));
  EXPECT_TRUE(is_same_node(ip("fd00::1"), both));
  EXPECT_TRUE(is_same_node(both, {ip("1.1.1.1"), ip("fd00::2")})) << "its IPv6 address has changed";
  EXPECT_FALSE(is_same_node(both, {ip("1.1.1.2"), ip("fd00::1")}));
  EXPECT_FALSE(is_same_node(both, ip("fd00::2")));
  EXPECT_FALSE(is_same_node(ip("1.1.1.1"), ip("fd00::1")));
  EXPECT_FALSE(is_same_node({}, {}));
}

TEST(LeaseFamilies, subnets_overlap_in_either_family) {
  const Subnets one = subnets_of("10.244.1.0/24,fd10::/64");
  EXPECT_TRUE(overlap(one, subnets_of("10.244.1.0/25,fd11::/64")));
  EXPECT_TRUE(overlap(one, subnets_of("10.244.2.0/24,fd10::/48")));
  EXPECT_TRUE(overlap(one, subnets_of("fd10::/64")));
  EXPECT_FALSE(overlap(one, subnets_of("10.244.2.0/24,fd11::/64")));
  EXPECT_FALSE(overlap(subnets_of("10.244.1.0/24"), subnets_of("fd10::/64")));
  EXPECT_FALSE(overlap(subnets_of("0.0.0.0/0"), subnets_of("::/0")));
}

}  // namespace cluster_lease_families_test
}  // namespace merino
