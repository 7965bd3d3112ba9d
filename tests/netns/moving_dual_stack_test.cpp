// The move from flannel, and back, of a node with both address families.
#include <gmock/gmock.h>

#include "lab/matrix.h"
#include "moving_node.h"

namespace merino::lab::moving_dual_stack_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class MovingDualStack : public Moving {
 protected:
  MovingDualStack() : Moving({.network = {Backend::vxlan, Families::dual}}) {}

  static void expect_reached(const Place& from, const Pod& to) {
    for (const Family family : {Family::v4, Family::v6}) {
      SCOPED_TRACE(from.name() + " to " + to.name() + " by " + to_string(family));
      const PingResult pings = ping(from, "-c 2 -i 0.05 -W 2 " + to.address(family));
      EXPECT_TRUE(pings.all()) << pings.text;
      const TrafficServer server(to, 7200);
      const TrafficResult tcp = traffic(from, "tcp --up 100000 --down 100000 --to " + endpoint(to.address(family), 7200));
      EXPECT_TRUE(tcp.ok) << tcp.line;
    }
  }
  void expect_all_reached(const std::vector<const Pod*>& pods) const {
    for (const Pod* to : pods) {
      expect_reached(node_, *to);
      for (const Pod* from : pods) {
        if (from != to) expect_reached(*from, *to);
      }
    }
  }
  // For whom the host answers on the bridge.
  std::string proxies() const { return node_.must("ip -6 neigh show proxy dev cni0"); }
};

TEST_F(MovingDualStack, DevicesRulesAndPodsAreTakenOver) {
  Pod& old1 = add_pod("old1");
  Pod& old2 = add_pod("old2");
  const Pod& on_peer = peer_.add_pod("peer1");
  const Pod& on_stock = stock_.add_pod("stock1");
  for (const Pod* remote : {&on_peer, &on_stock}) expect_reached(old1, *remote);
  const std::string lease_path = lab_.lease_dir() + "/subnets/'10.244.150.0-24&fd10:244:0:96::-64'";
  const std::string lease = node_.must("cat " + lease_path);
  const std::string env = node_.read("/run/flannel/subnet.env");
  start_merinod();

  EXPECT_EQ(node_.must("cat " + lease_path), lease) << "subnets and both VTEP MACs";
  EXPECT_EQ(node_.must("grep -v MTU /run/flannel/subnet.env"), node_.must("grep -v MTU", env));
  for (const char* device : {"flannel.1", "flannel-v6.1"}) EXPECT_FALSE(node_.run(std::string("ip link show ") + device).ok()) << device;
  EXPECT_THAT(node_.must("ip -6 route"), AllOf(Not(HasSubstr("onlink")), HasSubstr("fd10:244::/48 dev merino0")));
  EXPECT_THAT(node_.agent().log(), HasSubstr("flannel.1 and flannel-v6.1 taken over by merino0 within"));
  EXPECT_TRUE(eventually([&] { return node_.must("iptables-nft-save; ip6tables-nft-save").find("FLANNEL") == std::string::npos; }));
  EXPECT_THAT(node_.must("nft list table ip6 merino"), HasSubstr("ip6 saddr fd10:244::/48 ip6 daddr != ff00::/8 masquerade"));
  EXPECT_TRUE(eventually([&] { return pods_in_map() == 4; })) << "two pods with two addresses";

  install_merino_plugin();
  Pod& fresh = add_pod("fresh");
  EXPECT_TRUE(eventually([&] { return proxies().find(fresh.address(Family::v6)) != std::string::npos; })) << proxies();
  expect_all_reached({&old1, &old2, &fresh, &on_peer, &on_stock});
  EXPECT_EQ(node_.counters().dropped(), 0U) << node_.counters().to_string();

  const TrafficServer outside(peer_, 7300);
  for (const Pod* pod : {&old1, &fresh}) {
    const TrafficResult tcp = traffic(*pod, "tcp --up 1000 --down 1000 --to " + endpoint(peer_.address(Family::v6), 7300));
    EXPECT_TRUE(tcp.ok) << tcp.line;
    EXPECT_EQ(tcp.seen_as, node_.address(Family::v6)) << "masqueraded";
  }
  fresh.remove();
  EXPECT_TRUE(eventually([&] { return proxies().empty(); })) << proxies();
  old2.remove();
  EXPECT_TRUE(eventually([&] { return pods_in_map() == 2; }));
}

TEST_F(MovingDualStack, AndBackToFlannel) {
  Pod& old = add_pod("old");
  const Pod& on_stock = stock_.add_pod("stock1");
  node_.must("ip6tables-nft -P FORWARD DROP");
  start_merinod();
  install_merino_plugin();
  Pod& fresh = add_pod("fresh");
  ASSERT_TRUE(eventually([&] { return pods_in_map() == 4 && !proxies().empty(); }));
  ASSERT_THAT(node_.must("ip6tables-nft-save"), HasSubstr("merino forward"));
  stop_merinod();
  const Output done = cleanup();
  EXPECT_TRUE(done.ok()) << done.err;
  EXPECT_EQ(node_.must("nft list tables | grep merino; ip6tables-nft-save | grep merino; ip -6 route | grep merino0; true"), "");
  EXPECT_EQ(proxies(), "");
  EXPECT_EQ(node_.read("/proc/sys/net/ipv6/conf/cni0/proxy_ndp"), "0\n");
  EXPECT_THAT(node_.must("ip -o addr show dev cni0"), AllOf(HasSubstr("10.244.150.1/24"), HasSubstr("fd10:244:0:96::1/64")));

  start_flanneld();
  install_flannel_plugin();
  const Pod& back = add_pod("back");
  fresh.must("ip neigh flush all; ip -6 neigh flush all");
  const std::vector<const Pod*> pods = {&old, &fresh, &back};
  expect_all_reached(pods);
  for (const Pod* pod : pods) expect_reached(*pod, on_stock);
  expect_reached(on_stock, fresh);
}

// A node that never had a bridge.
TEST_F(MovingDualStack, ABridgeIsMadeWithBothGateways) {
  start_merinod();
  install_merino_plugin();
  const Pod& fresh = add_pod("fresh");
  stop_merinod();
  ASSERT_TRUE(cleanup().ok());
  EXPECT_THAT(node_.must("ip -o addr show dev cni0"), AllOf(HasSubstr("10.244.150.1/24"), HasSubstr("fd10:244:0:96::1/64")));
  start_flanneld();
  install_flannel_plugin();
  const Pod& back = add_pod("back");
  expect_all_reached({&fresh, &back});
}

}  // namespace
}  // namespace merino::lab::moving_dual_stack_test
