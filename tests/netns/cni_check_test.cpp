// CHECK notices whatever differs from what ADD made, and STATUS says whether ADD could work.
#include <gmock/gmock.h>

#include "abi.h"
#include "cni_node.h"

namespace merino::lab::cni_check_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class CniCheck : public testing::Test {
 protected:
  CniCheck() {
    node_.make_netns("c1");
    result_ = node_.add(cni_conf());
    conf_ = with(cni_conf(), "prevResult", result_);
    host_ = result_["interfaces"][0]["name"];
  }
  // The error after a command on the machine.
  std::string after(const std::string& command) {
    node_.must(command);
    const json error = node_.error("CHECK", conf_);
    return error["msg"];
  }
  std::string after_in_pod(const std::string& command) {
    const Output output = node_.in("c1", command);
    EXPECT_TRUE(output.ok()) << output.err;
    return after("true");
  }

  CniNode node_;
  json result_;
  json conf_;
  std::string host_;
};

TEST_F(CniCheck, passes_right_after_add_and_prints_nothing) {
  const Output output = node_.call("CHECK", conf_);
  EXPECT_TRUE(output.ok()) << output.out;
  EXPECT_EQ(output.out, "");
}

TEST_F(CniCheck, allows_for_what_later_plugins_add) {
  EXPECT_TRUE(
      node_.in("c1", "ip route add 192.0.2.0/24 via 10.244.98.1; ip addr add 192.0.2.1/32 dev eth0; ip link set eth0 mtu 1400").ok());
  EXPECT_TRUE(node_.call("CHECK", conf_).ok());
}

TEST_F(CniCheck, needs_prev_result) { EXPECT_EQ(node_.error("CHECK", cni_conf())["code"], 7); }

TEST_F(CniCheck, interface_missing) { EXPECT_THAT(after_in_pod("ip link del eth0"), HasSubstr("eth0 is missing")); }
TEST_F(CniCheck, interface_down) { EXPECT_THAT(after_in_pod("ip link set eth0 down"), HasSubstr("eth0 in /run/netns/c1 is down")); }
TEST_F(CniCheck, other_mac) { EXPECT_THAT(after_in_pod("ip link set eth0 address 02:00:00:00:00:01"), HasSubstr("02:00:00:00:00:01")); }
TEST_F(CniCheck, address_missing) { EXPECT_THAT(after_in_pod("ip addr flush dev eth0"), HasSubstr("10.244.98.2/24")); }
TEST_F(CniCheck, default_route_missing) { EXPECT_THAT(after_in_pod("ip route del default"), HasSubstr("0.0.0.0/0")); }
TEST_F(CniCheck, network_route_missing) { EXPECT_THAT(after_in_pod("ip route del 10.244.0.0/16"), HasSubstr("10.244.0.0/16")); }
TEST_F(CniCheck, host_side_down) { EXPECT_THAT(after("ip link set " + host_ + " down"), HasSubstr(host_ + " is down")); }
TEST_F(CniCheck, host_route_missing) { EXPECT_THAT(after("ip route del 10.244.98.2"), HasSubstr("does not route 10.244.98.2")); }
TEST_F(CniCheck, program_detached) {
  EXPECT_THAT(after("rm " MERINO_PIN_ROOT "/links/pod_" + host_ + " || tc qdisc del dev " + host_ + " clsact"), HasSubstr("not attached"));
}
TEST_F(CniCheck, record_missing) { EXPECT_THAT(after("rm -r /run/merino"), HasSubstr("/run/merino/attachments/c1")); }
TEST_F(CniCheck, address_file_missing) {
  EXPECT_THAT(after("rm /var/lib/cni/networks/cbr0/10.244.98.2"), HasSubstr("/var/lib/cni/networks/cbr0"));
}
TEST_F(CniCheck, namespace_missing) {
  node_.remove_netns("c1");
  EXPECT_EQ(node_.error("CHECK", conf_)["code"], 8);
}
TEST_F(CniCheck, map_entry_missing) {
  EXPECT_THAT(after("bpftool map delete pinned " MERINO_PIN_ROOT "/pods key $(bpftool map dump pinned " MERINO_PIN_ROOT
                    "/pods -j | grep -o '\"key\":\\[[^]]*' | tr -d '\":[ky' | sed 's/^e//;s/,/ /g')"),
              HasSubstr("no entry for 10.244.98.2"));
}

TEST_F(CniCheck, changes_nothing) {
  const std::string before = node_.leftovers() + node_.in("c1", "ip -4 -o addr; ip route").out;
  (void)after_in_pod("ip link set eth0 address 02:00:00:00:00:01");
  EXPECT_TRUE(node_.in("c1", "ip link set eth0 address " + result_["interfaces"][1]["mac"].get<std::string>()).ok());
  EXPECT_EQ(node_.leftovers() + node_.in("c1", "ip -4 -o addr; ip route").out, before);
}

// --- STATUS

TEST_F(CniCheck, status_is_silent_when_add_can_work) {
  const Output output = node_.call("STATUS", cni_conf(), {.container = "", .netns = "", .ifname = ""});
  EXPECT_TRUE(output.ok()) << output.out;
  EXPECT_EQ(output.out, "");
}

TEST_F(CniCheck, status_50_without_subnet_env) {
  node_.must("rm /run/flannel/subnet.env");
  EXPECT_EQ(node_.error("STATUS", cni_conf())["code"], 50);
}

TEST_F(CniCheck, status_51_without_programs) {
  node_.must("rm " MERINO_PIN_ROOT "/programs/from_pod");
  EXPECT_EQ(node_.error("STATUS", cni_conf())["code"], 51);
}

TEST_F(CniCheck, status_names_a_bad_configuration) { EXPECT_EQ(node_.error("STATUS", cni_conf(R"("ipam":{"ranges":[[]]})"))["code"], 7); }

}  // namespace
}  // namespace merino::lab::cni_check_test
