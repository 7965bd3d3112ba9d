#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "cluster/lease.h"
#include "support/golden.h"

namespace merino {
namespace cluster_lease_test {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

LeaseAttributes vxlan_attributes() {
  return {.public_ip = IpAddress::parse("192.168.88.12").value(),
          .backend_type = "vxlan",
          .vxlan = {VxlanLease{.vni = 1, .vtep_mac = MacAddress::parse("f2:91:b4:a4:d8:06").value()}, {}}};
}

LeaseAttributes parse(const std::string& json) {
  auto attributes = parse_lease_attributes(json);
  EXPECT_TRUE(attributes) << json << "\n" << attributes.error().message();
  return attributes.value_or(LeaseAttributes{});
}

TEST(Lease, is_flannels_json_byte_for_byte) {
  EXPECT_EQ(format_lease_attributes(vxlan_attributes()), test::golden("lease_vxlan.json"));
  EXPECT_EQ(parse(test::golden("lease_vxlan.json")), vxlan_attributes());
}

TEST(Lease, without_backend_is_flannels_json_byte_for_byte) {
  const LeaseAttributes attributes{.public_ip = IpAddress::parse("1.2.3.4").value(), .backend_type = {}, .vxlan = {}};
  EXPECT_EQ(format_lease_attributes(attributes), test::golden("lease_no_backend.json"));
  EXPECT_EQ(parse(test::golden("lease_no_backend.json")), attributes);
}

TEST(Lease, with_both_families_is_flannels_json_byte_for_byte) {
  LeaseAttributes attributes = vxlan_attributes();
  attributes.public_ip.v6 = IpAddress::parse("fd00::12").value();
  attributes.vxlan.v4->vni = 16777215;
  EXPECT_EQ(format_lease_attributes(attributes), test::golden("lease_dual_stack.json"));
  EXPECT_EQ(parse(test::golden("lease_dual_stack.json")), attributes);
}

TEST(Lease, a_backend_type_from_outside_cannot_break_the_json) {
  LeaseAttributes attributes = vxlan_attributes();
  attributes.vxlan = {};
  for (const std::string type : {"a\"b", "a\\", "\n\x01", "\xff\xfe"}) {
    attributes.backend_type = type;
    EXPECT_TRUE(parse_lease_attributes(format_lease_attributes(attributes))) << format_lease_attributes(attributes);
  }
}

TEST(Lease, other_backends_parse_without_vxlan_data) {
  for (const char* json :
       {R"({"PublicIP":"1.2.3.4","BackendType":"host-gw"})", R"({"PublicIP":"1.2.3.4","BackendType":"host-gw","BackendData":null})",
        R"({"PublicIP":"1.2.3.4","BackendType":"wireguard","BackendData":{"PublicKey":"x","Port":51820}})",
        R"({"PublicIP":"1.2.3.4","BackendType":"extension","BackendData":"text"})"}) {
    const LeaseAttributes attributes = parse(json);
    EXPECT_TRUE(attributes.vxlan.empty());
    EXPECT_FALSE(attributes.backend_type.empty());
  }
}

TEST(Lease, keys_match_in_any_case_in_any_order_with_space) {
  EXPECT_EQ(parse(" { \"backenddata\" : {\"vtepmac\":\"F2:91:B4:A4:D8:06\", \"vni\":1},\n\"backendType\":\"vxlan\", "
                  "\"publicIP\":\"192.168.88.12\", "
                  "\"more\": [1] } "),
            vxlan_attributes());
}

struct BadLease {
  const char* json;
  const char* key;
};

class HostileLease : public testing::TestWithParam<BadLease> {};

TEST_P(HostileLease, is_refused_with_the_keys_name) {
  const auto attributes = parse_lease_attributes(GetParam().json);
  ASSERT_FALSE(attributes) << GetParam().json;
  EXPECT_THAT(attributes.error().what, AllOf(HasSubstr(GetParam().key), Not(HasSubstr("\x1b")), Not(HasSubstr("\n"))));
  EXPECT_TRUE(attributes.error().kind == ErrorKind::decode || attributes.error().kind == ErrorKind::invalid);
}

#define VXLAN_LEASE(data) R"({"PublicIP":"1.2.3.4","BackendType":"vxlan","BackendData":)" data "}"
INSTANTIATE_TEST_SUITE_P(
    Table, HostileLease,
    testing::Values(BadLease{"", "not valid JSON"}, BadLease{"{", "not valid JSON"}, BadLease{"[]", "JSON object"},
                    BadLease{"\"x\"", "JSON object"}, BadLease{"{\"PublicIP\":\"\x1b[31m\n", "not valid JSON"}, BadLease{"{}", "PublicIP"},
                    BadLease{"null", "PublicIP"}, BadLease{R"({"PublicIP":null})", "PublicIP"}, BadLease{R"({"PublicIP":5})", "PublicIP"},
                    BadLease{R"({"PublicIP":""})", "PublicIP"}, BadLease{R"({"PublicIP":"1.2.3"})", "PublicIP"},
                    BadLease{R"({"PublicIP":"1.2.3.4 "})", "PublicIP"}, BadLease{R"({"PublicIP":"fd00::1"})", "PublicIP"},
                    BadLease{R"({"PublicIP":"::ffff:1.2.3.4"})", "PublicIP"}, BadLease{R"({"PublicIP":"0.0.0.0"})", "PublicIP"},
                    BadLease{R"({"PublicIP":"0.1.2.3"})", "PublicIP"}, BadLease{R"({"PublicIP":"127.0.0.1"})", "PublicIP"},
                    BadLease{R"({"PublicIP":"224.0.0.1"})", "PublicIP"}, BadLease{R"({"PublicIP":"255.255.255.255"})", "PublicIP"},
                    BadLease{R"({"PublicIP":"\u001b[31m"})", "PublicIP"},
                    BadLease{R"({"PublicIP":"1.2.3.4","PublicIPv6":"1.2.3.4"})", "PublicIPv6"},
                    BadLease{R"({"PublicIP":"1.2.3.4","PublicIPv6":"::"})", "PublicIPv6"},
                    BadLease{R"({"PublicIP":"1.2.3.4","PublicIPv6":"::1"})", "PublicIPv6"},
                    BadLease{R"({"PublicIP":"1.2.3.4","PublicIPv6":"ff02::1"})", "PublicIPv6"},
                    BadLease{R"({"PublicIP":"1.2.3.4","PublicIPv6":false})", "PublicIPv6"},
                    BadLease{R"({"PublicIP":"1.2.3.4","BackendType":1})", "BackendType"},
                    BadLease{R"({"PublicIP":"1.2.3.4","BackendType":"vxlan"})", "BackendData"},
                    BadLease{VXLAN_LEASE("null"), "BackendData"}, BadLease{VXLAN_LEASE("\"x\""), "BackendData"},
                    BadLease{VXLAN_LEASE("{}"), "VNI"}, BadLease{VXLAN_LEASE(R"({"VtepMAC":"f2:91:b4:a4:d8:06"})"), "VNI"},
                    BadLease{VXLAN_LEASE(R"({"VNI":"1","VtepMAC":"f2:91:b4:a4:d8:06"})"), "VNI"},
                    BadLease{VXLAN_LEASE(R"({"VNI":16777216,"VtepMAC":"f2:91:b4:a4:d8:06"})"), "VNI"},
                    BadLease{VXLAN_LEASE(R"({"VNI":-1,"VtepMAC":"f2:91:b4:a4:d8:06"})"), "VNI"},
                    BadLease{VXLAN_LEASE(R"({"VNI":1.5,"VtepMAC":"f2:91:b4:a4:d8:06"})"), "VNI"},
                    BadLease{VXLAN_LEASE(R"({"VNI":1})"), "VtepMAC"}, BadLease{VXLAN_LEASE(R"({"VNI":1,"VtepMAC":6})"), "VtepMAC"},
                    BadLease{VXLAN_LEASE(R"({"VNI":1,"VtepMAC":"f2:91:b4:a4:d8"})"), "VtepMAC"},
                    BadLease{VXLAN_LEASE(R"({"VNI":1,"VtepMAC":"00:00:00:00:00:00"})"), "VtepMAC"},
                    BadLease{VXLAN_LEASE(R"({"VNI":1,"VtepMAC":"ff:ff:ff:ff:ff:ff"})"), "VtepMAC"},
                    BadLease{VXLAN_LEASE(R"({"VNI":1,"VtepMAC":"01:00:5e:00:00:01"})"), "VtepMAC"}));

TEST(SubnetKey, is_flannels) {  // flannel: TestSubnetNodev4
  const auto subnet = parse_subnet_key("10.12.13.0-24");
  ASSERT_TRUE(subnet);
  EXPECT_EQ(*subnet, Subnets(Prefix::parse("10.12.13.0/24").value()));
  EXPECT_EQ(format_subnet_key(*subnet), "10.12.13.0-24");
}

TEST(SubnetKey, of_ipv6_alone) {
  const auto subnet = parse_subnet_key("fd10:244:0:5::-64");
  ASSERT_TRUE(subnet);
  EXPECT_EQ(*subnet, Subnets(Prefix::parse("fd10:244:0:5::/64").value()));
  EXPECT_EQ(format_subnet_key(*subnet), "fd10:244:0:5::-64");
}

TEST(SubnetKey, of_both_families) {  // flannel: TestSubnetNodev6
  const auto subnets = parse_subnet_key("10.12.13.0-24&fd00:12:13::-56");
  ASSERT_TRUE(subnets) << subnets.error().message();
  EXPECT_EQ(subnets->v4, Prefix::parse("10.12.13.0/24").value());
  EXPECT_EQ(subnets->v6, Prefix::parse("fd00:12:13::/56").value());
  EXPECT_EQ(format_subnet_key(*subnets), "10.12.13.0-24&fd00:12:13::-56");
}

TEST(SubnetKey, nothing_else_is_one) {  // flannel: TestSubnetNodeInvalid and more
  for (const char* key : {"10",
                          "10.12.13.0",
                          "10.12.13-24",
                          "10.12.13.300-24",
                          "10.12.13.0-24hi",
                          "&2001::-56",
                          "10.12.13.0-24&:12:13:-56",
                          "10.12.13.0-24&20011::-56",
                          "10.12.13.0-24&2001-56",
                          "10.12.13.0-24&",
                          "10.12.13.0-24&&2001::-56",
                          "10.12.13.0-24&2001::-56&",
                          "10.12.13.0-24&2001::-56&2002::-56",
                          "10.12.13.0-24&10.12.14.0-24",
                          "2001::-56&10.12.13.0-24",
                          "2001::-56&2002::-56",
                          "2001::-56&",
                          "10.12.13.0-24&2001::1-56",
                          "10.12.13.1-24&2001::-56",
                          "10.12.13.0-24&2001:0::-56",
                          "10.12.13.0-24&2001::-056",
                          "10.12.13.0-24&2001::-129",
                          "10.12.13.0-24&::ffff:10.12.13.0-120",
                          "2001::-129",
                          "2001::%eth0-64",
                          "10.12.13.0-24&2001::",
                          "10.12.13.0-24&2001::-56hi",
                          "",
                          "-",
                          "-24",
                          "10.12.13.0-",
                          "10.12.13.0--24",
                          "10.12.13.0-+24",
                          "10.12.13.0- 24",
                          "10.12.13.0-024",
                          "010.12.13.0-24",
                          "10.12.13.0-33",
                          "10.12.13.0-99999999999999999999",
                          "10.12.13.1-24",
                          "10.12.13.0-16",
                          "x10.12.13.0-24",
                          "10.12.13.0-24\n",
                          "10.12.13.0/24",
                          "FD10:244:0:5::-64",
                          "fd10:244:0:5:0::-64",
                          "fd10::1-64",
                          "::ffff:10.12.13.0-120",
                          "../10.12.13.0-24",
                          "\x1b[31m-24"}) {
    const auto subnet = parse_subnet_key(key);
    EXPECT_FALSE(subnet) << key;
    EXPECT_THAT(subnet ? "" : subnet.error().what, Not(HasSubstr("\x1b")));
  }
}

}  // namespace cluster_lease_test
}  // namespace merino
