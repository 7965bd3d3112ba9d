// Configurations of type "flannel": merino under flannel's file name, and pods that flannel's plugin attached before.
#include <gmock/gmock.h>

#include "cni_node.h"
#include "support/golden.h"

namespace merino::lab::cni_flannel_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// The first plugin of flannel's conflist, as a runtime hands it on.
json flannel_conf(const std::string& version = "0.3.1") {
  const json list = json::parse(test::golden("10-flannel.conflist"));
  json conf = list.at("plugins").at(0);
  conf["name"] = list.at("name");
  conf["cniVersion"] = version;
  return conf;
}

class CniFlannel : public testing::Test {
 protected:
  CniFlannel() { node_.make_netns("c1"); }
  static CniCall how(const std::string& name, const std::string& prefix = "") {
    return {.container = name, .netns = "/run/netns/" + name, .prefix = prefix};
  }
  std::string delegate_file(const std::string& name) const { return node_.read("/var/lib/cni/flannel/" + name); }
  std::string routes(const std::string& name) const { return node_.in(name, "ip route | sed \"s/ proto static//\"").out; }
  // As flannel's plugin does: the delegate's configuration kept, the bridge plugin called with it.
  json attach_by_bridge(const std::string& name, const std::string& version = "0.3.1") const {
    json delegate = json::parse(test::golden("flannel_delegate.json"));
    delegate["cniVersion"] = version;
    node_.must("mkdir -p -m 0700 /var/lib/cni/flannel");
    node_.write("/var/lib/cni/flannel/" + name, delegate.dump());
    return json::parse(node_.must("exec env CNI_COMMAND=ADD CNI_CONTAINERID=" + name + " CNI_NETNS=/run/netns/" + name +
                                      " CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni /usr/lib/cni/bridge",
                                  delegate.dump()));
  }
  void expect_detached(const std::string& name) const {
    EXPECT_FALSE(node_.in(name, "ip link show eth0").ok());
    EXPECT_EQ(node_.leftovers(), "");
  }

  CniNode node_;
};

TEST_F(CniFlannel, AddAttachesAndKeepsTheDelegatesConfiguration) {
  const json result = node_.add(flannel_conf());
  EXPECT_EQ(result["cniVersion"], "0.3.1");
  EXPECT_EQ(result["ips"][0]["address"], "10.244.98.2/24");
  EXPECT_THAT(result["interfaces"][0]["name"].get<std::string>(), testing::StartsWith("mr")) << "no bridge";
  EXPECT_EQ(delegate_file("c1"), test::golden("flannel_delegate.json"));
  EXPECT_EQ(node_.must("stat -c %a /var/lib/cni/flannel /var/lib/cni/flannel/c1"), "700\n600\n");
  EXPECT_THAT(node_.read("/var/lib/cni/networks/cbr0/10.244.98.2"), HasSubstr("c1\r\neth0"));
  EXPECT_THAT(routes("c1"), HasSubstr("default via 10.244.98.1"));
  EXPECT_THAT(routes("c1"), HasSubstr("10.244.0.0/16 via 10.244.98.1"));
  for (int i = 0; i < 2; ++i) {
    const Output output = node_.call("DEL", flannel_conf());
    EXPECT_TRUE(output.ok()) << output.out;
    EXPECT_EQ(output.out, "");
    expect_detached("c1");
  }
}

TEST_F(CniFlannel, WithoutADefaultGatewayThereIsNoDefaultRoute) {
  const json conf = with(flannel_conf(), "delegate", {{"mtu", 1300}});
  const json result = node_.add(conf);
  EXPECT_THAT(routes("c1"), testing::Not(HasSubstr("default")));
  EXPECT_THAT(routes("c1"), HasSubstr("10.244.0.0/16 via 10.244.98.1"));
  EXPECT_THAT(node_.in("c1", "ip link show eth0").out, HasSubstr("mtu 1300"));
  EXPECT_TRUE(node_.call("DEL", conf).ok());
  EXPECT_EQ(node_.leftovers(), "");
}

TEST_F(CniFlannel, SeveralNetworksRoutesAndOtherPaths) {
  node_.write("/run/other.env",
              "FLANNEL_NETWORK=10.244.0.0/16,10.96.0.0/16\nFLANNEL_SUBNET=10.244.98.1/24\nFLANNEL_MTU=1400\nFLANNEL_IPMASQ=true\n");
  json conf = flannel_conf();
  conf["subnetFile"] = "/run/other.env";
  conf["dataDir"] = "/var/lib/cni/elsewhere";
  conf["ipam"] = {{"routes", json::array({{{"dst", "172.20.0.0/16"}}})}};
  conf["runtimeConfig"] = {{"ips", json::array({"10.244.98.77"})}};
  const json result = node_.add(conf);
  EXPECT_EQ(result["ips"][0]["address"], "10.244.98.77/24");
  for (const char* network : {"10.244.0.0/16", "10.96.0.0/16", "172.20.0.0/16"}) EXPECT_THAT(routes("c1"), HasSubstr(network));
  EXPECT_THAT(node_.read("/var/lib/cni/elsewhere/c1"), HasSubstr(R"("runtimeConfig":{"ips":["10.244.98.77"]})"));
  node_.must("rm /run/other.env");
  EXPECT_TRUE(node_.call("DEL", conf).ok()) << "without subnet.env";
  EXPECT_EQ(node_.leftovers(), "");
}

