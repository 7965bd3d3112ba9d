// DEL and GC: nothing stays, whatever is gone already; nothing else is touched.
#include <gmock/gmock.h>

#include "abi.h"
#include "cni_node.h"
#include "lab/counters.h"

namespace merino::lab::cni_del_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class CniDel : public testing::Test {
 protected:
  CniDel() { add("c1"); }
  json add(const std::string& name, const json& conf = cni_conf()) {
    node_.make_netns(name);
    return node_.add(conf, how(name));
  }
  static CniCall how(const std::string& name) { return {.container = name, .netns = "/run/netns/" + name}; }
  void del_leaves_nothing(const CniCall& call = {}, const json& conf = cni_conf()) {
    const Output output = node_.call("DEL", conf, call);
    EXPECT_TRUE(output.ok()) << output.out << output.err;
    EXPECT_EQ(output.out, "");
    EXPECT_EQ(node_.leftovers(), "");
  }
  static json valid(std::initializer_list<const char*> names) {
    json list = json::array();
    for (const char* name : names) list.push_back({{"containerID", name}, {"ifname", "eth0"}});
    return with(cni_conf(), "cni.dev/valid-attachments", list);
  }
  std::string host_ifname() { return node_.must("ip -o link | grep -o 'mr[0-9a-f]*' | head -1 | tr -d '\\n'"); }

  CniNode node_;
};

TEST_F(CniDel, takes_everything_away_and_may_be_repeated) {
  del_leaves_nothing();
  EXPECT_FALSE(node_.in("c1", "ip link show eth0").ok());
  del_leaves_nothing();
}

TEST_F(CniDel, without_anything_before) {
  node_.must("rm -rf /run/flannel");
  del_leaves_nothing();
  del_leaves_nothing(how("never-was"));
}

TEST_F(CniDel, of_a_namespace_that_is_gone) {
  node_.remove_netns("c1");
  del_leaves_nothing();
}

TEST_F(CniDel, with_an_empty_namespace) { del_leaves_nothing({.netns = ""}); }

TEST_F(CniDel, without_the_veth) {
  node_.must("ip link del " + host_ifname());
  del_leaves_nothing();
}

TEST_F(CniDel, without_the_record) {
  node_.must("rm -r /run/merino");
  del_leaves_nothing();
}

TEST_F(CniDel, without_record_and_namespace) {
  node_.must("rm -r /run/merino");
  node_.remove_netns("c1");
  del_leaves_nothing();
}

TEST_F(CniDel, without_record_and_address_file) {
  node_.must("rm -r /run/merino /var/lib/cni");
  const json prev = json::parse(R"({"cniVersion":"1.1.0","ips":[{"address":"10.244.98.2/24"}]})");
  del_leaves_nothing({}, with(cni_conf(), "prevResult", prev));
}

TEST_F(CniDel, with_a_broken_record) {
  node_.must("for f in /run/merino/attachments/*.json; do echo '{\"network\":' > $f; done");
  del_leaves_nothing();
}

TEST_F(CniDel, without_pins) {
  node_.must("rm -r " MERINO_PIN_ROOT);
  const Output output = node_.call("DEL", cni_conf());
  EXPECT_TRUE(output.ok()) << output.out;
  EXPECT_THAT(node_.leftovers(), testing::Not(HasSubstr("mr")));
  EXPECT_EQ(node_.must("ls /run/merino/attachments"), "");
}

TEST_F(CniDel, without_bpffs) {
  node_.must("umount /sys/fs/bpf");
  EXPECT_TRUE(node_.call("DEL", cni_conf()).ok());
  EXPECT_EQ(node_.must("ls /run/merino/attachments; ip -o link | grep ' mr' || true"), "");
}

TEST_F(CniDel, leaves_other_pods_alone) {
  add("c2");
  EXPECT_TRUE(node_.call("DEL", cni_conf()).ok());
  EXPECT_TRUE(node_.run("ping -c 1 -W 2 10.244.98.3").ok());
  EXPECT_EQ(count_entries(node_.outside_path(MERINO_PIN_ROOT "/pods")), 1);
  del_leaves_nothing(how("c2"));
}

TEST_F(CniDel, of_another_network_leaves_this_ones_interface_alone) {
  const std::string before = node_.leftovers();
  EXPECT_TRUE(node_.call("DEL", with(cni_conf(), "name", "other")).ok());
  EXPECT_EQ(node_.leftovers(), before);
}

