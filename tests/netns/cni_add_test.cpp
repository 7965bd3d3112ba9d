// ADD: what it makes, what it refuses, and that a refusal leaves nothing.
#include <gmock/gmock.h>

#include "abi.h"
#include "cni_node.h"
#include "lab/counters.h"
#include "lab/traffic.h"

namespace merino::lab::cni_add_test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

class CniAdd : public testing::Test {
 protected:
  CniAdd() { node_.make_netns("c1"); }
  // Of the pod.
  std::string routes() const { return node_.in("c1", "ip route | sed \"s/ proto static//\"").out; }
  void expect_nothing_left() const { EXPECT_EQ(node_.leftovers(), ""); }
  // Kernels before 6.6 have filters below clsact instead.
  bool makes_links() const {
    (void)node_.add(cni_conf());
    const bool has_links = !node_.must("ls " MERINO_PIN_ROOT "/links").empty();
    EXPECT_TRUE(node_.call("DEL", cni_conf()).ok());
    return has_links;
  }
  static std::string msg(const json& error) { return error["msg"].get<std::string>() + "; " + error.value("details", ""); }

  CniNode node_;
};

TEST_F(CniAdd, result_describes_both_ends) {
  const json result = node_.add(cni_conf());
  EXPECT_EQ(result["cniVersion"], "1.1.0");
  ASSERT_EQ(result["interfaces"].size(), 2);
  const json& host = result["interfaces"][0];
  const json& pod = result["interfaces"][1];
  EXPECT_THAT(host["name"].get<std::string>(), testing::StartsWith("mr"));
  EXPECT_FALSE(host.contains("sandbox"));
  EXPECT_EQ(pod["name"], "eth0");
  EXPECT_EQ(pod["sandbox"], "/run/netns/c1");
  EXPECT_EQ(pod["mtu"], 1450);
  EXPECT_EQ(result["ips"], json::parse(R"([{"interface":1,"address":"10.244.98.2/24","gateway":"10.244.98.1"}])"));
  EXPECT_EQ(result["routes"], json::parse(R"([{"dst":"10.244.0.0/16"},{"dst":"0.0.0.0/0","gw":"10.244.98.1"}])"));
  EXPECT_THAT(node_.must("ip link show " + host["name"].get<std::string>()), HasSubstr(host["mac"].get<std::string>()));
  EXPECT_THAT(node_.in("c1", "ip link show eth0").out, HasSubstr(pod["mac"].get<std::string>()));
}

TEST_F(CniAdd, pod_has_address_routes_and_a_permanent_neighbour) {
  const json result = node_.add(cni_conf());
  EXPECT_THAT(node_.in("c1", "ip -4 -o addr show eth0").out, AllOf(HasSubstr("10.244.98.2/24"), HasSubstr("noprefixroute")));
  EXPECT_EQ(routes(), "default via 10.244.98.1 dev eth0 \n10.244.0.0/16 via 10.244.98.1 dev eth0 \n10.244.98.1 dev eth0 scope link \n");
  const std::string host_mac = result["interfaces"][0]["mac"];
  EXPECT_THAT(node_.in("c1", "ip neigh").out, HasSubstr("10.244.98.1 dev eth0 lladdr " + host_mac + " PERMANENT"));
  EXPECT_THAT(node_.in("c1", "ip link show eth0").out, AllOf(HasSubstr("mtu 1450"), HasSubstr("state UP")));
}

