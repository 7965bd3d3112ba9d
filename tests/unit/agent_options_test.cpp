#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <map>

#include "agent/options.h"

namespace merino {
namespace agent_options_test {

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
  EXPECT_EQ(options.full_check, std::chrono::seconds(10));
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
  EXPECT_THAT(refusal({"--full-check=0"}), HasSubstr("1 to 86400"));
}

TEST(Options, WireXdpIsOffUnlessAsked) {
  EXPECT_EQ(options_of({}).wire_xdp, WireXdp::off);
  EXPECT_EQ(options_of({"--wire-xdp=auto"}).wire_xdp, WireXdp::automatic);
  EXPECT_EQ(options_of({"--wire-xdp", "native"}).wire_xdp, WireXdp::native);
  EXPECT_EQ(options_of({"--wire-xdp=generic"}).wire_xdp, WireXdp::generic);
  for (const std::string bad : {"", "on", "true", "NATIVE"}) {
    EXPECT_THAT(refusal({"--wire-xdp=" + bad}), HasSubstr("is not one of off, auto, native, generic")) << bad;
  }
}

TEST(Options, AddressesAreChecked) {
  EXPECT_EQ(to_string(options_of({"--public-ip=192.0.2.1"}).public_ip), "192.0.2.1");
  EXPECT_THAT(refusal({"--public-ip=eth0"}), HasSubstr("flag --public-ip: \"eth0\" is not an IPv4 address"));
  EXPECT_THAT(refusal({"--public-ip=fd00::1"}), HasSubstr("\"fd00::1\" is not an IPv4 address"));
  EXPECT_THAT(refusal({"--public-ipv6=192.0.2.1"}), HasSubstr("flag --public-ipv6: \"192.0.2.1\" is not an IPv6 address"));
  EXPECT_EQ(to_string(options_of({"--public-ip=192.0.2.1", "--public-ipv6=fd00::1"}).public_ip), "192.0.2.1 and fd00::1");
  EXPECT_TRUE(options_of({"--public-ip=", "--public-ipv6="}).public_ip.empty());
  EXPECT_EQ(options_of({"--iface-can-reach=fd00::1"}).iface_can_reach->to_string(), "fd00::1");
  EXPECT_THAT(refusal({"--iface-can-reach=eth0"}), HasSubstr("is not an IP address"));
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
  EXPECT_EQ(to_string(options_of({}, {{"FLANNELD_PUBLIC_IPV6", "fd00::1"}}).public_ip), "fd00::1");
}

TEST(Options, UnknownFlagsAreNamed) { EXPECT_THAT(refusal({"--ip-mask"}), HasSubstr("unknown flag --ip-mask; merinod --help")); }

TEST(Options, FlagsWithoutEffectAreTaken) {
  options_of({"--vmodule=x=2", "--log_backtrace_at=x:1", "--ip-blackhole-route"});
  EXPECT_THAT(refusal({"--ip-blackhole-route=maybe"}), HasSubstr("neither true nor false"));
}

TEST(Options, EtcdIsTheLeaseStoreUnlessAnotherIsNamed) {
  const AgentOptions defaults = parse({})->options;
  EXPECT_EQ(defaults.store, StoreKind::etcd);
  EXPECT_THAT(defaults.etcd.endpoints, ElementsAre("http://127.0.0.1:4001", "http://127.0.0.1:2379"));
  EXPECT_EQ(defaults.etcd.prefix, "/coreos.com/network");
  const AgentOptions given = parse({"--etcd-endpoints=https://a:2379,https://b:2379,", "--etcd-prefix=/p", "--etcd-keyfile=k",
                                    "--etcd-certfile=c", "--etcd-cafile=a", "--etcd-username=u", "--etcd-password=w"})
                                 ->options;
  EXPECT_THAT(given.etcd.endpoints, ElementsAre("https://a:2379", "https://b:2379"));
  EXPECT_EQ(given.etcd.prefix + given.etcd.keyfile + given.etcd.certfile + given.etcd.cafile + given.etcd.username + given.etcd.password,
            "/pkcauw");
  EXPECT_THAT(refusal({"--etcd-endpoints=,"}), HasSubstr("names no endpoint"));
  EXPECT_EQ(parse({"--lease-dir=/d"})->options.store, StoreKind::directory);
}

TEST(Options, KubernetesAsTheLeaseStore) {
  const Variables variables = {
      {"NODE_NAME", "n1"}, {"POD_NAME", "p"}, {"POD_NAMESPACE", "kube-flannel"}, {"FLANNELD_KUBE_SUBNET_MGR", "true"}};
  const AgentOptions options =
      parse({"--kube-api-url=https://x", "--kubeconfig-file=/k", "--kube-annotation-prefix=a/b", "--set-node-network-unavailable=false"},
            variables)
          ->options;
  EXPECT_EQ(options.store, StoreKind::kube);
  EXPECT_EQ(options.kube.api_url, "https://x");
  EXPECT_EQ(options.kube.kubeconfig_file, "/k");
  EXPECT_EQ(options.kube.annotation_prefix, "a/b");
  EXPECT_FALSE(options.kube.set_node_network_unavailable);
  EXPECT_EQ(options.kube.node_name, "n1");
  EXPECT_EQ(options.kube.pod_name, "p");
  EXPECT_EQ(options.kube.pod_namespace, "kube-flannel");
  EXPECT_TRUE(parse({})->options.kube.set_node_network_unavailable);
  EXPECT_THAT(refusal({"--kube-subnet-mgr"}), HasSubstr("--kube-subnet-mgr and --lease-dir name two lease stores"))
      << "refusal() adds --lease-dir";
}

TEST(Options, WhatIsNoFlag) {
  for (const std::string word : {"run", "-", "--", ""}) EXPECT_THAT(refusal({word}), HasSubstr("unexpected argument")) << word;
  EXPECT_THAT(refusal({"--=x"}), HasSubstr("unknown flag"));
  EXPECT_THAT(refusal({"--iface"}), HasSubstr("flag --iface needs a value"));
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

struct FlanneldFlag {
  const char* name;
  const char* value;         // one that it takes
  const char* default_text;  // in --help; "" is none or an empty one
};

// Whoever has a unit file, a manifest or an environment file for flanneld has any of these.
constexpr FlanneldFlag kFlanneldsFlags[] = {
    {"etcd-endpoints", "http://a:1", "http://127.0.0.1:4001,http://127.0.0.1:2379"},
    {"etcd-prefix", "/x", "/coreos.com/network"},
    {"etcd-keyfile", "/x", ""},
    {"etcd-certfile", "/x", ""},
    {"etcd-cafile", "/x", ""},
    {"etcd-username", "x", ""},
    {"etcd-password", "x", ""},
    {"iface", "eth1", ""},
    {"iface-regex", "^eth", ""},
    {"iface-can-reach", "192.0.2.1", ""},
    {"public-ip", "192.0.2.1", ""},
    {"public-ipv6", "fd00::1", ""},
    {"subnet-file", "/x", "/run/flannel/subnet.env"},
    {"subnet-lease-renew-margin", "30", "60"},
    {"ip-masq", "true", "false"},
    {"ip-masq-fully-random-disable", "true", "false"},
    {"ip-blackhole-route", "true", "false"},
    {"kube-subnet-mgr", "true", "false"},
    {"kube-api-url", "https://x", ""},
    {"kubeconfig-file", "/x", ""},
    {"kube-annotation-prefix", "a/b", "flannel.alpha.coreos.com"},
    {"net-config-path", "/x", "/etc/kube-flannel/net-conf.json"},
    {"set-node-network-unavailable", "false", "true"},
    {"healthz-ip", "127.0.0.1", "0.0.0.0"},
    {"healthz-port", "8081", "0"},
    {"iptables-resync", "7", "5"},
    {"iptables-forward-rules", "false", "true"},
    {"version", "true", "false"},
    {"v", "2", "0"},
    {"vmodule", "a=1", ""},
    {"log_backtrace_at", "a:1", ":0"},
};

std::string line_of(const std::string& help, const std::string& flag) {
  const size_t at = help.find("\n  --" + flag + " ");
  return at == std::string::npos ? "" : help.substr(at + 1, help.find('\n', at + 1) - at - 1);
}

TEST(Options, EachOfFlanneldsFlagsIsTakenAndListed) {
  const std::string help = help_text();
  for (const FlanneldFlag& flag : kFlanneldsFlags) {
    SCOPED_TRACE(flag.name);
    const std::string name = flag.name;
    const auto given = parse({"--" + name + "=" + flag.value});
    EXPECT_TRUE(given) << given.error().message();
    const std::string line = line_of(help, name);
    EXPECT_NE(line, "");
    if (*flag.default_text != '\0') {
      EXPECT_THAT(line, testing::EndsWith("(default " + std::string(flag.default_text) + ")"));
    }
  }
}

TEST(Options, EachOfFlanneldsFlagsHasItsVariable) {
  std::vector<std::string> asked;
  ASSERT_TRUE(parse_command_line({}, [&](const std::string& name) -> std::optional<std::string> {
    asked.push_back(name);
    return std::nullopt;
  }));
  for (const FlanneldFlag& flag : kFlanneldsFlags) {
    std::string variable = "FLANNELD_";
    for (const char* c = flag.name; *c != '\0'; ++c) variable += *c == '-' ? '_' : static_cast<char>(std::toupper(*c));
    EXPECT_THAT(asked, testing::Contains(variable));
  }
}

TEST(Options, VerbosityAndLogLevel) {
  EXPECT_EQ(options_of({}).log_level, "info");
  EXPECT_EQ(options_of({"-v=2"}).log_level, "debug");
  EXPECT_EQ(options_of({"--v", "0"}).log_level, "info");
  EXPECT_EQ(options_of({"--log-level=error"}).log_level, "error");
  EXPECT_THAT(refusal({"--log-level=loud"}), HasSubstr("not one of debug, info, warning, error"));
}

}  // namespace agent_options_test
}  // namespace merino
