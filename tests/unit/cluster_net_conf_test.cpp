#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "cluster/net_conf.h"
#include "support/golden.h"
#include "support/temp_dir.h"

namespace merino {
namespace cluster_net_conf_test {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// The rest of a valid net-conf behind `keys`.
std::string conf_with(const std::string& keys) { return "{" + keys + R"(, "Backend": {"Type": "vxlan"}})"; }
std::string backend_with(const std::string& keys) { return R"({"Network": "10.3.0.0/16", "Backend": {"Type": "vxlan", )" + keys + "}}"; }

NetConf parse(const std::string& json) {
  auto conf = parse_net_conf(json, "net-conf.json");
  EXPECT_TRUE(conf) << json << "\n" << conf.error().message();
  return conf.value_or(NetConf{});
}

Error refuse(const std::string& json) {
  auto conf = parse_net_conf(json, "net-conf.json");
  EXPECT_FALSE(conf) << json;
  return conf ? Error{} : conf.error();
}

const SubnetPool& v4_pool(const NetConf& conf) { return conf.pools.v4.value(); }

TEST(NetConf, defaults) {  // flannel: TestConfigDefaults
  const NetConf conf = parse(conf_with(R"("network": "10.3.0.0/16")"));
  EXPECT_EQ(v4_pool(conf).network.to_string(), "10.3.0.0/16");
  EXPECT_EQ(v4_pool(conf).subnet_min.to_string(), "10.3.1.0");
  EXPECT_EQ(v4_pool(conf).subnet_max.to_string(), "10.3.255.0");
  EXPECT_EQ(v4_pool(conf).subnet_len, 24);
  EXPECT_EQ(conf.backend, BackendType::vxlan);
  EXPECT_EQ(conf.vxlan.vni, 1U);
  EXPECT_EQ(conf.vxlan.port, 8472);
  EXPECT_EQ(conf.vxlan.mtu, std::nullopt);
  EXPECT_FALSE(conf.vxlan.direct_routing);
  EXPECT_FALSE(conf.has_direct_peers());
  EXPECT_TRUE(conf.fast_path);
}

TEST(NetConf, overrides) {  // flannel: TestConfigOverrides
  const NetConf conf = parse(conf_with(R"("Network": "10.3.0.0/16", "SubnetMin": "10.3.5.0", "SubnetMax": "10.3.8.0", "SubnetLen": 28)"));
  EXPECT_EQ(v4_pool(conf).network.to_string(), "10.3.0.0/16");
  EXPECT_EQ(v4_pool(conf).subnet_min.to_string(), "10.3.5.0");
  EXPECT_EQ(v4_pool(conf).subnet_max.to_string(), "10.3.8.0");
  EXPECT_EQ(v4_pool(conf).subnet_len, 28);
}

TEST(NetConf, backend_overrides) {
  const NetConf conf = parse(
      backend_with(R"("VNI": 4096, "Port": 4789, "MTU": 9000, "GBP": false, "Learning": false, "DirectRouting": true, "FastPath": false)"));
  EXPECT_EQ(conf.vxlan.vni, 4096U);
  EXPECT_EQ(conf.vxlan.port, 4789);
  EXPECT_EQ(conf.vxlan.mtu, 9000);
  EXPECT_TRUE(conf.vxlan.direct_routing);
  EXPECT_TRUE(conf.has_direct_peers());
  EXPECT_FALSE(conf.fast_path);
}

TEST(NetConf, the_manifest_of_flannel_is_accepted) {
  const NetConf conf = parse(test::golden("kube-flannel-net-conf.json"));
  EXPECT_EQ(v4_pool(conf).network.to_string(), "10.244.0.0/16");
}

TEST(NetConf, defaults_follow_the_size_of_the_network) {
  struct Case {
    const char* network;
    int subnet_len;
    const char* min;
    const char* max;
  };
  for (const Case& c : {Case{"10.0.0.0/8", 24, "10.0.1.0", "10.255.255.0"}, Case{"10.1.4.0/22", 24, "10.1.5.0", "10.1.7.0"},
                        Case{"10.1.4.0/23", 25, "10.1.4.128", "10.1.5.128"}, Case{"10.1.4.16/28", 30, "10.1.4.20", "10.1.4.28"},
                        Case{"255.0.0.0/8", 24, "255.0.1.0", "255.255.255.0"}, Case{"10.3.4.5/16", 24, "10.3.1.0", "10.3.255.0"}}) {
    const NetConf conf = parse(conf_with(R"("Network": ")" + std::string(c.network) + "\""));
    EXPECT_EQ(v4_pool(conf).subnet_len, c.subnet_len) << c.network;
    EXPECT_EQ(v4_pool(conf).subnet_min.to_string(), c.min) << c.network;
    EXPECT_EQ(v4_pool(conf).subnet_max.to_string(), c.max) << c.network;
    EXPECT_EQ(v4_pool(conf).network, v4_pool(conf).network.masked());
  }
}

TEST(NetConf, zero_means_default_as_for_flannel) {
  const NetConf conf = parse(R"({"Network": "10.3.0.0/16", "SubnetLen": 0, "SubnetMin": "0.0.0.0", "SubnetMax": "0.0.0.0",
                                 "Backend": {"Type": "vxlan", "Port": 0, "MTU": 0, "VNI": 0}})");
  EXPECT_EQ(v4_pool(conf).subnet_len, 24);
  EXPECT_EQ(v4_pool(conf).subnet_min.to_string(), "10.3.1.0");
  EXPECT_EQ(v4_pool(conf).subnet_max.to_string(), "10.3.255.0");
  EXPECT_EQ(conf.vxlan.port, 8472);
  EXPECT_EQ(conf.vxlan.mtu, std::nullopt);
  EXPECT_EQ(conf.vxlan.vni, 0U);  // a VNI like any other
}