TEST_F(CniDel, repeated_late_does_not_take_the_next_pods_entry) {
  // The address went to another pod; the runtime repeats the DEL of the first one with its result.
  const json prev = json::parse(R"({"cniVersion":"1.1.0","ips":[{"address":"10.244.98.2/24"}]})");
  del_leaves_nothing();
  node_.make_netns("c2");
  (void)node_.add(cni_conf(), {.container = "c2", .netns = "/run/netns/c2", .args = "IP=10.244.98.2"});
  EXPECT_TRUE(node_.call("DEL", with(cni_conf(), "prevResult", prev)).ok());
  EXPECT_EQ(count_entries(node_.outside_path(MERINO_PIN_ROOT "/pods")), 1);
  EXPECT_TRUE(node_.run("ping -c 1 -W 2 10.244.98.2").ok());
}

TEST_F(CniDel, does_not_delete_an_interface_that_is_no_veth) {
  const std::string name = host_ifname();
  node_.must("ip link del " + name + " && ip link add " + name + " type bridge");
  EXPECT_TRUE(node_.call("DEL", cni_conf()).ok());
  EXPECT_TRUE(node_.run("ip link show " + name).ok());
}

TEST_F(CniDel, with_a_broken_ipam_section) { del_leaves_nothing({}, cni_conf(R"("ipam":{"ranges":[[{"subnet":"nonsense"}]]})")); }

// --- GC

TEST_F(CniDel, gc_frees_what_is_not_valid_and_never_what_is) {
  add("c2");
  add("c3");
  const Output output = node_.call("GC", valid({"c2"}), {});
  EXPECT_TRUE(output.ok()) << output.out << output.err;
  EXPECT_EQ(output.out, "");
  EXPECT_TRUE(node_.run("ping -c 1 -W 2 10.244.98.3").ok());
  EXPECT_EQ(count_entries(node_.outside_path(MERINO_PIN_ROOT "/pods")), 1);
  del_leaves_nothing(how("c2"));
}

TEST_F(CniDel, gc_with_an_empty_list_frees_all) {
  add("c2");
  EXPECT_TRUE(node_.call("GC", valid({})).ok());
  EXPECT_EQ(node_.leftovers(), "");
}

TEST_F(CniDel, gc_without_a_list_is_refused) {
  const std::string before = node_.leftovers();
  EXPECT_EQ(node_.error("GC", cni_conf())["code"], 7);
  EXPECT_EQ(node_.leftovers(), before);
}

TEST_F(CniDel, gc_finds_what_has_no_record_any_more) {
  node_.must("rm -r /run/merino");
  EXPECT_TRUE(node_.call("GC", valid({})).ok());
  EXPECT_EQ(node_.leftovers(), "");
}

TEST_F(CniDel, gc_frees_addresses_and_entries_that_nobody_has) {
  node_.remove_netns("c1");  // the kernel takes the veth away
  node_.must("rm -r /run/merino; mkdir -p /var/lib/cni/networks/cbr0");
  node_.write("/var/lib/cni/networks/cbr0/10.244.98.99", "long-gone\r\neth0");
  node_.write("/var/lib/cni/networks/cbr0/10.244.98.100", "");
  EXPECT_TRUE(node_.call("GC", valid({})).ok());
  EXPECT_EQ(node_.leftovers(), "");
}

TEST_F(CniDel, gc_leaves_other_networks_alone) {
  EXPECT_TRUE(node_.call("GC", with(valid({}), "name", "other")).ok());
  EXPECT_TRUE(node_.run("ping -c 1 -W 2 10.244.98.2").ok());
}

TEST_F(CniDel, gc_is_not_confused_by_hostile_files) {
  node_.write("/var/lib/cni/networks/cbr0/10.244.98.99", "../../../etc/passwd\r\n../x");
  node_.write("/run/merino/attachments/zzz.json", "{}");
  EXPECT_TRUE(node_.call("GC", valid({"c1"})).ok());
  EXPECT_TRUE(node_.run("ping -c 1 -W 2 10.244.98.2").ok());
  EXPECT_FALSE(node_.run("test -e /var/lib/cni/networks/cbr0/10.244.98.99").ok());
  EXPECT_TRUE(node_.run("test -e /etc/passwd").ok());
}

}  // namespace
}  // namespace merino::lab::cni_del_test
