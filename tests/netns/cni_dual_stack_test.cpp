// Pods with addresses of both families, and of IPv6 alone. Between the pods' namespaces and the host it is the kernel that forwards here.
#include <fmt/core.h>
#include <gmock/gmock.h>

#include "abi.h"
#include "cni_node.h"
#include "lab/counters.h"
#include "lab/traffic.h"
#include "support/golden.h"

namespace merino::lab::cni_dual_stack_test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kEnvV4 = "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.98.1/24\n";
constexpr const char* kEnvV6 = "FLANNEL_IPV6_NETWORK=fd10:244::/48\nFLANNEL_IPV6_SUBNET=fd10:244:0:62::1/64\n";
constexpr const char* kEnvRest = "FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";

class CniDualStack : public testing::Test {
 protected:
  CniDualStack() {
    node_.write("/run/flannel/subnet.env", std::string(kEnvV4) + kEnvV6 + kEnvRest);
    node_.must("sysctl -qw net.ipv6.conf.all.forwarding=1; ip addr add fd10:244:0:62::1/128 dev lo; ip addr add 10.244.98.1/32 dev lo");
    node_.make_netns("c1");
  }
  json add(const std::string& name, const json& conf = cni_conf()) {
    if (name != "c1") node_.make_netns(name);
    return node_.add(conf, how(name));
  }
  static CniCall how(const std::string& name) { return {.container = name, .netns = "/run/netns/" + name}; }
  static std::string host_name(const json& result) { return result["interfaces"][0]["name"]; }
  std::string routes_v6() const { return node_.in("c1", "ip -6 route show dev eth0 | grep -v fe80 | sed \"s/ proto static//\"").out; }
  std::string setting_in_pod(const std::string& ifname, const std::string& key) const {
    return node_.in("c1", "cat /proc/sys/net/ipv6/conf/" + ifname + "/" + key).out;
  }
  std::string setting(const std::string& ifname, const std::string& key) const {
    return node_.read("/proc/sys/net/ipv6/conf/" + ifname + "/" + key);
  }
  void expect_ping(const std::string& from, const std::string& to) const {
    EXPECT_TRUE(node_.in(from, "ping -c 1 -W 2 " + to).ok()) << from << " to " << to;
  }
  void expect_deleted(const json& conf = cni_conf()) const {
    const Output output = node_.call("DEL", conf);
    EXPECT_TRUE(output.ok()) << output.out << output.err;
    EXPECT_EQ(node_.leftovers(), "");
  }

  CniNode node_;
};

TEST_F(CniDualStack, ResultHasBothFamiliesInEveryVersion) {
  for (const std::string version : {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
    const json result = add("c1", cni_conf("", version));
    const bool old = version[0] == '0';
    json ips = json::parse(R"([{"interface":1,"address":"10.244.98.2/24","gateway":"10.244.98.1"},
                               {"interface":1,"address":"fd10:244:0:62::2/64","gateway":"fd10:244:0:62::1"}])");
    if (old) ips[0]["version"] = "4";
    if (old) ips[1]["version"] = "6";
    EXPECT_EQ(result["ips"], ips) << version;
    EXPECT_EQ(result["routes"], json::parse(R"([{"dst":"10.244.0.0/16"},{"dst":"fd10:244::/48"},
        {"dst":"0.0.0.0/0","gw":"10.244.98.1"},{"dst":"::/0","gw":"fd10:244:0:62::1"}])"));
    expect_deleted(cni_conf("", version));
    node_.must("rm -r /var/lib/cni");
  }
}

TEST_F(CniDualStack, PodHasAddressesRoutesNeighboursAndSettings) {
  const json result = add("c1");
  EXPECT_THAT(node_.in("c1", "ip -6 -o addr show eth0").out,
              AllOf(HasSubstr("fd10:244:0:62::2/64"), HasSubstr("nodad"), HasSubstr("noprefixroute"), HasSubstr("fe80::")));
  EXPECT_THAT(node_.in("c1", "ip -4 -o addr show eth0").out, HasSubstr("10.244.98.2/24"));
  EXPECT_EQ(routes_v6(),
            "fd10:244:0:62::1 metric 1024 pref medium\n"
            "fd10:244::/48 via fd10:244:0:62::1 metric 1024 pref medium\n"
            "default via fd10:244:0:62::1 metric 1024 pref medium\n");
  const std::string host_mac = result["interfaces"][0]["mac"];
  for (const char* gateway : {"10.244.98.1", "fd10:244:0:62::1"}) {
    EXPECT_THAT(node_.in("c1", "ip neigh").out, HasSubstr(fmt::format("{} dev eth0 lladdr {} PERMANENT", gateway, host_mac)));
  }
  EXPECT_EQ(setting_in_pod("eth0", "accept_ra"), "0\n");
  EXPECT_EQ(setting_in_pod("eth0", "autoconf"), "0\n");
  EXPECT_EQ(setting_in_pod("eth0", "forwarding"), "0\n") << "a pod is no router";
}