TEST(NetConf, the_first_subnet_can_be_asked_for) {
  EXPECT_EQ(v4_pool(parse(conf_with(R"("Network": "10.3.0.0/16", "SubnetMin": "10.3.0.0")"))).subnet_min.to_string(), "10.3.0.0");
}

TEST(NetConf, keys_match_in_any_case_and_the_last_one_wins) {
  EXPECT_EQ(parse(R"({"NETWORK": "10.3.0.0/16", "backend": {"tYPE": "VXLAN", "vni": 7}})").vxlan.vni, 7U);
  EXPECT_EQ(v4_pool(parse(conf_with(R"("Network": "10.3.0.0/16", "network": "10.4.0.0/16")"))).network.to_string(), "10.4.0.0/16");
  EXPECT_EQ(
      v4_pool(parse(conf_with(R"("Network": "10.3.0.0/16", "network": "10.4.0.0/16", "Network": "10.5.0.0/16")"))).network.to_string(),
      "10.5.0.0/16");
  EXPECT_EQ(parse(R"({"Network": "10.3.0.0/16", "Backend": {"Type": "udp"}, "BACKEND": {"Type": "vxlan"}})").backend, BackendType::vxlan);
  EXPECT_EQ(parse(backend_with(R"("VNI": 1, "VNI": 2)")).vxlan.vni, 2U);
}

TEST(NetConf, unknown_keys_are_ignored_and_null_is_absent) {
  const NetConf conf = parse(R"({"Network": "10.3.0.0/16", "Comment": [{"Network": 5}, [[]]], "SubnetLen": null, "SubnetMin": null,
                                 "EnableIPv6": false, "IPv6Network": "fc00::/48", "EnableNFTables": true,
                                 "Backend": {"Type": "vxlan", "Name": "x", "MacPrefix": "0E-2A", "MTU": null, "VNI": null}})");
  EXPECT_EQ(v4_pool(conf).network.to_string(), "10.3.0.0/16");
  EXPECT_EQ(v4_pool(conf).subnet_len, 24);
  EXPECT_EQ(conf.vxlan.vni, 1U);
}

