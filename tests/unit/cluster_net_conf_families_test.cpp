// net-conf.json with IPv6, beside IPv4 and alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "cluster/net_conf.h"

namespace merino {
namespace cluster_net_conf_families_test {

using testing::AllOf;
using testing::HasSubstr;

// The rest of a valid net-conf of IPv6 alone behind `keys`.
std::string conf_with(const std::string& keys) {
  return R"({"EnableIPv4": false, "EnableIPv6": true, )" + keys + R"(, "Backend": {"Type": "vxlan"}})";
}

NetConf parse(const std::string& json) {
  auto conf = parse_net_conf(json, "net-conf.json");
  EXPECT_TRUE(conf) << json << "\n" << conf.error().message();
  return conf.value_or(NetConf{});
}

SubnetPool v6_pool(const std::string& keys) { return parse(conf_with(keys)).pools.v6.value_or(SubnetPool{}); }

Error refuse(const std::string& json) {
  auto conf = parse_net_conf(json, "net-conf.json");
  EXPECT_FALSE(conf) << json;
  return conf ? Error{} : conf.error();
}

TEST(NetConfFamilies, ipv6_defaults) {  // flannel: TestIPv6ConfigDefaults
  const NetConf conf = parse(R"({"EnableIPv6": true, "ipv6Network": "fc00::/48", "EnableIPv4": false, "Backend": {"Type": "vxlan"}})");
  EXPECT_FALSE(conf.pools.v4);
  ASSERT_TRUE(conf.pools.v6);
  EXPECT_EQ(conf.pools.v6->network.to_string(), "fc00::/48");
  EXPECT_EQ(conf.pools.v6->subnet_min.to_string(), "fc00:0:0:1::");
  EXPECT_EQ(conf.pools.v6->subnet_max.to_string(), "fc00:0:0:ffff::");
  EXPECT_EQ(conf.pools.v6->subnet_len, 64);
  EXPECT_EQ(to_string(conf.networks()), "fc00::/48");
}

TEST(NetConfFamilies, ipv6_overrides) {  // flannel: TestIPv6ConfigOverrides
  const SubnetPool pool =
      v6_pool(R"("IPv6Network": "fc00::/48", "IPv6SubnetMin": "fc00:0:0:1::", "IPv6SubnetMax": "fc00:0:0:f::", "IPv6SubnetLen": 124)");
  EXPECT_EQ(pool.network.to_string(), "fc00::/48");
  EXPECT_EQ(pool.subnet_min.to_string(), "fc00:0:0:1::");
  EXPECT_EQ(pool.subnet_max.to_string(), "fc00:0:0:f::");
  EXPECT_EQ(pool.subnet_len, 124);
}

TEST(NetConfFamilies, both) {
  const NetConf conf = parse(
      R"({"Network": "10.244.0.0/16", "EnableIPv6": true, "IPv6Network": "fd10:244::1/48", "SubnetLen": 25, "Backend": {"Type": "host-gw"}})");
  EXPECT_EQ(to_string(conf.networks()), "10.244.0.0/16 and fd10:244::/48") << "masked";
  EXPECT_EQ(conf.pools.v4.value().subnet_len, 25);
  EXPECT_EQ(conf.pools.v6.value().subnet_len, 64);
}

TEST(NetConfFamilies, keys_of_a_family_that_is_off_are_not_read) {
  const NetConf v4 = parse(R"({"Network": "10.244.0.0/16", "IPv6Network": 5, "IPv6SubnetLen": "x", "Backend": {"Type": "vxlan"}})");
  EXPECT_FALSE(v4.pools.v6);
  const NetConf v6 = parse(conf_with(R"("IPv6Network": "fd10::/48", "Network": "moon", "SubnetLen": -1)"));
  EXPECT_FALSE(v6.pools.v4);
}

TEST(NetConfFamilies, ipv6_defaults_follow_the_size_of_the_network) {
  struct Case {
    const char* network;
    int subnet_len;
    const char* min;
    const char* max;
  };
  for (const Case& c :
       {Case{"fd10::/16", 64, "fd10:0:0:1::", "fd10:ffff:ffff:ffff::"}, Case{"fd10::/62", 64, "fd10:0:0:1::", "fd10:0:0:3::"},
        Case{"fd10::/63", 65, "fd10::8000:0:0:0", "fd10:0:0:1:8000::"}, Case{"fd10::/124", 126, "fd10::4", "fd10::c"},
        Case{"ff00::/8", 64, "ff00:0:0:1::", "ffff:ffff:ffff:ffff::"}}) {
    const SubnetPool pool = v6_pool(R"("IPv6Network": ")" + std::string(c.network) + "\"");
    EXPECT_EQ(pool.subnet_len, c.subnet_len) << c.network;
    EXPECT_EQ(pool.subnet_min.to_string(), c.min) << c.network;
    EXPECT_EQ(pool.subnet_max.to_string(), c.max) << c.network;
  }
}

TEST(NetConfFamilies, zero_means_default_as_for_flannel) {
  const SubnetPool pool = v6_pool(R"("IPv6Network": "fd10::/48", "IPv6SubnetLen": 0, "IPv6SubnetMin": "::", "IPv6SubnetMax": "::")");
  EXPECT_EQ(pool.subnet_len, 64);
  EXPECT_EQ(pool.subnet_min.to_string(), "fd10:0:0:1::");
  EXPECT_EQ(pool.subnet_max.to_string(), "fd10:0:0:ffff::");
}

TEST(NetConfFamilies, the_bounds_of_each_rule_are_accepted) {
  EXPECT_EQ(v6_pool(R"("IPv6Network": "fd10::/48", "IPv6SubnetLen": 126)").subnet_len, 126);
  EXPECT_EQ(v6_pool(R"("IPv6Network": "fd10::/48", "IPv6SubnetLen": 50)").subnet_len, 50);
  EXPECT_EQ(v6_pool(R"("IPv6Network": "fd10::/48", "IPv6SubnetMin": "fd10::")").subnet_min.to_string(), "fd10::");
  EXPECT_EQ(v6_pool(R"("IPv6Network": "::1:0:0:0/96")").network.to_string(), "::1:0:0:0/96") << "beside the IPv4-mapped addresses";
}

struct BadRule {
  const char* keys;
  ErrorKind kind;
  const char* key;   // named in the message
  const char* text;  // flannel's, where it has one
};

class IPv6Rule : public testing::TestWithParam<BadRule> {};

TEST_P(IPv6Rule, is_an_error_with_file_key_and_remedy) {
  const Error error = refuse(conf_with(GetParam().keys));
  EXPECT_EQ(error.kind, GetParam().kind) << error.message();
  EXPECT_THAT(error.what, AllOf(HasSubstr("net-conf.json"), HasSubstr(GetParam().key), HasSubstr(GetParam().text)));
  EXPECT_THAT(error.what, testing::Not(HasSubstr("\x1b")));
}

constexpr const char* kDefineNetwork = "please define a correct IPv6Network parameter in the flannel config";
INSTANTIATE_TEST_SUITE_P(
    Rules, IPv6Rule,
    testing::Values(
        BadRule{R"("Network": "10.3.0.0/16")", ErrorKind::invalid, "IPv6Network", kDefineNetwork},
        BadRule{R"("IPv6Network": null)", ErrorKind::invalid, "IPv6Network", kDefineNetwork},
        BadRule{R"("IPv6Network": "")", ErrorKind::invalid, "IPv6Network", kDefineNetwork},
        BadRule{R"("IPv6Network": "::/0")", ErrorKind::invalid, "IPv6Network", kDefineNetwork},
        BadRule{R"("IPv6Network": "10.3.0.0/16")", ErrorKind::invalid, "IPv6Network", kDefineNetwork},
        BadRule{R"("IPv6Network": "fd10::")", ErrorKind::decode, "IPv6Network", kDefineNetwork},
        BadRule{R"("IPv6Network": "fd10::/129")", ErrorKind::decode, "IPv6Network", kDefineNetwork},
        BadRule{R"("IPv6Network": "fd10::%eth0/48")", ErrorKind::decode, "IPv6Network", kDefineNetwork},
        BadRule{R"("IPv6Network": "\u001b[31m/48")", ErrorKind::decode, "IPv6Network", kDefineNetwork},
        BadRule{R"("IPv6Network": "::ffff:10.3.0.0/112")", ErrorKind::decode, "IPv6Network", kDefineNetwork},
        BadRule{R"("IPv6Network": "::/48")", ErrorKind::invalid, "IPv6Network", "::ffff:0:0/96"},
        BadRule{R"("IPv6Network": "::fffe:0:0/95")", ErrorKind::invalid, "IPv6Network", "::ffff:0:0/96"},
        BadRule{R"("IPv6Network": 6)", ErrorKind::decode, "IPv6Network", "must be a string"},
        BadRule{R"("IPv6Network": "fd10::/125")", ErrorKind::invalid, "IPv6Network",
                "network is too small. Minimum useful network prefix is /124"},
        BadRule{R"("IPv6Network": "fd10::/48", "IPv6SubnetLen": 127)", ErrorKind::invalid, "IPv6SubnetLen", "must be less than /127"},
        BadRule{R"("IPv6Network": "fd10::/48", "IPv6SubnetLen": 49)", ErrorKind::invalid, "IPv6SubnetLen",
                "network must be able to accommodate at least four subnets"},
        BadRule{R"("IPv6Network": "fd10::/48", "IPv6SubnetLen": -1)", ErrorKind::invalid, "IPv6SubnetLen", "-1"},
        BadRule{R"("IPv6Network": "fd10::/48", "IPv6SubnetLen": "64")", ErrorKind::decode, "IPv6SubnetLen", "whole number"},
        BadRule{R"("IPv6Network": "fd10::/48", "IPv6SubnetMin": "fd11::")", ErrorKind::invalid, "IPv6SubnetMin",
                "IPv6SubnetMin is not in the range of the IPv6Network"},
        BadRule{R"("IPv6Network": "fd10::/48", "IPv6SubnetMax": "fd11::")", ErrorKind::invalid, "IPv6SubnetMax",
                "IPv6SubnetMax is not in the range of the IPv6Network"},
        BadRule{R"("IPv6Network": "fd10::/48", "IPv6SubnetMin": "fd10::1")", ErrorKind::invalid, "IPv6SubnetMin",
                "IPv6SubnetMin is not on a IPv6SubnetLen boundary: fd10::1"},
        BadRule{R"("IPv6Network": "fd10::/48", "IPv6SubnetMin": "fd10:0:0:9::", "IPv6SubnetMax": "fd10:0:0:8::")", ErrorKind::invalid,
                "IPv6SubnetMin", "above"},
        BadRule{R"("IPv6Network": "fd10::/48", "IPv6SubnetMin": "10.3.0.0")", ErrorKind::decode, "IPv6SubnetMin", "IPv6 address"},
        BadRule{R"("IPv6Network": "fd10::/48", "IPv6SubnetMax": "0.0.0.0")", ErrorKind::decode, "IPv6SubnetMax", "IPv6 address"}));

TEST(NetConfFamilies, neither_is_an_error) {
  const Error error = refuse(R"({"EnableIPv4": false, "Network": "10.3.0.0/16", "Backend": {"Type": "vxlan"}})");
  EXPECT_EQ(error.kind, ErrorKind::invalid);
  EXPECT_THAT(error.message(), AllOf(HasSubstr("net-conf.json: EnableIPv4"), HasSubstr("EnableIPv6")));
}

TEST(NetConfFamilies, udp_carries_ipv4_only) {
  for (const char* json : {R"({"Network": "10.3.0.0/16", "EnableIPv6": true, "IPv6Network": "fd10::/48", "Backend": {"Type": "udp"}})",
                           R"({"Network": "10.3.0.0/16", "EnableIPv6": true, "IPv6Network": "fd10::/48"})",
                           R"({"EnableIPv4": false, "EnableIPv6": true, "IPv6Network": "fd10::/48", "Backend": {"Type": "udp"}})"}) {
    const Error error = refuse(json);
    EXPECT_EQ(error.kind, ErrorKind::unsupported) << json;
    EXPECT_THAT(error.message(), AllOf(HasSubstr("udp"), HasSubstr("EnableIPv6"), HasSubstr(R"({"Type": "vxlan"})")));
  }
}

}  // namespace cluster_net_conf_families_test
}  // namespace merino