TEST_F(CniDualStack, HostHasRoutesNeighboursEntriesAndSettings) {
  const json result = add("c1");
  const std::string name = host_name(result);
  const std::string pod_mac = result["interfaces"][1]["mac"];
  EXPECT_THAT(node_.must("ip -6 route"), HasSubstr("fd10:244:0:62::2 dev " + name));
  EXPECT_THAT(node_.must("ip route"), HasSubstr("10.244.98.2 dev " + name));
  for (const char* address : {"10.244.98.2", "fd10:244:0:62::2"}) {
    EXPECT_THAT(node_.must("ip neigh"), HasSubstr(fmt::format("{} dev {} lladdr {} PERMANENT", address, name, pod_mac)));
  }
  EXPECT_EQ(setting(name, "disable_ipv6"), "0\n");
  EXPECT_EQ(setting(name, "accept_ra"), "0\n");
  EXPECT_EQ(setting(name, "autoconf"), "0\n");
  EXPECT_EQ(setting(name, "forwarding"), "1\n");
  EXPECT_EQ(count_entries(node_.outside_path(MERINO_PIN_ROOT "/pods")), 2);
  EXPECT_EQ(node_.read("/var/lib/cni/networks/cbr0/fd10:244:0:62::2"), "c1\r\neth0");
  EXPECT_EQ(node_.read("/var/lib/cni/networks/cbr0/last_reserved_ip.0"), "10.244.98.2");
  EXPECT_EQ(node_.read("/var/lib/cni/networks/cbr0/last_reserved_ip.1"), "fd10:244:0:62::2");
}

// A kernel left to itself takes one to two seconds for that.
TEST_F(CniDualStack, NoAddressIsTentativeWhenItReturns) {
  const std::string name = host_name(add("c1"));
  EXPECT_EQ(node_.in("c1", "ip -6 -o addr show tentative").out, "");
  EXPECT_EQ(node_.must("ip -6 -o addr show dev " + name + " tentative"), "");
  EXPECT_TRUE(node_.in("c1", "ping -c 1 -W 1 fd10:244:0:62::1").ok());
  EXPECT_TRUE(node_.run("ping -c 1 -W 1 fd10:244:0:62::2").ok());
}

TEST_F(CniDualStack, PodsReachEachOtherAndTheHostInBothFamilies) {
  add("c1");
  add("c2");
  for (const char* to : {"10.244.98.3", "fd10:244:0:62::3", "10.244.98.1", "fd10:244:0:62::1"}) expect_ping("c1", to);
  for (const char* to : {"10.244.98.2", "fd10:244:0:62::2"}) {
    expect_ping("c2", to);
    EXPECT_TRUE(node_.run(std::string("ping -c 1 -W 2 ") + to).ok()) << to;
  }
}

TEST_F(CniDualStack, Ipv6Alone) {
  node_.write("/run/flannel/subnet.env", std::string(kEnvV6) + kEnvRest);
  const json result = add("c1");
  EXPECT_EQ(result["ips"], json::parse(R"([{"interface":1,"address":"fd10:244:0:62::2/64","gateway":"fd10:244:0:62::1"}])"));
  EXPECT_EQ(node_.in("c1", "ip -4 route; ip -4 -o addr show eth0").out, "");
  EXPECT_EQ(count_entries(node_.outside_path(MERINO_PIN_ROOT "/pods")), 1);
  EXPECT_EQ(node_.read("/var/lib/cni/networks/cbr0/last_reserved_ip.0"), "fd10:244:0:62::2");
  add("c2");
  expect_ping("c1", "fd10:244:0:62::3");
  EXPECT_TRUE(node_.call("CHECK", with(cni_conf(), "prevResult", result)).ok());
  EXPECT_TRUE(node_.call("DEL", cni_conf(), how("c2")).ok());
  expect_deleted();
}

