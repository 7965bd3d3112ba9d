#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "base/subnet_env.h"
#include "support/temp_dir.h"

namespace merino {
namespace base_subnet_env_test {

using testing::HasSubstr;

constexpr const char* kPath = "/run/flannel/subnet.env";
constexpr const char* kV4 = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.98.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
constexpr const char* kV6 =
    "FLANNEL_IPV6_NETWORK=fd00:10:244::/48\nFLANNEL_IPV6_SUBNET=fd00:10:244:7::1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=false\n";
constexpr const char* kDual =
    "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.98.1/24\nFLANNEL_IPV6_NETWORK=fd00:10:244::/48\n"
    "FLANNEL_IPV6_SUBNET=fd00:10:244:7::1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=true\n";

Prefix net(std::string_view text) { return Prefix::parse(text).value(); }

SubnetEnv v4_env() {
  SubnetEnv env;
  env.networks = {net("10.244.0.0/16")};
  env.subnet = net("10.244.98.1/24");
  env.mtu = 1450;
  env.ip_masq = true;
  return env;
}

TEST(SubnetEnv, WritesFlannelsBytes) {
  EXPECT_EQ(format_subnet_env(v4_env()), kV4);

  SubnetEnv v6;
  v6.networks_v6 = {net("fd00:10:244::/48")};
  v6.subnet_v6 = net("fd00:10:244:7::1/64");
  v6.mtu = 1430;
  EXPECT_EQ(format_subnet_env(v6), kV6);

  SubnetEnv dual = v4_env();
  dual.networks_v6 = v6.networks_v6;
  dual.subnet_v6 = v6.subnet_v6;
  dual.mtu = 1430;
  EXPECT_EQ(format_subnet_env(dual), kDual);
}

TEST(SubnetEnv, ReadsWhatItWrites) {
  for (const char* text : {kV4, kV6, kDual}) {
    const auto env = parse_subnet_env(text, kPath);
    ASSERT_TRUE(env) << env.error().message();
    EXPECT_EQ(format_subnet_env(*env), text);
  }
  EXPECT_EQ(parse_subnet_env(kV4, kPath).value(), v4_env());
}

TEST(SubnetEnv, LetsHandWrittenFilesPass) {
  const auto env = parse_subnet_env(
      "# by hand\r\n\n  FLANNEL_NETWORK = "
      "\"10.244.0.0/16\"\r\nFLANNEL_SUBNET='10.244.98.1/24'\nUNKNOWN=a=b\nFLANNEL_MTU=9000\nFLANNEL_MTU=1450\n"
      "FLANNEL_IPMASQ=true",
      kPath);
  ASSERT_TRUE(env) << env.error().message();
  EXPECT_EQ(*env, v4_env());
}

TEST(SubnetEnv, SeveralNetworksAreMaskedAndFreeOfDuplicates) {
  const auto env = parse_subnet_env(
      "FLANNEL_NETWORK=10.244.0.0/16,10.245.3.0/16, 10.244.9.9/16\nFLANNEL_SUBNET=10.244.98.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
      kPath);
  ASSERT_TRUE(env) << env.error().message();
  EXPECT_THAT(env->networks, testing::ElementsAre(net("10.244.0.0/16"), net("10.245.0.0/16")));
  EXPECT_THAT(format_subnet_env(*env), HasSubstr("FLANNEL_NETWORK=10.244.0.0/16,10.245.0.0/16\n"));
}

struct BadFile {
  const char* text;
  const char* message;
};

class SubnetEnvBad : public testing::TestWithParam<BadFile> {};

TEST_P(SubnetEnvBad, IsAnInvalidErrorThatNamesFileKeyAndRemedy) {
  const auto env = parse_subnet_env(GetParam().text, kPath);
  ASSERT_FALSE(env);
  EXPECT_EQ(env.error().kind, ErrorKind::invalid);
  EXPECT_THAT(env.error().what, HasSubstr(kPath));
  EXPECT_THAT(env.error().what, HasSubstr(GetParam().message));
  EXPECT_THAT(env.error().remedy, HasSubstr("restart merinod"));
}

INSTANTIATE_TEST_SUITE_P(
    Missing, SubnetEnvBad,
    testing::Values(
        BadFile{"\x1b[2J\n", R"(not KEY=VALUE: "\x1b[2J")"},
        BadFile{"", "is missing FLANNEL_NETWORK, FLANNEL_SUBNET, FLANNEL_MTU, FLANNEL_IPMASQ"},
        BadFile{"FLANNEL_SUBNET=10.244.98.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n", "is missing FLANNEL_NETWORK"},
        BadFile{"FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n", "is missing FLANNEL_SUBNET"},
        BadFile{"FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.98.1/24\nFLANNEL_IPMASQ=true\n", "is missing FLANNEL_MTU"},
        BadFile{"FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.98.1/24\nFLANNEL_MTU=1450\n", "is missing FLANNEL_IPMASQ"},
        BadFile{"FLANNEL_IPV6_NETWORK=fd00::/48\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n", "is missing FLANNEL_IPV6_SUBNET"},
        BadFile{"FLANNEL_IPV6_SUBNET=fd00::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n", "is missing FLANNEL_IPV6_NETWORK"}));

constexpr const char* kNetwork = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.98.1/24\n";

INSTANTIATE_TEST_SUITE_P(
    Wrong, SubnetEnvBad,
    testing::Values(
        BadFile{"FLANNEL_NETWORK=10.244.0.0/33\nFLANNEL_SUBNET=10.244.98.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
                "FLANNEL_NETWORK is \"10.244.0.0/33\""},
        BadFile{"FLANNEL_NETWORK=10.244.0.0/16,\nFLANNEL_SUBNET=10.244.98.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
                "FLANNEL_NETWORK is"},
        BadFile{"FLANNEL_NETWORK=fd00::/48\nFLANNEL_SUBNET=10.244.98.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n", "not an IPv4 network"},
        BadFile{"FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.98.1\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n", "FLANNEL_SUBNET is"},
        BadFile{"FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=fd00::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n", "not an IPv4 subnet"},
        BadFile{"FLANNEL_IPV6_NETWORK=10.0.0.0/8\nFLANNEL_IPV6_SUBNET=fd00::1/64\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
                "not an IPv6 network"},
        BadFile{"FLANNEL_IPV6_NETWORK=fd00::/48\nFLANNEL_IPV6_SUBNET=10.0.0.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
                "not an IPv6 subnet"},
        BadFile{"just text\n", "a line that is not KEY=VALUE: \"just text\""}));

class SubnetEnvValue : public testing::TestWithParam<BadFile> {};

TEST_P(SubnetEnvValue, IsRefused) {
  const auto env = parse_subnet_env(std::string(kNetwork) + GetParam().text, kPath);
  ASSERT_FALSE(env);
  EXPECT_THAT(env.error().what, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(Wrong, SubnetEnvValue,
                         testing::Values(BadFile{"FLANNEL_MTU=\nFLANNEL_IPMASQ=true\n", "FLANNEL_MTU is \"\", not a number from 68"},
                                         BadFile{"FLANNEL_MTU=1450x\nFLANNEL_IPMASQ=true\n", "FLANNEL_MTU"},
                                         BadFile{"FLANNEL_MTU=-1\nFLANNEL_IPMASQ=true\n", "FLANNEL_MTU"},
                                         BadFile{"FLANNEL_MTU=67\nFLANNEL_IPMASQ=true\n", "FLANNEL_MTU"},
                                         BadFile{"FLANNEL_MTU=65537\nFLANNEL_IPMASQ=true\n", "FLANNEL_MTU"},
                                         BadFile{"FLANNEL_MTU=99999999999999999999\nFLANNEL_IPMASQ=true\n", "FLANNEL_MTU"},
                                         BadFile{"FLANNEL_MTU=1450\nFLANNEL_IPMASQ=yes\n", "FLANNEL_IPMASQ is \"yes\", not true or false"},
                                         BadFile{"FLANNEL_MTU=1450\nFLANNEL_IPMASQ=\"\n", "FLANNEL_IPMASQ"}));

TEST(SubnetEnv, BinaryNonsenseIsAnError) {
  EXPECT_FALSE(parse_subnet_env(std::string(1000, '\0'), kPath));
  EXPECT_FALSE(parse_subnet_env(std::string(1000, '='), kPath));
  EXPECT_FALSE(parse_subnet_env(std::string("FLANNEL_NETWORK=10.244.0.0/16\0\n", 31), kPath));
}

TEST(SubnetEnv, LoadsAFile) {
  const test::TempDir directory;
  const std::string path = directory.file("subnet.env");
  ASSERT_TRUE(write_file_atomic(path, kV4));
  EXPECT_EQ(load_subnet_env(path).value(), v4_env());
}

TEST(SubnetEnv, MissingFileIsNotFoundWithARemedy) {
  const test::TempDir directory;
  const auto env = load_subnet_env(directory.file("subnet.env"));
  ASSERT_FALSE(env);
  EXPECT_EQ(env.error().kind, ErrorKind::not_found);
  EXPECT_THAT(env.error().message(), HasSubstr(directory.file("subnet.env")));
  EXPECT_THAT(env.error().remedy, HasSubstr("is merinod running"));
}

TEST(SubnetEnv, HugeFileIsInvalid) {
  const test::TempDir directory;
  const std::string path = directory.file("subnet.env");
  ASSERT_TRUE(write_file_atomic(path, std::string(1 << 20, '#')));
  const auto env = load_subnet_env(path);
  ASSERT_FALSE(env);
  EXPECT_EQ(env.error().kind, ErrorKind::invalid);
}

}  // namespace base_subnet_env_test
}  // namespace merino