TEST_F(CniAdd, host_has_route_neighbour_program_and_entry) {
  const json result = node_.add(cni_conf());
  const std::string name = result["interfaces"][0]["name"];
  const std::string pod_mac = result["interfaces"][1]["mac"];
  EXPECT_THAT(node_.must("ip route"), HasSubstr("10.244.98.2 dev " + name + " proto static scope link"));
  EXPECT_THAT(node_.must("ip neigh"), HasSubstr("10.244.98.2 dev " + name + " lladdr " + pod_mac + " PERMANENT"));
  EXPECT_THAT(node_.must("ip link show " + name), AllOf(HasSubstr("mtu 1450"), HasSubstr("state UP")));
  EXPECT_EQ(node_.read("/proc/sys/net/ipv6/conf/" + name + "/disable_ipv6"), "1\n");
  EXPECT_EQ(count_entries(node_.outside_path(MERINO_PIN_ROOT "/pods")), 1);
  // A tcx link, or a filter below clsact on kernels before 6.6.
  EXPECT_EQ(node_.must("ls " MERINO_PIN_ROOT "/links; tc filter show dev " + name + " ingress | grep -o 'from_pod' | sed s/from_pod/pod_" +
                       name + "/ | sort -u"),
            "pod_" + name + "\n");
  EXPECT_EQ(node_.read("/var/lib/cni/networks/cbr0/10.244.98.2"), "c1\r\neth0");
  const json record = json::parse(node_.must("cat /run/merino/attachments/*.json"));
  EXPECT_EQ(record["complete"], true);
  EXPECT_EQ(record["hostIfname"], name);
}

TEST_F(CniAdd, both_ends_can_send_when_it_returns) {
  const std::string name = node_.add(cni_conf())["interfaces"][0]["name"];
  EXPECT_EQ(node_.read("/sys/class/net/" + name + "/operstate"), "up\n");
  EXPECT_THAT(node_.in("c1", "ip link show eth0").out, HasSubstr("state UP"));
}

TEST_F(CniAdd, pods_reach_each_other_by_the_fast_path_and_the_host) {
  const auto add = [&](const std::string& name) { return node_.add(cni_conf(), {.container = name, .netns = "/run/netns/" + name}); };
  node_.make_netns("c2");
  (void)add("c1");
  (void)add("c2");
  EXPECT_TRUE(node_.in("c1", "ping -c 3 -W 2 10.244.98.3").ok());
  EXPECT_TRUE(node_.run("ping -c 1 -W 2 10.244.98.2").ok());
  EXPECT_TRUE(node_.in("c1", "ip neigh flush all nud permanent; ping -c 1 -W 2 10.244.98.3").ok()) << "the gateway's MAC is answered for";
  EXPECT_GE(Counters::read(node_.outside_path(MERINO_PIN_ROOT "/counters"))[MERINO_ARP_REPLY], 1);
}

TEST_F(CniAdd, every_version_gets_its_own_result) {
  for (const char* version : {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}) {
    const json result = node_.add(cni_conf("", version));
    EXPECT_EQ(result["cniVersion"], version);
    EXPECT_EQ(result["ips"][0].contains("version"), version[0] == '0') << version;
    EXPECT_EQ(result["interfaces"][1].contains("mtu"), std::string(version) == "1.1.0") << version;
    EXPECT_TRUE(node_.call("DEL", cni_conf("", version)).ok());
    expect_nothing_left();
  }
}

