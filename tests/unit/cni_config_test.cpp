#include <gmock/gmock.h>

#include "cni/config.h"

namespace merino::cni {
namespace cni_config_test {

Outcome<NetworkConf> parse(const std::string& text, Command command = Command::add, const std::string& args = "") {
  Environment environment;
  environment.args = args;
  return parse_network_conf(text, environment, command);
}

// A configuration with more keys in it.
std::string conf(const std::string& keys = "") {
  return R"({"cniVersion":"1.0.0","name":"cbr0","type":"merino")" + (keys.empty() ? "" : "," + keys) + "}";
}

SubnetEnv subnet_env() {
  SubnetEnv env;
  env.networks = {*Prefix::parse("10.244.0.0/16")};
  env.subnet = *Prefix::parse("10.244.98.1/24");
  env.mtu = 1450;
  return env;
}

TEST(config, defaults) {
  const auto it = parse(conf());
  ASSERT_TRUE(it) << it.error().msg;
  EXPECT_EQ(it->name, "cbr0");
  EXPECT_EQ(it->version, SpecVersion::v1_0_0);
  EXPECT_EQ(it->subnet_file, "/run/flannel/subnet.env");
  EXPECT_EQ(it->mtu, std::nullopt);
  EXPECT_EQ(it->delivery, Delivery::peer);
  EXPECT_EQ(it->ipam_type, "host-local");
  EXPECT_EQ(it->host_local.data_dir, "/var/lib/cni/networks");
  EXPECT_EQ(it->host_local.network, "cbr0");
  EXPECT_TRUE(it->needs_subnet_env());
  EXPECT_FALSE(it->has_prev_result);
}

TEST(config, subnet_env_gives_mtu_range_and_routes) {
  NetworkConf it = *parse(conf());
  apply_subnet_env(it, subnet_env());
  EXPECT_EQ(it.mtu, 1450);
  ASSERT_EQ(it.host_local.ranges.size(), 1);
  EXPECT_EQ(to_string(it.host_local.ranges[0]), "10.244.98.1-10.244.98.254");
  EXPECT_EQ(it.host_local.ranges[0][0].gateway.to_string(), "10.244.98.1");
  EXPECT_EQ(it.host_local.routes, (std::vector<ResultRoute>{{*Prefix::parse("10.244.0.0/16"), std::nullopt, 0}}));
  EXPECT_FALSE(it.needs_subnet_env());
}

TEST(config, both_families_of_subnet_env_are_range_sets) {
  SubnetEnv env = subnet_env();
  env.networks_v6 = {*Prefix::parse("fd00::/48")};
  env.subnet_v6 = *Prefix::parse("fd00:0:0:62::1/64");
  NetworkConf it = *parse(conf());
  apply_subnet_env(it, env);
  ASSERT_EQ(it.host_local.ranges.size(), 2);
  EXPECT_EQ(it.host_local.ranges[1][0].subnet.to_string(), "fd00:0:0:62::/64");
  EXPECT_EQ(it.host_local.routes.size(), 2);
}

TEST(config, what_the_configuration_says_wins_over_subnet_env) {
  NetworkConf it = *parse(conf(R"("mtu":9000,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.7.0.0/24"}]]})"));
  EXPECT_FALSE(it.needs_subnet_env());
  apply_subnet_env(it, subnet_env());
  EXPECT_EQ(it.mtu, 9000);
  EXPECT_EQ(to_string(it.host_local.ranges.at(0)), "10.7.0.1-10.7.0.254");
  EXPECT_TRUE(it.host_local.routes.empty());
}

TEST(config, another_ipam_needs_subnet_env_for_the_mtu_only) {
  EXPECT_TRUE(parse(conf(R"("ipam":{"type":"dhcp"})"))->needs_subnet_env());
  EXPECT_FALSE(parse(conf(R"("mtu":1400,"ipam":{"type":"dhcp"})"))->needs_subnet_env());
}

