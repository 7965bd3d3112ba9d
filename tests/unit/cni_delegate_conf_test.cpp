// What flannel's plugin tells its delegate, byte for byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cni/config.h"
#include "cni/delegate_conf.h"
#include "support/golden.h"

namespace merino::cni {
namespace cni_delegate_conf_test {

using testing::HasSubstr;

SubnetEnv env_of(const std::string& network, const char* masquerade = "true") {
  return *parse_subnet_env(
      "FLANNEL_NETWORK=" + network + "\nFLANNEL_SUBNET=10.244.98.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=" + masquerade + "\n",
      "subnet.env");
}

std::string conf(const std::string& keys) { return R"({"name":"cbr0","cniVersion":"0.3.1","type":"flannel")" + keys + "}"; }

std::string rendered(const std::string& keys, const SubnetEnv& env = env_of("10.244.0.0/16")) {
  const auto delegate = render_delegate(conf(keys), env);
  return delegate ? delegate->text : "error: " + delegate.error().msg;
}

TEST(DelegateConf, OfTheManifestIsAsFlannelWritesIt) {
  EXPECT_EQ(rendered(R"(,"delegate":{"hairpinMode":true,"isDefaultGateway":true})"), test::golden("flannel_delegate.json"));
}

SubnetEnv dual_stack_env() {
  SubnetEnv env = env_of("10.244.0.0/16");
  env.networks_v6 = {*Prefix::parse("fd10:244::/48")};
  env.subnet_v6 = *Prefix::parse("fd10:244:0:62::1/64");
  return env;
}

TEST(DelegateConf, DualStackHasTwoRangesAndRoutes) {
  EXPECT_EQ(rendered(R"(,"delegate":{"hairpinMode":true,"isDefaultGateway":true})", dual_stack_env()),
            test::golden("flannel_delegate_dual_stack.json"));
}

TEST(DelegateConf, Ipv6Alone) {
  SubnetEnv env = dual_stack_env();
  env.networks.clear();
  env.subnet.reset();
  EXPECT_THAT(rendered("", env), HasSubstr(R"("ranges":[[{"subnet":"fd10:244:0:62::/64"}]],"routes":[{"dst":"fd10:244::/48"}])"));
}

TEST(DelegateConf, EachNetworkIsARouteOnce) {
  EXPECT_THAT(rendered("", env_of("10.244.0.0/16,10.96.0.0/16,10.244.0.0/16")),
              HasSubstr(R"("routes":[{"dst":"10.244.0.0/16"},{"dst":"10.96.0.0/16"}])"));
}

TEST(DelegateConf, TheBaseIpamIsKeptButForItsRanges) {
  EXPECT_THAT(rendered(R"(,"ipam":{"dataDir":"/x","ranges":[[{"subnet":"1.2.3.0/24"}]],"routes":[{"dst":"5.0.0.0/8"}]})"),
              HasSubstr(R"("ipam":{"dataDir":"/x","ranges":[[{"subnet":"10.244.98.0/24"}]],)"
                        R"("routes":[{"dst":"5.0.0.0/8"},{"dst":"10.244.0.0/16"}],"type":"host-local"})"));
}

TEST(DelegateConf, WhatIsGivenWins) {
  EXPECT_EQ(
      rendered(R"(,"runtimeConfig":{"ips":["10.244.98.9"]},"delegate":{"type":"macvlan","mtu":1300,"ipMasq":false,"master":"a<b"})",
               env_of("10.244.0.0/16", "false")),
      R"({"cniVersion":"0.3.1","ipMasq":false,"ipam":{"ranges":[[{"subnet":"10.244.98.0/24"}]],"routes":[{"dst":"10.244.0.0/16"}],)"
      R"("type":"host-local"},"master":"a\u003cb","mtu":1300,"name":"cbr0","runtimeConfig":{"ips":["10.244.98.9"]},"type":"macvlan"})");
  EXPECT_THAT(rendered("", env_of("10.244.0.0/16", "false")), HasSubstr(R"("ipMasq":true)"));
}

TEST(DelegateConf, WhatIsFlannelsToSetIsRefused) {
  EXPECT_EQ(rendered(R"(,"delegate":{"name":"x"})"), R"(error: "delegate" must not have "name")");
  EXPECT_EQ(rendered(R"(,"delegate":{"ipam":{}})"), R"(error: "delegate" must not have "ipam")");
  EXPECT_EQ(rendered(R"(,"delegate":{"type":5})"), R"(error: "type" in "delegate" must be a text)");
  EXPECT_THAT(rendered(R"(,"delegate":[])"), HasSubstr("error: "));
  EXPECT_THAT(rendered(R"(,"ipam":{"routes":"x"})"), HasSubstr("error: "));
}

TEST(DelegateConf, AsABridgeConfiguration) {
  const auto parse = [](const std::string& keys) { return parse_bridge_conf(rendered(keys), Environment{}, Command::add); };
  const auto by_gateway = parse(R"(,"delegate":{"isDefaultGateway":true,"mtu":1400})");
  ASSERT_TRUE(by_gateway) << by_gateway.error().msg;
  EXPECT_EQ(by_gateway->default_route, DefaultRoute::gateway);
  EXPECT_EQ(by_gateway->mtu, 1400);
  EXPECT_EQ(by_gateway->name, "cbr0");
  EXPECT_FALSE(by_gateway->needs_subnet_env());
  EXPECT_EQ(parse("")->default_route, DefaultRoute::as_given);
  EXPECT_EQ(parse(R"(,"delegate":{"vlan":0})")->default_route, DefaultRoute::as_given);
  EXPECT_EQ(parse(R"(,"delegate":{"vlan":100})").error().code, Code::invalid_config);
}

}  // namespace cni_delegate_conf_test
}  // namespace merino::cni
