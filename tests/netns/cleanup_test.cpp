// merinod --cleanup: everything of merino's goes, pods stay, and flanneld takes over again.
#include <fmt/core.h>
#include <gmock/gmock.h>

#include <thread>

#include "lab/matrix.h"
#include "moving_node.h"

namespace merino::lab::cleanup_test {
namespace {

using testing::HasSubstr;

// From the end of merino to flanneld's device: the script that plays flanneld needs its time.
constexpr uint64_t kMostLost = 5000;

// Everything of merino's that can be found on a node.
std::string remains(const Node& node) {
  return node.must(
      "ls -d /run/merino /sys/fs/bpf/merino 2>/dev/null; ip -br link show merino0 2>/dev/null; ip route | grep merino0;"
      "ip -6 route | grep merino0; ip6tables-nft-save 2>/dev/null | grep -i merino; nft list ruleset 2>/dev/null | grep -i merino; "
      "iptables-nft-save 2>/dev/null | grep -i merino; iptables-legacy-save 2>/dev/null | grep -i merino; bpftool net show | grep -iE "
      "'from_(pod|wire|tunnel|host)|wire_xdp'; true");
}

class Return : public Moving {};

TEST_F(Return, PodsOfBothKindsGoOnUnderFlannel) {
  Pod& old = add_pod("old");
  const Pod& on_peer = peer_.add_pod("peer1");
  const Pod& on_stock = stock_.add_pod("stock1");
  node_.must("iptables-nft -P FORWARD DROP; iptables-legacy -P FORWARD DROP");
  start_merinod();
  ASSERT_TRUE(eventually([&] { return pods_in_map() == 1; }));
  install_merino_plugin();
  Pod& fresh = add_pod("fresh");
  for (const char* save : {"iptables-nft-save", "iptables-legacy-save"}) ASSERT_THAT(node_.must(save), HasSubstr("merino forward")) << save;
  const std::string env = node_.read("/run/flannel/subnet.env");

  LiveTraffic of_old(old, on_peer);
  LiveTraffic of_fresh(fresh, on_stock);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  const Output refused = cleanup();
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("another merinod runs on this node"));
  EXPECT_EQ(pods_in_map(), 2U) << "nothing was done";

  stop_merinod();
  const Output done = cleanup();
  EXPECT_TRUE(done.ok()) << done.err;
  EXPECT_EQ(remains(node_), "");
  EXPECT_EQ(node_.read("/run/flannel/subnet.env"), env);
  // flanneld has rules in one of both only.
  node_.must("iptables-legacy -P FORWARD ACCEPT");
  start_flanneld();
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  of_old.expect_alive("return", kMostLost);
  of_fresh.expect_alive("return", kMostLost);
  const Output again = cleanup();
  EXPECT_TRUE(again.ok()) << again.err;

  install_flannel_plugin();
  const Pod& back = add_pod("back");
  fresh.must("ip neigh flush all");
  expect_full_matrix({&old, &fresh, &back, &on_peer, &on_stock});
  expect_matrix(fresh, node_, "10.244.150.1", {1450, 100'000});

  // Its DEL by flannel's plugin, from the file that merino left for it.
  const std::string address = fresh.address();
  fresh.remove();
  old.remove();
  EXPECT_FALSE(node_.run("ls /var/lib/cni/networks/cbr0/" + address).ok());
  EXPECT_EQ(node_.must("ip -o link | grep -c ' mr' || true"), "0\n");
}

// Every pod is a port of the bridge then, and answers for itself.
TEST_F(Return, NothingAnswersForOthersAfterwards) {
  add_pod("old");
  start_merinod();
  install_merino_plugin();
  const Pod& fresh = add_pod("fresh");
  ASSERT_TRUE(eventually([&] { return node_.read("/proc/sys/net/ipv4/conf/cni0/proxy_arp") == "1\n"; }));
  const std::string mac = node_.read("/sys/class/net/cni0/address");
  stop_merinod();
  ASSERT_TRUE(cleanup().ok());
  EXPECT_EQ(node_.read("/proc/sys/net/ipv4/conf/cni0/proxy_arp"), "0\n");
  EXPECT_EQ(node_.must("ip -o link show master cni0 | wc -l"), "2\n");
  EXPECT_THAT(node_.must("ip route get " + fresh.address()), HasSubstr("dev cni0"));
  EXPECT_EQ(node_.must("cat /sys/class/net/mr*/brport/hairpin_mode"), "1\n") << "as flannel's delegate is told";
  EXPECT_EQ(node_.read("/sys/class/net/cni0/address"), mac) << "pods know it";
}

// The stack followed it, then merino carried it, then the stack has it again; kube-proxy drops what conntrack takes for invalid.
TEST_F(Return, AConnectionLivesThereAndBack) {
  const Pod& old = add_pod("old");
  const Pod& on_peer = peer_.add_pod("peer1");
  node_.must("iptables-nft -A FORWARD -m conntrack --ctstate INVALID -j DROP");
  LiveTraffic connection(old, on_peer);
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  start_merinod();
  ASSERT_TRUE(eventually([&] { return pods_in_map() == 1; }));
  const Counters before = node_.counters();
  // More than any window that conntrack may have seen.
  ASSERT_TRUE(eventually([&] { return (node_.counters() - before)[MERINO_ENCAP] > 1000; }, std::chrono::seconds(30)));
  stop_merinod();
  ASSERT_TRUE(cleanup().ok());
  start_flanneld();
  std::this_thread::sleep_for(std::chrono::milliseconds(1500));
  connection.expect_alive("there and back", kMostLost);
}

// A node that never had a bridge: the gateway's address would go with merino0.
TEST_F(Return, PodsOfANodeWithoutABridge) {
  start_merinod();
  install_merino_plugin();
  Pod& fresh = add_pod("fresh");
  const Pod& on_peer = peer_.add_pod("peer1");
  stop_merinod();
  ASSERT_TRUE(cleanup().ok());
  EXPECT_EQ(remains(node_), "");
  start_flanneld();
  install_flannel_plugin();
  const Pod& back = add_pod("back");
  fresh.must("ip neigh flush all");
  expect_full_matrix({&fresh, &back, &on_peer});
  expect_matrix(fresh, node_, "10.244.150.1", {1450, 100'000});

  // And forth again: what merino attached before is taken up without a record.
  start_merinod();
  EXPECT_TRUE(eventually([&] { return pods_in_map() == 2; }));
  expect_full_matrix({&fresh, &back, &on_peer});
  install_merino_plugin();
  fresh.remove();
  EXPECT_TRUE(eventually([&] { return pods_in_map() == 1; }));
}

TEST_F(Return, NothingIsLeftOfANodeWithoutPods) {
  start_merinod();
  stop_merinod();
  ASSERT_TRUE(cleanup().ok());
  EXPECT_EQ(remains(node_), "");
  EXPECT_FALSE(node_.run("ip link show cni0").ok()) << "there is nobody for whom to make it";
  ASSERT_TRUE(cleanup().ok()) << "twice";
}

}  // namespace
}  // namespace merino::lab::cleanup_test