TEST(config, ranges_in_the_order_that_numbers_last_reserved_ip) {
  const auto it = parse(conf(R"("runtimeConfig":{"ipRanges":[[{"subnet":"10.3.0.0/24"}]]},
      "ipam":{"type":"host-local","subnet":"10.1.0.0/24","rangeStart":"10.1.0.10","rangeEnd":"10.1.0.20","gateway":"10.1.0.254",
              "ranges":[[{"subnet":"10.2.0.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}],"dataDir":"/d","resolvConf":"/r"})"));
  ASSERT_TRUE(it) << it.error().msg;
  const HostLocalConf& host_local = it->host_local;
  ASSERT_EQ(host_local.ranges.size(), 3);
  EXPECT_EQ(to_string(host_local.ranges[0]), "10.3.0.1-10.3.0.254");
  EXPECT_EQ(to_string(host_local.ranges[1]), "10.1.0.10-10.1.0.20");
  EXPECT_EQ(host_local.ranges[1][0].gateway.to_string(), "10.1.0.254");
  EXPECT_EQ(to_string(host_local.ranges[2]), "10.2.0.1-10.2.0.254");
  EXPECT_EQ(host_local.data_dir, "/d");
  EXPECT_EQ(host_local.resolv_conf, "/r");
  EXPECT_EQ(host_local.routes.size(), 1);
}

TEST(config, addresses_are_requested_in_three_ways) {
  const auto it = parse(conf(R"("args":{"cni":{"ips":["10.1.0.6"]}},"runtimeConfig":{"ips":["10.1.0.7/24","10.1.0.5"]})"), Command::add,
                        "IgnoreUnknown=1;IP=10.1.0.5");
  ASSERT_TRUE(it) << it.error().msg;
  EXPECT_THAT(it->host_local.requested,
              testing::ElementsAre(*IpAddress::parse("10.1.0.5"), *IpAddress::parse("10.1.0.6"), *IpAddress::parse("10.1.0.7")));
}

TEST(config, delivery_through_the_host_side_is_asked_for_or_follows_from_bandwidth) {
  EXPECT_EQ(parse(conf(R"("delivery":"redirect")"))->delivery, Delivery::redirect);
  EXPECT_EQ(parse(conf(R"("delivery":"peer")"))->delivery, Delivery::peer);
  EXPECT_EQ(parse(conf(R"("capabilities":{"bandwidth":true},"runtimeConfig":{"bandwidth":{"ingressRate":1000}})"))->delivery,
            Delivery::redirect);
  EXPECT_EQ(parse(conf(R"("capabilities":{"bandwidth":true},"runtimeConfig":{"bandwidth":{"ingressRate":1,"egressRate":1}})"))->delivery,
            Delivery::stack);
  EXPECT_EQ(parse(conf(R"("runtimeConfig":{"bandwidth":{"ingressRate":1,"egressRate":0}})"))->delivery, Delivery::redirect);
  EXPECT_EQ(parse(conf(R"("runtimeConfig":{"bandwidth":{"egressRate":"fast"}})"))->delivery, Delivery::redirect);
  EXPECT_EQ(parse(conf(R"("runtimeConfig":{"bandwidth":[1]})"))->delivery, Delivery::redirect);
  EXPECT_EQ(parse(conf(R"("capabilities":{"bandwidth":true})"))->delivery, Delivery::peer);
  EXPECT_FALSE(parse(conf(R"("delivery":"stack")")));
}

TEST(config, unknown_keys_are_let_pass) {
  EXPECT_TRUE(parse(conf(R"("isDefaultGateway":true,"runtimeConfig":{"portMappings":[{"hostPort":80}],"x":1},"ipMasq":true)")));
}

struct Refusal {
  const char* text;
  Code code;
  const char* names;
};

TEST(config, refusals_have_the_specs_code_and_name_the_key) {
  const Refusal refusals[] = {
      {"", Code::decoding_failure, "JSON"},
      {"{", Code::decoding_failure, "JSON"},
      {"[]", Code::decoding_failure, "object"},
      {"{\"name\":\"\xff\"}", Code::decoding_failure, "JSON"},
      {R"({"cniVersion":"1.0.0"})", Code::invalid_config, "name"},
      {R"({"cniVersion":"1.0.0","name":"../x"})", Code::invalid_config, "name"},
      {R"({"cniVersion":"1.0.0","name":5})", Code::invalid_config, "name"},
      {R"({"name":"x"})", Code::incompatible_version, "cniVersion"},
      {R"({"cniVersion":"0.2.0","name":"x"})", Code::incompatible_version, "0.2.0"},
      {R"({"cniVersion":"9.0.0","name":"x"})", Code::incompatible_version, "9.0.0"},
      {R"({"cniVersion":1,"name":"x"})", Code::invalid_config, "cniVersion"},
      {R"({"cniVersion":"1.0.0","name":"x","mtu":"1400"})", Code::invalid_config, "mtu"},
      {R"({"cniVersion":"1.0.0","name":"x","mtu":10})", Code::invalid_config, "mtu"},
      {R"({"cniVersion":"1.0.0","name":"x","mtu":70000})", Code::invalid_config, "mtu"},
      {R"({"cniVersion":"1.0.0","name":"x","delivery":"pigeon"})", Code::invalid_config, "delivery"},
      {R"({"cniVersion":"1.0.0","name":"x","subnetFile":1})", Code::invalid_config, "subnetFile"},
      {R"({"cniVersion":"1.0.0","name":"x","ipam":[]})", Code::invalid_config, "ipam"},
      {R"({"cniVersion":"1.0.0","name":"x","ipam":{"type":"../sh"}})", Code::invalid_config, "ipam.type"},
      {R"({"cniVersion":"1.0.0","name":"x","ipam":{"ranges":[{"subnet":"10.0.0.0/8"}]}})", Code::invalid_config, "ranges"},
      {R"({"cniVersion":"1.0.0","name":"x","ipam":{"ranges":[[{"gateway":"10.0.0.1"}]]}})", Code::invalid_config, "subnet"},
      {R"({"cniVersion":"1.0.0","name":"x","ipam":{"ranges":[[]]}})", Code::invalid_config, "empty"},
      {R"({"cniVersion":"1.0.0","name":"x","ipam":{"routes":[{"dst":"x"}]}})", Code::decoding_failure, "dst"},
      {R"({"cniVersion":"1.0.0","name":"x","runtimeConfig":{"ips":["x"]}})", Code::decoding_failure, "ips"},
      {R"({"cniVersion":"1.0.0","name":"x","dns":{"search":"x"}})", Code::invalid_config, "search"},
  };
  for (const Refusal& refusal : refusals) {
    const auto it = parse(refusal.text);
    ASSERT_FALSE(it) << refusal.text;
    EXPECT_EQ(it.error().code, refusal.code) << refusal.text << " " << it.error().msg;
    EXPECT_THAT(it.error().msg, testing::HasSubstr(refusal.names)) << refusal.text;
  }
}

TEST(config, a_broken_ipam_section_does_not_keep_pods_from_going_away) {
  const std::string broken = conf(R"("ipam":{"dataDir":"/d","ranges":[[{"subnet":"10.0.0.0/32"}]]})");
  EXPECT_FALSE(parse(broken, Command::add));
  EXPECT_FALSE(parse(broken, Command::status));
  const auto it = parse(broken, Command::del);
  ASSERT_TRUE(it) << it.error().msg;
  EXPECT_EQ(it->host_local.data_dir, "/d");
  EXPECT_EQ(it->host_local.network, "cbr0");
}

TEST(config, prev_result_is_read_for_check_and_del) {
  const std::string good = conf(R"("prevResult":{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.5/24"}]})");
  EXPECT_EQ(parse(good, Command::check)->prev_result->addresses.size(), 1);
  EXPECT_EQ(parse(good, Command::del)->prev_result->addresses.size(), 1);
  EXPECT_TRUE(parse(good, Command::add)->has_prev_result);
}

TEST(config, a_broken_prev_result_matters_to_check_only) {
  for (const char* broken : {R"("prevResult":{"ips":[{"address":"x"}]})", R"("prevResult":"x")"}) {
    EXPECT_THAT(parse(conf(broken), Command::check).error().msg, testing::HasSubstr("prevResult"));
    const auto it = parse(conf(broken), Command::del);
    ASSERT_TRUE(it);
    EXPECT_EQ(it->prev_result, std::nullopt);
  }
}

TEST(config, gc_reads_the_valid_attachments) {
  const auto it =
      parse(conf(R"("cni.dev/valid-attachments":[{"containerID":"a","ifname":"eth0"},{"containerID":"b","ifname":"net1"}])"), Command::gc);
  ASSERT_TRUE(it) << it.error().msg;
  EXPECT_THAT(it->valid_attachments, testing::ElementsAre(AttachmentId{"a", "eth0"}, AttachmentId{"b", "net1"}));
  EXPECT_TRUE(parse(conf(R"("cni.dev/attachments":[])"), Command::gc));
  EXPECT_TRUE(parse(conf(R"("cni.dev/valid-attachments":null)"), Command::gc)->valid_attachments.empty());
}

TEST(config, gc_without_a_list_is_refused) {
  EXPECT_THAT(parse(conf(), Command::gc).error().msg, testing::HasSubstr("valid-attachments"));
  EXPECT_FALSE(parse(conf(R"("cni.dev/valid-attachments":{})"), Command::gc));
  EXPECT_FALSE(parse(conf(R"("cni.dev/valid-attachments":["a"])"), Command::gc));
  EXPECT_FALSE(parse(conf(R"("cni.dev/valid-attachments":[{"containerID":"a"}])"), Command::gc));
}

// Bytes of every kind at every place of a configuration that uses all keys: an answer, whichever, and no crash.
TEST(config, hostile_bytes) {
  const std::string full =
      conf(R"("mtu":1400,"delivery":"peer","dns":{"search":["a"]},"runtimeConfig":{"ips":["10.0.0.5/8"],"bandwidth":{}},
      "ipam":{"type":"","subnet":"10.0.0.0/8","ranges":[[{"subnet":"fd00::/64","rangeStart":"fd00::5"}]],"routes":[{"dst":"::/0","mtu":1}]},
      "cni.dev/valid-attachments":[{"containerID":"a","ifname":"b"}],"prevResult":{"interfaces":[{"name":"x"}],"ips":[{"address":"10.0.0.1/8"}]})");
  ASSERT_TRUE(parse(full));
  for (size_t i = 0; i < full.size(); i++) {
    for (const char byte : {'\0', '"', '0', '9', '-', '{', '[', ']', '\xff'}) {
      std::string broken = full;
      broken[i] = byte;
      for (const Command command : {Command::add, Command::check, Command::gc}) (void)parse(broken, command);
    }
    (void)parse(full.substr(0, i));
  }
}

TEST(config, errors_are_written_in_the_version_that_was_asked_for) {
  EXPECT_EQ(version_of(R"({"cniVersion":"0.3.1"})"), SpecVersion::v0_3_1);
  EXPECT_EQ(version_of(R"({"cniVersion":"0.2.0"})"), kLatestVersion);
  EXPECT_EQ(version_of("nonsense"), kLatestVersion);
}

}  // namespace cni_config_test
}  // namespace merino::cni