TEST(NetConf, an_array_beside_a_key_does_not_hide_it) {
  const NetConf conf =
      parse(R"({"a": [1, [2, {"Network": "10.9.0.0/16"}]], "Network": "10.3.0.0/16", "Backend": {"b": [], "Type": "vxlan"}})");
  EXPECT_EQ(v4_pool(conf).network.to_string(), "10.3.0.0/16");
}

struct BadRule {
  const char* keys;
  ErrorKind kind;
  const char* key;   // named in the message
  const char* text;  // flannel's, where it has one
};

class NetConfRule : public testing::TestWithParam<BadRule> {};

TEST_P(NetConfRule, is_an_error_with_file_key_and_remedy) {
  const Error error = refuse(conf_with(GetParam().keys));
  EXPECT_EQ(error.kind, GetParam().kind) << error.message();
  EXPECT_THAT(error.what, AllOf(HasSubstr("net-conf.json"), HasSubstr(GetParam().key), HasSubstr(GetParam().text)));
}

constexpr const char* kDefineNetwork = "please define a correct Network parameter in the flannel config";
INSTANTIATE_TEST_SUITE_P(
    Rules, NetConfRule,
    testing::Values(
        BadRule{R"("EnableIPv4": true)", ErrorKind::invalid, "Network", kDefineNetwork},
        BadRule{R"("Network": null)", ErrorKind::invalid, "Network", kDefineNetwork},
        BadRule{R"("Network": "0.0.0.0/0")", ErrorKind::invalid, "Network", kDefineNetwork},
        BadRule{R"("Network": "")", ErrorKind::invalid, "Network", kDefineNetwork},
        BadRule{R"("Network": "10.3.0.0")", ErrorKind::decode, "Network", kDefineNetwork},
        BadRule{R"("Network": "10.3.0.0/33")", ErrorKind::decode, "Network", kDefineNetwork},
        BadRule{R"("Network": "10.300.0.0/16")", ErrorKind::decode, "Network", kDefineNetwork},
        BadRule{R"("Network": "fd00::/48")", ErrorKind::invalid, "Network", kDefineNetwork},
        BadRule{R"("Network": "10.3.0.0/29")", ErrorKind::invalid, "Network", "network is too small. Minimum useful network prefix is /28"},
        BadRule{R"("Network": "10.3.0.0/16", "SubnetLen": 31)", ErrorKind::invalid, "SubnetLen", "SubnetLen must be less than /31"},
        BadRule{R"("Network": "10.3.0.0/16", "SubnetLen": 17)", ErrorKind::invalid, "SubnetLen",
                "network must be able to accommodate at least four subnets"},
        BadRule{R"("Network": "10.3.0.0/29", "SubnetLen": 30)", ErrorKind::invalid, "SubnetLen",
                "network must be able to accommodate at least four subnets"},
        BadRule{R"("Network": "10.3.0.0/16", "SubnetLen": -1)", ErrorKind::invalid, "SubnetLen", "-1"},
        BadRule{R"("Network": "10.3.0.0/16", "SubnetLen": 99999999999999999999)", ErrorKind::decode, "SubnetLen", "whole number"},
        BadRule{R"("Network": "10.3.0.0/16", "SubnetLen": 18446744073709551615)", ErrorKind::invalid, "SubnetLen", "found"},
        BadRule{R"("Network": "10.3.0.0/16", "SubnetMin": "10.4.1.0")", ErrorKind::invalid, "SubnetMin",
                "SubnetMin is not in the range of the Network"},
        BadRule{R"("Network": "10.3.0.0/16", "SubnetMax": "10.4.1.0")", ErrorKind::invalid, "SubnetMax",
                "SubnetMax is not in the range of the Network"},
        BadRule{R"("Network": "10.3.0.0/16", "SubnetMin": "10.3.5.1")", ErrorKind::invalid, "SubnetMin",
                "SubnetMin is not on a SubnetLen boundary: 10.3.5.1"},
        BadRule{R"("Network": "10.3.0.0/16", "SubnetMax": "10.3.8.128")", ErrorKind::invalid, "SubnetMax",
                "SubnetMax is not on a SubnetLen boundary: 10.3.8.128"},
        BadRule{R"("Network": "10.3.0.0/16", "SubnetMin": "10.3.9.0", "SubnetMax": "10.3.8.0")", ErrorKind::invalid, "SubnetMin", "above"},
        BadRule{R"("Network": "10.3.0.0/16", "SubnetMin": "x")", ErrorKind::decode, "SubnetMin", "IPv4 address"},
        BadRule{R"("Network": "10.3.0.0/16", "SubnetMax": "fd00::")", ErrorKind::decode, "SubnetMax", "IPv4 address"},
        BadRule{R"("Network": "10.3.0.0/16", "EnableIPv4": false)", ErrorKind::invalid, "EnableIPv4", "no network at all"},
        BadRule{R"("Network": "10.3.0.0/16", "EnableIPv6": true)", ErrorKind::invalid, "IPv6Network",
                "please define a correct IPv6Network parameter in the flannel config"}));