TEST_F(CniDualStack, WhereIpv6IsSwitchedOff) {
  node_.must("sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
  ASSERT_TRUE(node_.in("c1", "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1").ok());
  const json result = add("c1");
  EXPECT_EQ(setting_in_pod("lo", "disable_ipv6"), "0\n");
  expect_ping("c1", "fd10:244:0:62::1");
  expect_ping("c1", "::1");
}

TEST_F(CniDualStack, WithoutAnIpv6AddressThereIsNoIpv6) {
  node_.write("/run/flannel/subnet.env", std::string(kEnvV4) + kEnvRest);
  EXPECT_EQ(setting(host_name(add("c1")), "disable_ipv6"), "1\n");
  EXPECT_EQ(setting_in_pod("eth0", "accept_ra"), "1\n") << "the pod's own matter";
}

TEST_F(CniDualStack, ARouteOfAFamilyThatThePodHasNotIsRefused) {
  node_.write("/run/flannel/subnet.env", std::string(kEnvV4) + kEnvRest);
  const json error = node_.error("ADD", cni_conf(R"("ipam":{"subnet":"10.244.98.0/24","routes":[{"dst":"::/0"}]})"));
  EXPECT_THAT(error["msg"].get<std::string>(), HasSubstr("no address of that family"));
  EXPECT_EQ(node_.leftovers(), "");
}

TEST_F(CniDualStack, BothAddressesCanBeAskedFor) {
  json conf = cni_conf();
  conf["runtimeConfig"] = {{"ips", {"fd10:244:0:62::77", "10.244.98.77"}}};
  const json result = add("c1", conf);
  EXPECT_EQ(result["ips"][0]["address"], "10.244.98.77/24");
  EXPECT_EQ(result["ips"][1]["address"], "fd10:244:0:62::77/64");
}

TEST_F(CniDualStack, CheckLooksAtBothFamilies) {
  const json result = add("c1");
  const json conf = with(cni_conf(), "prevResult", result);
  const auto fails_with = [&](const std::string& text) {
    EXPECT_THAT(node_.error("CHECK", conf)["msg"].get<std::string>(), HasSubstr(text));
  };
  EXPECT_TRUE(node_.call("CHECK", conf).ok());
  ASSERT_TRUE(node_.in("c1", "ip -6 route del default").ok());
  fails_with("no route to ::/0");
  ASSERT_TRUE(node_.in("c1", "ip -6 route add default via fd10:244:0:62::1").ok());
  EXPECT_TRUE(node_.call("CHECK", conf).ok());
  node_.must("ip -6 route del fd10:244:0:62::2");
  fails_with("does not route fd10:244:0:62::2");
  node_.must("ip -6 route add fd10:244:0:62::2 dev " + host_name(result));
  ASSERT_TRUE(node_.in("c1", "ip addr del fd10:244:0:62::2/64 dev eth0").ok());
  fails_with("does not have the address fd10:244:0:62::2/64");
}

TEST_F(CniDualStack, DelAndGcTakeBoth) {
  add("c1");
  EXPECT_THAT(node_.leftovers(), HasSubstr("2 pods entries"));
  expect_deleted();
  EXPECT_FALSE(node_.in("c1", "ip link show eth0").ok());

  node_.must("rm -r /var/lib/cni");
  (void)node_.add(cni_conf());
  add("c2");
  node_.must("rm -r /run/merino/attachments");  // known by host-local's files alone
  const json valid = json::array({{{"containerID", "c2"}, {"ifname", "eth0"}}});
  const Output output = node_.call("GC", with(cni_conf(), "cni.dev/valid-attachments", valid));
  EXPECT_TRUE(output.ok()) << output.out;
  EXPECT_EQ(node_.must("cd /var/lib/cni/networks/cbr0 && ls -d 10.* fd*"), "10.244.98.3\nfd10:244:0:62::3\n");
  EXPECT_EQ(count_entries(node_.outside_path(MERINO_PIN_ROOT "/pods")), 2);
}

// host-local itself goes on in what merino wrote, and the other way round.
TEST_F(CniDualStack, HostLocalSharesTheDirectory) {
  add("c1");
  const json ranges = json::parse(R"([[{"subnet":"10.244.98.0/24"}],[{"subnet":"fd10:244:0:62::/64"}]])");
  const json conf = {{"name", "cbr0"}, {"cniVersion", "1.0.0"}, {"ipam", {{"type", "host-local"}, {"ranges", ranges}}}};
  const std::string host_local =
      " CNI_CONTAINERID=other CNI_NETNS=/run/netns/other CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni /usr/lib/cni/host-local";
  const json theirs = json::parse(node_.must("exec env CNI_COMMAND=ADD" + host_local, conf.dump()));
  EXPECT_EQ(theirs["ips"][0]["address"], "10.244.98.3/24");
  EXPECT_EQ(theirs["ips"][1]["address"], "fd10:244:0:62::3/64");
  EXPECT_EQ(add("c2")["ips"][1]["address"], "fd10:244:0:62::4/64");
  EXPECT_EQ(node_.read("/var/lib/cni/networks/cbr0/fd10:244:0:62::3"), "other\r\neth0") << "as merino writes it";
  EXPECT_EQ(node_.read("/var/lib/cni/networks/cbr0/last_reserved_ip.1"), "fd10:244:0:62::4");
  node_.must("exec env CNI_COMMAND=DEL" + host_local, conf.dump());
  EXPECT_FALSE(node_.run("test -e /var/lib/cni/networks/cbr0/fd10:244:0:62::3").ok());
}

// --- flannel's configuration

json flannel_conf(const std::string& version = "0.3.1") {
  const json list = json::parse(test::golden("10-flannel.conflist"));
  json conf = list.at("plugins").at(0);
  conf["name"] = list.at("name");
  conf["cniVersion"] = version;
  return conf;
}

TEST_F(CniDualStack, UnderFlannelsName) {
  const json result = add("c1", flannel_conf());
  EXPECT_EQ(result["ips"][1]["address"], "fd10:244:0:62::2/64");
  EXPECT_EQ(node_.read("/var/lib/cni/flannel/c1"), test::golden("flannel_delegate_dual_stack.json"));
  EXPECT_THAT(routes_v6(), AllOf(HasSubstr("default via fd10:244:0:62::1"), HasSubstr("fd10:244::/48 via fd10:244:0:62::1")));
  expect_deleted(flannel_conf());
}

// What merino kept is what the bridge plugin takes, and a pod that it attached goes with both addresses.
TEST_F(CniDualStack, APodOfFlannelIsDeletedByItsDelegate) {
  node_.must("ip addr del fd10:244:0:62::1/128 dev lo; ip addr del 10.244.98.1/32 dev lo; mkdir -p -m 0700 /var/lib/cni/flannel");
  const std::string delegate = test::golden("flannel_delegate_dual_stack.json");
  node_.write("/var/lib/cni/flannel/c1", delegate);
  const json result = json::parse(node_.must(
      "exec env CNI_COMMAND=ADD CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1 CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni /usr/lib/cni/bridge",
      delegate));
  EXPECT_EQ(result["ips"].size(), 2U);
  EXPECT_EQ(add("c2", flannel_conf())["ips"][1]["address"], "fd10:244:0:62::3/64");
  EXPECT_TRUE(node_.call("DEL", flannel_conf(), how("c2")).ok());
  expect_deleted(flannel_conf());
  EXPECT_FALSE(node_.in("c1", "ip link show eth0").ok());
}

// --- plugins behind

TEST_F(CniDualStack, PortmapMapsBothFamilies) {
  json result = add("c1", cni_conf("", "1.0.0"));
  json conf = json::parse(R"({"name":"cbr0","type":"portmap","cniVersion":"1.0.0","capabilities":{"portMappings":true},
      "runtimeConfig":{"portMappings":[{"hostPort":8080,"containerPort":7300,"protocol":"tcp"}]}})");
  conf["prevResult"] = result;
  const std::string portmap = " CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/c1 CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni /usr/lib/cni/portmap";
  node_.must("exec env CNI_COMMAND=ADD" + portmap, conf.dump());
  EXPECT_THAT(node_.must("ip6tables -t nat -S"), HasSubstr("--dport 8080 -j DNAT --to-destination [fd10:244:0:62::2]:7300"));
  EXPECT_THAT(node_.must("iptables -t nat -S"), HasSubstr("--dport 8080 -j DNAT --to-destination 10.244.98.2:7300"));
  node_.must("exec env CNI_COMMAND=DEL" + portmap, conf.dump());
  EXPECT_THAT(node_.must("ip6tables -t nat -S"), Not(HasSubstr("8080")));
}

}  // namespace
}  // namespace merino::lab::cni_dual_stack_test