TEST_F(CniAdd, configuration_decides_over_mtu_dns_ranges_and_routes) {
  const json result = node_.add(cni_conf(R"("mtu":1300,"dns":{"nameservers":["10.96.0.10"]},
      "ipam":{"type":"host-local","ranges":[[{"subnet":"10.244.98.0/24","rangeStart":"10.244.98.50","gateway":"10.244.98.254"}]],
              "routes":[{"dst":"192.0.2.0/24","mtu":1200}]})"));
  EXPECT_EQ(result["ips"][0]["address"], "10.244.98.50/24");
  EXPECT_EQ(result["dns"]["nameservers"], json{"10.96.0.10"});
  EXPECT_EQ(routes(),
            "default via 10.244.98.254 dev eth0 \n10.244.98.254 dev eth0 scope link \n192.0.2.0/24 via 10.244.98.254 dev eth0 mtu 1200 \n");
  EXPECT_THAT(node_.in("c1", "ip link show eth0").out, HasSubstr("mtu 1300"));
}

TEST_F(CniAdd, the_runtime_may_ask_for_an_address) {
  EXPECT_EQ(node_.add(cni_conf(), {.args = "IgnoreUnknown=1;IP=10.244.98.77"})["ips"][0]["address"], "10.244.98.77/24");
}

TEST_F(CniAdd, a_second_interface_leaves_the_first_ones_default_route) {
  (void)node_.add(cni_conf());
  const json second = with(with(cni_conf(), "name", "second"), "ipam", json::parse(R"({"ranges":[[{"subnet":"10.50.0.0/24"}]]})"));
  (void)node_.add(second, {.ifname = "net1"});
  EXPECT_THAT(routes(), AllOf(HasSubstr("default via 10.244.98.1 dev eth0"), testing::Not(HasSubstr("default via 10.50.0.1"))));
  EXPECT_THAT(routes(), HasSubstr("10.50.0.1 dev net1 scope link"));
  EXPECT_TRUE(node_.call("DEL", second, {.ifname = "net1"}).ok());
  EXPECT_TRUE(node_.in("c1", "ip link show eth0").ok());
  EXPECT_EQ(count_entries(node_.outside_path(MERINO_PIN_ROOT "/pods")), 1);
}

TEST_F(CniAdd, another_ipam_plugin_is_called) {
  const json conf = cni_conf(
      R"("ipam":{"type":"static","addresses":[{"address":"10.77.0.5/24","gateway":"10.77.0.1"}],"routes":[{"dst":"10.78.0.0/16"}]})",
      "1.0.0");
  EXPECT_EQ(node_.add(conf)["ips"][0]["address"], "10.77.0.5/24");
  EXPECT_THAT(routes(), HasSubstr("10.78.0.0/16 via 10.77.0.1"));
  EXPECT_TRUE(node_.call("DEL", conf).ok());
  expect_nothing_left();
}

TEST_F(CniAdd, delivery_is_by_redirect_when_asked_for) {
  (void)node_.add(cni_conf(R"("delivery":"redirect")"));
  EXPECT_THAT(node_.must("cat /run/merino/attachments/*.json"), HasSubstr(R"("delivery":"redirect")"));
}

// --- refusals

TEST_F(CniAdd, without_subnet_env_it_is_try_again_later) {
  node_.must("rm /run/flannel/subnet.env");
  const json error = node_.error("ADD", cni_conf());
  EXPECT_EQ(error["code"], 11);
  EXPECT_THAT(msg(error), AllOf(HasSubstr("/run/flannel/subnet.env"), HasSubstr("merinod")));
  expect_nothing_left();
}

TEST_F(CniAdd, half_a_subnet_env_is_try_again_later) {
  node_.write("/run/flannel/subnet.env", "FLANNEL_NETWORK=10.244.0.0/16\n");
  const json error = node_.error("ADD", cni_conf());
  EXPECT_EQ(error["code"], 11);
  EXPECT_THAT(msg(error), HasSubstr("FLANNEL_"));
}

TEST_F(CniAdd, before_an_agent_ran_it_is_try_again_later) {
  node_.must("rm -r /sys/fs/bpf/merino");
  const json error = node_.error("ADD", cni_conf());
  EXPECT_EQ(error["code"], 11);
  EXPECT_THAT(msg(error), AllOf(HasSubstr("agent"), HasSubstr("from_pod"), HasSubstr("merinod")));
  expect_nothing_left();
}

TEST_F(CniAdd, namespaces_that_are_none) {
  EXPECT_EQ(node_.error("ADD", cni_conf(), {.netns = "/run/netns/nobody"})["code"], 8);
  EXPECT_EQ(node_.error("ADD", cni_conf(), {.netns = "/etc/passwd"})["code"], 8);
  const json own = node_.error("ADD", cni_conf(), {.netns = "/proc/self/ns/net"});
  EXPECT_EQ(own["code"], 8);
  EXPECT_THAT(msg(own), HasSubstr("host's own"));
  expect_nothing_left();
}

TEST_F(CniAdd, an_interface_name_that_is_taken_in_the_pod) {
  ASSERT_TRUE(node_.in("c1", "ip link add eth0 type bridge").ok());
  EXPECT_THAT(msg(node_.error("ADD", cni_conf())), AllOf(HasSubstr("eth0"), HasSubstr("/run/netns/c1")));
  EXPECT_THAT(node_.in("c1", "ip -d link show eth0").out, HasSubstr("bridge"));
  expect_nothing_left();
}

TEST_F(CniAdd, twice_is_refused_and_leaves_the_first_alone) {
  (void)node_.add(cni_conf());
  const std::string before = node_.leftovers();
  node_.make_netns("other");
  for (const char* netns : {"/run/netns/c1", "/run/netns/other"}) {
    EXPECT_THAT(msg(node_.error("ADD", cni_conf(), {.netns = netns})), testing::AnyOf(HasSubstr("DEL"), HasSubstr("exists")));
    EXPECT_EQ(node_.leftovers(), before);
  }
  EXPECT_TRUE(node_.run("ping -c 1 -W 2 10.244.98.2").ok());
}

TEST_F(CniAdd, an_exhausted_pool_is_named) {
  const json conf = cni_conf(R"("ipam":{"ranges":[[{"subnet":"10.244.98.0/30"}]]})");
  node_.make_netns("c2");
  (void)node_.add(conf);
  const std::string before = node_.leftovers();
  const json error = node_.error("ADD", conf, {.container = "c2", .netns = "/run/netns/c2"});
  EXPECT_EQ(error["code"], 11);
  EXPECT_THAT(msg(error), AllOf(HasSubstr("10.244.98.1-10.244.98.2"), HasSubstr("/var/lib/cni/networks/cbr0"), HasSubstr("larger subnet")));
  EXPECT_EQ(node_.leftovers(), before);
}

struct Unwinding {
  const char* name;
  const char* keys;    // of the configuration
  const char* before;  // a command on the machine
  const char* names;   // what the error names
};

// Failures at every stage after the address was taken.
TEST_F(CniAdd, a_failure_at_any_stage_unwinds_all_of_it) {
  const Unwinding cases[] = {
      {"no gateway", R"("ipam":{"type":"static","addresses":[{"address":"10.77.0.5/24"}]})", "true", "gateway"},
      {"gateway is the pod", R"("ipam":{"type":"static","addresses":[{"address":"10.77.0.5/24","gateway":"10.77.0.5"}]})", "true",
       "gateway"},
      {"route via another", R"("ipam":{"ranges":[[{"subnet":"10.244.98.0/24"}]],"routes":[{"dst":"10.0.0.0/8","gw":"10.244.98.9"}]})",
       "true", "10.244.98.9"},
      {"route of another family", R"("ipam":{"ranges":[[{"subnet":"10.244.98.0/24"}]],"routes":[{"dst":"fd00::/8"}]})", "true", "fd00::/8"},
      {"no record can be written", "", "mkdir -p /run/merino && rm -rf /run/merino/attachments && touch /run/merino/attachments",
       "attachments"},
      {"pods map gone", "", "mv " MERINO_PIN_ROOT "/pods " MERINO_PIN_ROOT "/pods_away", "pods"},
      {"links directory gone", "", "rmdir " MERINO_PIN_ROOT "/links", "link"},
  };
  const bool has_links = makes_links();
  for (const Unwinding& it : cases) {
    if (!has_links && std::string(it.name) == "links directory gone") continue;
    const json conf = cni_conf(it.keys, "1.0.0");
    node_.must(it.before);
    EXPECT_THAT(msg(node_.error("ADD", conf)), HasSubstr(it.names)) << it.name;
    node_.must("mv " MERINO_PIN_ROOT "/pods_away " MERINO_PIN_ROOT "/pods 2>/dev/null; mkdir -p " MERINO_PIN_ROOT
               "/links; test -d /run/merino/attachments || rm -f /run/merino/attachments");
    expect_nothing_left();
    EXPECT_FALSE(node_.in("c1", "ip link show eth0").ok()) << it.name;
  }
  (void)node_.add(cni_conf());
}

}  // namespace
}  // namespace merino::lab::cni_add_test