TEST(NetConf, the_bounds_of_each_rule_are_accepted) {
  EXPECT_EQ(v4_pool(parse(conf_with(R"("Network": "10.3.0.0/16", "SubnetLen": 30)"))).subnet_len, 30);
  EXPECT_EQ(v4_pool(parse(conf_with(R"("Network": "10.3.0.0/16", "SubnetLen": 18)"))).subnet_len, 18);
  EXPECT_EQ(v4_pool(parse(conf_with(R"("Network": "10.3.0.0/28")"))).subnet_len, 30);
  const NetConf one = parse(conf_with(R"("Network": "10.3.0.0/16", "SubnetMin": "10.3.8.0", "SubnetMax": "10.3.8.0")"));
  EXPECT_EQ(v4_pool(one).subnet_min, v4_pool(one).subnet_max);
  EXPECT_EQ(parse(backend_with(R"("VNI": 16777215, "Port": 65535, "MTU": 65535)")).vxlan.vni, 16777215U);
  EXPECT_EQ(parse(backend_with(R"("MTU": 576)")).vxlan.mtu, 576);
}

TEST(NetConf, a_wrong_type_names_file_key_expected_and_found) {
  struct Case {
    std::string json;
    const char* text;
  };
  for (const Case& c : {
           Case{conf_with(R"("Network": 10)"), "net-conf.json: Network must be a string, found the number 10"},
           Case{conf_with(R"("Network": "10.3.0.0/16", "SubnetLen": "24")"),
                "net-conf.json: SubnetLen must be a whole number, found the string \"24\""},
           Case{conf_with(R"("Network": "10.3.0.0/16", "SubnetLen": 24.0)"),
                "net-conf.json: SubnetLen must be a whole number, found the number 24.0"},
           Case{conf_with(R"("Network": "10.3.0.0/16", "SubnetMin": true)"), "net-conf.json: SubnetMin must be a string, found true"},
           Case{conf_with(R"("Network": "10.3.0.0/16", "EnableIPv4": "yes")"),
                "net-conf.json: EnableIPv4 must be true or false, found the string \"yes\""},
           Case{conf_with(R"("Network": "10.3.0.0/16", "EnableNFTables": 1)"),
                "net-conf.json: EnableNFTables must be true or false, found the number 1"},
           Case{R"({"Network": "10.3.0.0/16", "Backend": "vxlan"})",
                "net-conf.json: Backend must be an object, found the string \"vxlan\""},
           Case{R"({"Network": "10.3.0.0/16", "Backend": ["vxlan"]})", "net-conf.json: Backend must be an object, found an array"},
           Case{R"({"Network": "10.3.0.0/16", "Backend": {"Type": {}}})", "net-conf.json: Backend.Type must be a string, found an object"},
           Case{backend_with(R"("VNI": "1")"), "net-conf.json: Backend.VNI must be a whole number, found the string \"1\""},
           Case{backend_with(R"("FastPath": "no")"), "net-conf.json: Backend.FastPath must be true or false, found the string \"no\""},
           Case{"[]", "net-conf.json: must be a JSON object, found an array"},
           Case{"5", "net-conf.json: must be a JSON object, found the number 5"},
       }) {
    const Error error = refuse(c.json);
    EXPECT_EQ(error.kind, ErrorKind::decode) << c.json;
    EXPECT_THAT(error.message(), HasSubstr(c.text));
  }
}