TEST_F(CniFlannel, RefusalsLeaveNothing) {
  EXPECT_EQ(node_.error("ADD", with(flannel_conf(), "delegate", {{"name", "x"}}))["code"], 7);
  EXPECT_EQ(node_.error("ADD", with(flannel_conf(), "delegate", {{"ipam", json::object()}}))["code"], 7);
  EXPECT_EQ(node_.error("ADD", with(flannel_conf(), "delegate", {{"vlan", 5}}))["code"], 7);
  EXPECT_EQ(node_.error("ADD", with(flannel_conf(), "delegate", {{"type", "no-such-plugin"}}))["code"], 7);
  node_.must("rm /run/flannel/subnet.env");
  EXPECT_EQ(node_.error("ADD", flannel_conf())["code"], 11);
  EXPECT_EQ(node_.error("STATUS", flannel_conf("1.1.0"))["code"], 50);
  EXPECT_EQ(node_.leftovers(), "");
}

TEST_F(CniFlannel, AnotherDelegateIsExecuted) {
  const json conf = with(flannel_conf(), "delegate", {{"type", "ptp"}});
  const json result = node_.add(conf);
  EXPECT_EQ(result["ips"][0]["address"], "10.244.98.2/24");
  EXPECT_THAT(result["interfaces"][0]["name"].get<std::string>(), testing::StartsWith("veth")) << "as that plugin names it";
  EXPECT_THAT(delegate_file("c1"), HasSubstr(R"("type":"ptp"})"));
  EXPECT_TRUE(node_.call("DEL", conf).ok());
  expect_detached("c1");
  EXPECT_TRUE(node_.call("DEL", conf).ok());
}

TEST_F(CniFlannel, APodOfFlannelIsDeletedByItsDelegate) {
  attach_by_bridge("c1");
  node_.make_netns("c2");
  EXPECT_EQ(node_.add(flannel_conf(), how("c2"))["ips"][0]["address"], "10.244.98.3/24") << "addresses are shared";
  EXPECT_TRUE(node_.call("DEL", flannel_conf(), how("c2")).ok());
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(node_.call("DEL", flannel_conf()).ok());
    expect_detached("c1");
  }
}

TEST_F(CniFlannel, APodOfFlannelIsDeletedWithoutItsDelegate) {
  attach_by_bridge("c1");
  const Output output = node_.call("DEL", flannel_conf(), how("c1", "env CNI_PATH=/nonexistent"));
  EXPECT_TRUE(output.ok()) << output.out << output.err;
  expect_detached("c1");
}

// The conflist was replaced by merino's own meanwhile.
TEST_F(CniFlannel, APodOfFlannelIsDeletedByMerinosConfiguration) {
  attach_by_bridge("c1");
  EXPECT_TRUE(node_.call("DEL", cni_conf()).ok());
  expect_detached("c1");
}

TEST_F(CniFlannel, BrokenAndOthersFilesAreNotInTheWay) {
  (void)node_.add(flannel_conf());
  node_.write("/var/lib/cni/flannel/c1", "no JSON");
  EXPECT_TRUE(node_.call("DEL", flannel_conf()).ok());
  expect_detached("c1");
  (void)node_.add(flannel_conf());
  node_.write("/var/lib/cni/flannel/c1", R"({"name":"another","type":"bridge"})");
  EXPECT_TRUE(node_.call("DEL", flannel_conf()).ok());
  EXPECT_THAT(delegate_file("c1"), HasSubstr("another"));
}

TEST_F(CniFlannel, CheckOfBothKinds) {
  json conf = flannel_conf("1.0.0");
  conf["prevResult"] = node_.add(conf);
  EXPECT_TRUE(node_.call("CHECK", conf).ok());
  node_.must("ip netns exec c1 ip link set eth0 down 2>/dev/null || nsenter --net=/run/netns/c1 ip link set eth0 down");
  EXPECT_FALSE(node_.call("CHECK", conf).ok());

  node_.make_netns("c2");
  conf["prevResult"] = attach_by_bridge("c2", "1.0.0");
  // Debian's bridge plugin does not find its own route without a gateway again.
  conf["prevResult"]["routes"] = json::array();
  const CniCall without_plugin = how("c2", "env CNI_PATH=/nonexistent");
  EXPECT_TRUE(node_.call("CHECK", conf, how("c2")).ok()) << node_.call("CHECK", conf, how("c2")).out;
  EXPECT_TRUE(node_.call("CHECK", conf, without_plugin).ok());
  node_.must("nsenter --net=/run/netns/c2 ip addr flush dev eth0");
  EXPECT_FALSE(node_.call("CHECK", conf, how("c2")).ok());
  EXPECT_FALSE(node_.call("CHECK", conf, without_plugin).ok());
}

TEST_F(CniFlannel, GcTakesWhatIsNotValid) {
  node_.make_netns("c2");
  node_.make_netns("c3");
  node_.make_netns("c4");
  (void)node_.add(flannel_conf("1.1.0"));
  (void)node_.add(flannel_conf("1.1.0"), how("c2"));
  attach_by_bridge("c3", "1.0.0");
  attach_by_bridge("c4", "1.0.0");
  json conf = flannel_conf("1.1.0");
  conf["cni.dev/valid-attachments"] = {{{"containerID", "c1"}, {"ifname", "eth0"}}, {{"containerID", "c3"}, {"ifname", "eth0"}}};
  const Output output = node_.call("GC", conf);
  EXPECT_TRUE(output.ok()) << output.out << output.err;
  EXPECT_EQ(node_.must("ls /var/lib/cni/flannel"), "c1\nc3\n");
  EXPECT_EQ(node_.must("cd /var/lib/cni/networks/cbr0 && ls 10.*"), "10.244.98.2\n10.244.98.4\n");
  EXPECT_TRUE(node_.in("c1", "ip link show eth0").ok());
  EXPECT_TRUE(node_.in("c3", "ip link show eth0").ok());
  EXPECT_FALSE(node_.in("c2", "ip link show eth0").ok());
}

}  // namespace
}  // namespace merino::lab::cni_flannel_test
