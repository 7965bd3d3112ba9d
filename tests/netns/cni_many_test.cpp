// Many pods at once, chains with other plugins, and taking over from flannel's bridge and host-local.
#include <fmt/core.h>
#include <gmock/gmock.h>

#include <set>

#include "abi.h"
#include "cni_node.h"
#include "lab/counters.h"

namespace merino::lab::cni_many_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr int kMany = 100;

class CniMany : public testing::Test {
 protected:
  // Runs the plugin for containers 1 … kMany at once; the outputs lie in /run/out/<n>.
  void all_at_once(const std::string& command) {
    node_.write("/run/conf.json", cni_conf().dump());
    node_.must(
        fmt::format("mkdir -p /run/out; for i in $(seq {}); do "
                    "(CNI_COMMAND={} CNI_CONTAINERID=c$i CNI_NETNS=/run/netns/c$i CNI_IFNAME=eth0 CNI_PATH=/x {} "
                    "< /run/conf.json > /run/out/$i || echo failed >> /run/out/$i) & done; wait",
                    kMany, command, MERINO_PLUGIN));
  }

  CniNode node_;
};

TEST_F(CniMany, a_hundred_adds_at_once_and_a_hundred_dels) {
  node_.must(
      fmt::format("mkdir -p /run/netns; for i in $(seq {}); do touch /run/netns/c$i; "
                  "unshare --net mount --bind /proc/self/ns/net /run/netns/c$i; done",
                  kMany));
  all_at_once("ADD");
  std::set<std::string> addresses;
  std::string last;
  for (int i = 1; i <= kMany; i++) {
    const std::string text = node_.read(fmt::format("/run/out/{}", i));
    ASSERT_THAT(text, testing::Not(HasSubstr("failed")));
    last = json::parse(text)["ips"][0]["address"];
    addresses.insert(last);
  }
  EXPECT_EQ(addresses.size(), kMany);
  EXPECT_EQ(count_entries(node_.outside_path(MERINO_PIN_ROOT "/pods")), kMany);
  // Several questions, one answer is enough: with a hundred interfaces at once the kernel is late to find that they have a carrier.
  EXPECT_TRUE(node_.in("c1", "ping -c 15 -i 0.2 -W 2 " + last.substr(0, last.find('/'))).ok());
  all_at_once("DEL");
  EXPECT_EQ(node_.must("cat /run/out/*"), "");
  EXPECT_EQ(node_.leftovers(), "");
}

TEST_F(CniMany, a_chain_with_tuning_portmap_and_bandwidth) {
  CniNetwork network(node_, R"({"cniVersion":"1.0.0","name":"cbr0","plugins":[
      {"type":"merino","capabilities":{"bandwidth":true}},
      {"type":"tuning","sysctl":{"net.ipv4.conf.eth0.arp_filter":"1"}},
      {"type":"portmap","capabilities":{"portMappings":true}},
      {"type":"bandwidth","capabilities":{"bandwidth":true}}]})");
  node_.make_netns("c1");
  const CniAttachment attachment{"c1", "/run/netns/c1", "eth0",
                                 R"({"portMappings":[{"hostPort":8080,"containerPort":80,"protocol":"tcp"}],
                                     "bandwidth":{"ingressRate":1000000,"ingressBurst":1000000,"egressRate":1000000,"egressBurst":1000000}})"};
  const CniResult result = network.add(attachment);
  EXPECT_EQ(result.address.v4, "10.244.98.2");
  EXPECT_THAT(node_.must("cat /run/merino/attachments/*.json"), HasSubstr(R"("delivery":"stack")"));
  EXPECT_TRUE(node_.run("ping -c 1 -W 2 10.244.98.2").ok());
  // Of merino alone: portmap 1.1.1's own CHECK wants its IPv6 rules also when there is no IPv6 address.
  const Output check = network.call("CHECK", 0, attachment, result.json);
  EXPECT_TRUE(check.ok()) << check.out;
  network.del(attachment, result.json);
  EXPECT_EQ(node_.leftovers(), "");
}

TEST_F(CniMany, takes_over_from_bridge_and_host_local_and_gives_back) {
  // As flannel renders it for network cbr0.
  CniNetwork flannel(node_,
                     R"({"cniVersion":"0.3.1","name":"cbr0","plugins":[{"type":"bridge","mtu":1450,"hairpinMode":true,"isGateway":true,
      "isDefaultGateway":true,"ipMasq":false,"ipam":{"type":"host-local","ranges":[[{"subnet":"10.244.98.0/24"}]],"routes":[{"dst":"10.244.0.0/16"}]}}]})");
  node_.make_netns("old");
  node_.make_netns("new");
  const CniAttachment old{"old", "/run/netns/old"};
  const CniResult before = flannel.add(old);
  EXPECT_EQ(before.address.v4, "10.244.98.2");
  EXPECT_EQ(node_.add(cni_conf(), {.container = "new", .netns = "/run/netns/new"})["ips"][0]["address"], "10.244.98.3/24");
  // The old pod is deleted when merino's configuration is there already: its address is free again.
  EXPECT_TRUE(node_.call("DEL", cni_conf("", "0.3.1"), {.container = "old", .netns = "/run/netns/old"}).ok());
  EXPECT_FALSE(node_.run("test -e /var/lib/cni/networks/cbr0/10.244.98.2").ok());
  // And back: host-local frees what merino gave, and goes on after it.
  const CniAttachment again{"again", "/run/netns/again"};
  node_.make_netns("again");
  EXPECT_EQ(flannel.add(again).address.v4, "10.244.98.4");
  flannel.del({"new", "/run/netns/new"}, "");
  EXPECT_FALSE(node_.run("test -e /var/lib/cni/networks/cbr0/10.244.98.3").ok());
}

}  // namespace
}  // namespace merino::lab::cni_many_test