TEST(NetConf, the_fast_path_is_switched_in_backend_only) {
  const Error error = refuse(conf_with(R"("Network": "10.3.0.0/16", "fastpath": false)"));
  EXPECT_EQ(error.kind, ErrorKind::invalid);
  EXPECT_THAT(error.message(), AllOf(HasSubstr("net-conf.json: FastPath stands beside Backend"), HasSubstr("move it into Backend")));
  EXPECT_FALSE(parse(backend_with(R"("FastPath": false)")).fast_path);
}

TEST(NetConf, broken_json_says_where) {
  const Error error = refuse("{\n\"Network\": 10.3.0.0/16}");
  EXPECT_EQ(error.kind, ErrorKind::decode);
  EXPECT_THAT(error.what, AllOf(HasSubstr("net-conf.json: not valid JSON"), HasSubstr("line 2")));
  for (const char* text : {"", " ", "{", "{}}", "{\"Network\"}", "{\"Network\": \"\xff\"}", "nul", "{\"a\": 1e999}", "\x01\x1b[31m"}) {
    const Error broken = refuse(text);
    EXPECT_EQ(broken.kind, ErrorKind::decode) << text;
    EXPECT_THAT(broken.what, Not(HasSubstr("\x1b")));
  }
}

TEST(NetConf, depth_is_limited) {
  std::string deep;
  for (int i = 0; i < 100000; ++i) deep += R"({"a":)";
  EXPECT_THAT(refuse(deep).what, HasSubstr("nested deeper than 64 levels"));
  std::string arrays =
      R"({"a":)" + std::string(100000, '[') + std::string(100000, ']') + R"(, "Network": "10.3.0.0/16", "Backend": {"Type": "vxlan"}})";
  EXPECT_EQ(v4_pool(parse(arrays)).network.to_string(), "10.3.0.0/16");
}

TEST(NetConf, no_backend_is_flannels_udp) {
  for (const char* json : {R"({"Network": "10.3.0.0/16"})", R"({"Network": "10.3.0.0/16", "Backend": null})",
                           R"({"Network": "10.3.0.0/16", "Backend": {"Type": "UDP", "Port": 0}})"}) {
    const NetConf conf = parse(json);
    EXPECT_EQ(conf.backend, BackendType::udp);
    EXPECT_EQ(conf.udp.port, 8285);
    EXPECT_FALSE(conf.has_direct_peers());
    EXPECT_TRUE(conf.fast_path);
  }
}

TEST(NetConf, udp_has_a_port) {
  const auto udp_with = [](const std::string& keys) { return R"({"Network": "10.3.0.0/16", "Backend": {"Type": "udp", )" + keys + "}}"; };
  const NetConf conf = parse(udp_with(R"("port": 65535, "FastPath": false)"));
  EXPECT_EQ(conf.udp.port, 65535);
  EXPECT_FALSE(conf.fast_path);
  for (const char* bad : {R"("Port": 65536)", R"("Port": -1)"}) {
    const Error error = refuse(udp_with(bad));
    EXPECT_EQ(error.kind, ErrorKind::invalid) << bad;
    EXPECT_THAT(error.what, HasSubstr("net-conf.json: Backend.Port"));
  }
  EXPECT_THAT(refuse(udp_with(R"("Port": "8285")")).what, HasSubstr("Backend.Port must be a whole number"));
  // vxlan's keys mean nothing to it, as with flannel.
  EXPECT_EQ(parse(udp_with(R"("MTU": 1, "Learning": true, "DirectRouting": true)")).udp.port, 8285);
}

