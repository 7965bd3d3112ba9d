#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cni/result.h"

namespace merino::cni {
namespace cni_result_test {

using nlohmann::json;

Prefix prefix(const char* text) { return *Prefix::parse(text); }
IpAddress ip(const char* text) { return *IpAddress::parse(text); }

AddResult sample() {
  AddResult result;
  result.interfaces = {{"mr0123456789ab", "0a:00:00:00:00:01", 1450, ""}, {"eth0", "0a:00:00:00:00:02", 1450, "/run/netns/x"}};
  result.addresses = {{prefix("10.244.1.5/24"), ip("10.244.1.1"), 1}, {prefix("fd00::5/64"), ip("fd00::1"), 1}};
  result.routes = {{prefix("10.244.0.0/16"), std::nullopt, 1400}, {prefix("0.0.0.0/0"), ip("10.244.1.1"), 0}};
  result.dns = {{"10.96.0.10"}, "local", {"a.local"}, {"ndots:5"}};
  return result;
}

TEST(result, version_1_1_0) {
  const json expected = json::parse(R"({
    "cniVersion": "1.1.0",
    "interfaces": [{"name": "mr0123456789ab", "mac": "0a:00:00:00:00:01", "mtu": 1450},
                   {"name": "eth0", "mac": "0a:00:00:00:00:02", "mtu": 1450, "sandbox": "/run/netns/x"}],
    "ips": [{"interface": 1, "address": "10.244.1.5/24", "gateway": "10.244.1.1"}, {"interface": 1, "address": "fd00::5/64", "gateway": "fd00::1"}],
    "routes": [{"dst": "10.244.0.0/16", "mtu": 1400}, {"dst": "0.0.0.0/0", "gw": "10.244.1.1"}],
    "dns": {"nameservers": ["10.96.0.10"], "domain": "local", "search": ["a.local"], "options": ["ndots:5"]}})");
  EXPECT_EQ(json::parse(format_result(sample(), SpecVersion::v1_1_0)), expected);
}

TEST(result, mtu_is_left_out_before_1_1_0) {
  const json result = json::parse(format_result(sample(), SpecVersion::v1_0_0));
  EXPECT_EQ(result["cniVersion"], "1.0.0");
  EXPECT_FALSE(result["interfaces"][0].contains("mtu"));
  EXPECT_FALSE(result["routes"][0].contains("mtu"));
  EXPECT_FALSE(result["ips"][0].contains("version"));
}

TEST(result, addresses_say_their_family_before_1_0_0) {
  for (const SpecVersion version : {SpecVersion::v0_3_0, SpecVersion::v0_3_1, SpecVersion::v0_4_0}) {
    const json result = json::parse(format_result(sample(), version));
    EXPECT_EQ(result["cniVersion"], version_text(version));
    EXPECT_EQ(result["ips"][0]["version"], "4");
    EXPECT_EQ(result["ips"][1]["version"], "6");
    EXPECT_FALSE(result["interfaces"][0].contains("mtu"));
  }
}

TEST(result, what_is_printed_can_be_read_again) {
  EXPECT_EQ(*parse_result(json::parse(format_result(sample(), SpecVersion::v1_1_0))), sample());
}

TEST(result, of_host_local_0_3_1) {
  const auto result = parse_result(json::parse(
      R"({"cniVersion":"0.3.1","ips":[{"version":"4","address":"10.9.0.2/29","gateway":"10.9.0.1"}],"routes":[{"dst":"0.0.0.0/0"}],"dns":{}})"));
  ASSERT_TRUE(result);
  EXPECT_EQ(result->addresses, (std::vector<ResultAddress>{{prefix("10.9.0.2/29"), ip("10.9.0.1"), std::nullopt}}));
  EXPECT_EQ(result->routes, (std::vector<ResultRoute>{{prefix("0.0.0.0/0"), std::nullopt, 0}}));
  EXPECT_TRUE(result->dns.empty());
}

TEST(result, absent_and_null_parts_are_empty) {
  EXPECT_EQ(*parse_result(json::parse("{}")), AddResult{});
  EXPECT_EQ(*parse_result(json::parse(R"({"ips":null,"interfaces":null,"routes":null,"dns":null})")), AddResult{});
}

TEST(result, interface_minus_one_is_no_interface) {
  EXPECT_EQ(parse_result(json::parse(R"({"ips":[{"address":"10.0.0.1/8","interface":-1}]})"))->addresses[0].interface, std::nullopt);
}

TEST(result, wrong_types_are_errors_that_name_the_key) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"ips":{}})", "ips"},
      {R"({"ips":["10.0.0.1/8"]})", "ips"},
      {R"({"ips":[{}]})", "address"},
      {R"({"ips":[{"address":"10.0.0.1"}]})", "address"},
      {R"({"ips":[{"address":"10.0.0.1/8","gateway":"no"}]})", "gateway"},
      {R"({"ips":[{"address":"10.0.0.1/8","interface":"1"}]})", "interface"},
      {R"({"interfaces":[1]})", "interfaces"},
      {R"({"interfaces":[{"name":1}]})", "name"},
      {R"({"routes":[{"dst":"10.0.0.0"}]})", "dst"},
      {R"({"routes":[{"gw":"10.0.0.1"}]})", "dst"},
      {R"({"routes":[{"dst":"10.0.0.0/8","table":100}]})", "table"},
      {R"({"routes":[{"dst":"10.0.0.0/8","mtu":-1}]})", "MTU"},
      {R"({"dns":[]})", "dns"},
      {R"({"dns":{"nameservers":[1]}})", "nameservers"},
  };
  for (const auto& [text, key] : cases) {
    const auto result = parse_result(json::parse(text));
    ASSERT_FALSE(result) << text;
    EXPECT_THAT(result.error().message(), testing::HasSubstr(key)) << text;
  }
}

TEST(result, a_route_may_name_the_main_table_by_zero) {
  EXPECT_TRUE(parse_result(json::parse(R"({"routes":[{"dst":"10.0.0.0/8","priority":0,"scope":0}]})")));
}

}  // namespace cni_result_test
}  // namespace merino::cni
