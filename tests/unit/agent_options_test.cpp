#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "agent/options.h"

namespace merino {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Variables = std::map<std::string, std::string>;

Result<CommandLine> parse(const std::vector<std::string>& arguments, const Variables& variables = {}) {
  return parse_command_line(arguments, [&](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    if (found == variables.end()) return std::nullopt;
    return found->second;
  });
}

AgentOptions options_of(std::vector<std::string> arguments, const Variables& variables = {}) {
  arguments.insert(arguments.begin(), "--lease-dir=/leases");
  const auto line = parse(arguments, variables);
  EXPECT_TRUE(line) << line.error().message();
  return line ? line->options : AgentOptions{};
}

std::string refusal(std::vector<std::string> arguments, const Variables& variables = {}) {
  arguments.insert(arguments.begin(), "--lease-dir=/leases");
  const auto line = parse(arguments, variables);
  EXPECT_FALSE(line);
  return line ? "" : line.error().message();
}

TEST(Options, DefaultsAreFlanneldsOwn) {
  const AgentOptions options = options_of({});
  EXPECT_EQ(options.net_conf_path, "/etc/kube-flannel/net-conf.json");
  EXPECT_EQ(options.subnet_file, "/run/flannel/subnet.env");
  EXPECT_FALSE(options.ip_masq);
  EXPECT_TRUE(options.masq_fully_random);
  EXPECT_TRUE(options.forward_rules);
  EXPECT_EQ(options.rules_resync, std::chrono::seconds(5));
  EXPECT_EQ(options.renew_margin, std::chrono::minutes(60));
  EXPECT_EQ(options.healthz_ip, "0.0.0.0");
  EXPECT_EQ(options.healthz_port, 0);
}

TEST(Options, GoSpellings) {
  const std::vector<std::vector<std::string>> spellings = {
      {"-subnet-file", "/x"}, {"--subnet-file", "/x"}, {"-subnet-file=/x"}, {"--subnet-file=/x"}};
  for (const auto& arguments : spellings) EXPECT_EQ(options_of(arguments).subnet_file, "/x") << arguments[0];
  EXPECT_EQ(options_of({"--subnet-file=a=b"}).subnet_file, "a=b") << "only the first = separates";
  EXPECT_EQ(options_of({"--subnet-file", "-x"}).subnet_file, "-x") << "a flag with a value takes the next word, whatever it is";
  EXPECT_EQ(options_of({"--subnet-file=/x", "--subnet-file=/y"}).subnet_file, "/y") << "the last one counts";
}

TEST(Options, BooleansTakeNoSecondWord) {
  EXPECT_TRUE(options_of({"--ip-masq"}).ip_masq);
  EXPECT_TRUE(options_of({"-ip-masq=T"}).ip_masq);
  EXPECT_FALSE(options_of({"--ip-masq", "--ip-masq=false"}).ip_masq);
  EXPECT_FALSE(options_of({"--ip-masq-fully-random-disable"}).masq_fully_random);
  EXPECT_TRUE(options_of({"--ip-masq-fully-random-disable=false"}).masq_fully_random);
  EXPECT_FALSE(options_of({"--iptables-forward-rules=0"}).forward_rules);
  EXPECT_THAT(refusal({"--ip-masq", "false"}), HasSubstr("unexpected argument \"false\""));
  EXPECT_THAT(refusal({"--ip-masq=yes"}), HasSubstr("flag --ip-masq: \"yes\" is neither true nor false"));
}

TEST(Options, RepeatableFlagsKeepTheirOrder) {
  const AgentOptions options = options_of({"--iface=eth1", "-iface", "10.0.0.1", "--iface-regex=^ens", "--iface-regex=10\\.1\\..*"});
  EXPECT_THAT(options.ifaces, ElementsAre("eth1", "10.0.0.1"));
  EXPECT_THAT(options.iface_regexes, ElementsAre("^ens", "10\\.1\\..*"));
}

TEST(Options, NumbersHaveRanges) {
  EXPECT_EQ(options_of({"--subnet-lease-renew-margin=1439"}).renew_margin, std::chrono::minutes(1439));
  EXPECT_EQ(options_of({"--healthz-port=65535"}).healthz_port, 65535);
  for (const std::string bad : {"0", "1440", "-1", "1x", "", " 1", "99999999999999999999"}) {
    EXPECT_THAT(refusal({"--subnet-lease-renew-margin=" + bad}), HasSubstr("is not a number from 1 to 1439")) << bad;
  }
  EXPECT_THAT(refusal({"--healthz-port=65536"}), HasSubstr("0 to 65535"));
  EXPECT_THAT(refusal({"--iptables-resync=0"}), HasSubstr("1 to 86400"));
}

TEST(Options, AddressesAreChecked) {
  EXPECT_EQ(options_of({"--public-ip=192.0.2.1"}).public_ip->to_string(), "192.0.2.1");
  EXPECT_THAT(refusal({"--public-ip=eth0"}), HasSubstr("flag --public-ip: \"eth0\" is not an IPv4 address"));
  EXPECT_THAT(refusal({"--iface-can-reach=fd00::1"}), HasSubstr("is not an IPv4 address"));
}

TEST(Options, EnvironmentStandsInForMissingFlags) {
  const Variables variables = {
      {"FLANNELD_IP_MASQ", "true"}, {"FLANNELD_HEALTHZ_PORT", "8081"}, {"FLANNELD_IFACE", "eth1"}, {"FLANNELD_V", ""}};
  const AgentOptions options = options_of({"--iface=eth2"}, variables);
  EXPECT_TRUE(options.ip_masq);
  EXPECT_EQ(options.healthz_port, 8081);
  EXPECT_THAT(options.ifaces, ElementsAre("eth2")) << "the flag wins";
  EXPECT_EQ(parse({}, {{"FLANNELD_LEASE_DIR", "/d"}})->options.lease_dir, "/d");
  EXPECT_THAT(refusal({}, {{"FLANNELD_HEALTHZ_PORT", "http"}}), HasSubstr("environment variable FLANNELD_HEALTHZ_PORT: \"http\""));
  EXPECT_THAT(refusal({}, {{"FLANNELD_KUBE_SUBNET_MGR", "true"}}), HasSubstr("FLANNELD_KUBE_SUBNET_MGR: unsupported in this version"));
}

TEST(Options, KnownButUnsupportedIsNotUnknown) {
  for (const std::string flag : {"--kube-subnet-mgr", "--etcd-endpoints=http://x:2379", "--etcd-prefix=/x", "--etcd-keyfile=x",
                                 "--etcd-certfile=x", "--etcd-cafile=x", "--etcd-username=x", "--etcd-password=x", "--kube-api-url=x",
                                 "--kubeconfig-file=x", "--kube-annotation-prefix=x", "--public-ipv6=fd00::1", "--vmodule=x",
                                 "--log_backtrace_at=x:1", "--set-node-network-unavailable=false", "--ip-blackhole-route"}) {
    const auto line = parse({"--lease-dir=/leases", flag});
    ASSERT_FALSE(line) << flag;
    EXPECT_EQ(line.error().kind, ErrorKind::unsupported) << flag;
    EXPECT_THAT(line.error().message(), HasSubstr("unsupported in this version")) << flag;
    EXPECT_THAT(line.error().message(), HasSubstr(flag.substr(0, flag.find('=')))) << flag;
  }
  options_of({"--kube-subnet-mgr=false", "--set-node-network-unavailable", "--etcd-prefix=/coreos.com/network"});  // flanneld's defaults
  EXPECT_THAT(refusal({"--ip-mask"}), HasSubstr("unknown flag --ip-mask; merinod --help"));
}

TEST(Options, WhatIsNoFlag) {
  for (const std::string word : {"run", "-", "--", ""}) EXPECT_THAT(refusal({word}), HasSubstr("unexpected argument")) << word;
  EXPECT_THAT(refusal({"--=x"}), HasSubstr("unknown flag"));
  EXPECT_THAT(refusal({"--iface"}), HasSubstr("flag --iface needs a value"));
}

TEST(Options, ALeaseStoreMustBeChosen) {
  const auto line = parse({"--ip-masq"});
  ASSERT_FALSE(line);
  EXPECT_EQ(line.error().kind, ErrorKind::invalid);
  EXPECT_THAT(line.error().message(), HasSubstr("no lease store is chosen; add --lease-dir DIR"));
}

TEST(Options, HelpAndVersionNeedNothingElse) {
  EXPECT_EQ(parse({"--help"})->command, Command::help);
  EXPECT_EQ(parse({"-h"})->command, Command::help);
  EXPECT_EQ(parse({"-version"})->command, Command::version);
  const std::string help = help_text();
  for (const std::string flag : {"--lease-dir", "--net-config-path", "--iface-regex", "--iptables-resync", "--etcd-endpoints",
                                 "--kube-subnet-mgr", "--ip-blackhole-route", "--public-ipv6"}) {
    EXPECT_THAT(help, HasSubstr(flag + " ")) << flag;
  }
}

TEST(Options, VerbosityAndLogLevel) {
  EXPECT_EQ(options_of({}).log_level, "info");
  EXPECT_EQ(options_of({"-v=2"}).log_level, "debug");
  EXPECT_EQ(options_of({"--v", "0"}).log_level, "info");
  EXPECT_EQ(options_of({"--log-level=error"}).log_level, "error");
  EXPECT_THAT(refusal({"--log-level=loud"}), HasSubstr("not one of debug, info, warning, error"));
}

}  // namespace
}  // namespace merino