TEST(NetConf, backends_without_a_tunnel) {
  for (const std::string type : {"host-gw", "Host-GW"}) {
    const NetConf conf = parse(R"({"Network": "10.3.0.0/16", "Backend": {"FastPath": false, "Type": ")" + type + "\"}}");
    EXPECT_EQ(conf.backend, BackendType::host_gw) << type;
    EXPECT_TRUE(conf.has_direct_peers());
    EXPECT_FALSE(conf.fast_path);
  }
  const NetConf alloc = parse(R"({"Network": "10.3.0.0/16", "Backend": {"Type": "alloc"}})");
  EXPECT_EQ(alloc.backend, BackendType::alloc);
  EXPECT_FALSE(alloc.has_direct_peers());
  // vxlan's keys mean nothing to them, as with flannel.
  EXPECT_FALSE(parse(R"({"Network": "10.3.0.0/16", "Backend": {"Type": "alloc", "DirectRouting": true, "MTU": 1}})").has_direct_peers());
}

TEST(NetConf, backends_of_flannel_are_unsupported_with_a_remedy) {
  for (const std::string type : {"ipip", "wireguard", "WireGuard", "ipsec", "extension", "tencent-vpc", "ali-vpc", "aws-vpc", "gce"}) {
    const Error error = refuse(R"({"Network": "10.3.0.0/16", "Backend": {"Type": ")" + type + "\"}}");
    EXPECT_EQ(error.kind, ErrorKind::unsupported) << type;
    EXPECT_THAT(error.what, AllOf(HasSubstr("Backend.Type"), HasSubstr(type == "WireGuard" ? "wireguard" : type)));
    EXPECT_THAT(error.remedy, HasSubstr("vxlan"));
  }
  EXPECT_THAT(refuse(R"({"Network": "10.3.0.0/16", "Backend": {"Type": "wireguard"}})").remedy, HasSubstr("does not encrypt"));
}

TEST(NetConf, other_backends_are_unknown) {
  for (const std::string type : {"", "hostgw", "vxlan2", "vx\\u001blan"}) {
    const Error error = refuse(R"({"Network": "10.3.0.0/16", "Backend": {"Type": ")" + type + "\"}}");
    EXPECT_EQ(error.kind, ErrorKind::invalid) << type;
    EXPECT_THAT(error.message(), AllOf(HasSubstr("unknown backend type"), HasSubstr(R"({"Type": "vxlan"})"), Not(HasSubstr("\x1b"))));
  }
  EXPECT_EQ(refuse(R"({"Network": "10.3.0.0/16", "Backend": {}})").kind, ErrorKind::invalid);
}

TEST(NetConf, keys_that_cannot_be_honoured_are_unsupported) {
  for (const std::string key : {"GBP", "Learning", "learning"}) {
    const Error error = refuse(backend_with("\"" + key + "\": true"));
    EXPECT_EQ(error.kind, ErrorKind::unsupported) << key;
    EXPECT_THAT(error.what, HasSubstr("Backend."));
    EXPECT_THAT(error.remedy, HasSubstr("false"));
    parse(backend_with("\"" + key + "\": false"));
  }
}

TEST(NetConf, numbers_of_the_backend_have_bounds) {
  for (const std::string key :
       {R"("VNI": 16777216)", R"("VNI": -1)", R"("Port": 65536)", R"("Port": -1)", R"("MTU": 65536)", R"("MTU": 575)", R"("MTU": -1)"}) {
    const Error error = refuse(backend_with(key));
    EXPECT_EQ(error.kind, ErrorKind::invalid) << key;
    EXPECT_THAT(error.what, HasSubstr("Backend." + key.substr(1, key.find('"', 1) - 1)));
  }
}

TEST(NetConf, load_reads_the_file_and_names_it) {
  const test::TempDir dir;
  const std::string path = dir.file("net-conf.json");
  const auto missing = load_net_conf(path);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  EXPECT_THAT(missing.error().message(), AllOf(HasSubstr(path), HasSubstr("--net-config-path")));

  test::write_text(path, R"({"Network": "10.3.0.0/16", "Backend": {"Type": "vxlan"}})");
  EXPECT_EQ(v4_pool(load_net_conf(path).value()).network.to_string(), "10.3.0.0/16");

  test::write_text(path, "{}");
  EXPECT_THAT(load_net_conf(path).error().message(), HasSubstr(path));
}

}  // namespace cluster_net_conf_test
}  // namespace merino
