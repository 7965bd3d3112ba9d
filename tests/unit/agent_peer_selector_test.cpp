// Differences of peers, one after the other, make what all leases would.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "agent/peer_selector.h"

namespace merino {
namespace agent_peer_selector_test {

using Extent = PeerUpdate::Extent;

Prefix prefix(const std::string& text) { return *Prefix::parse(text); }
IpAddress ip(const std::string& text) { return *IpAddress::parse(text); }

Lease make_lease(uint32_t number, uint8_t node, uint32_t vni) {
  Lease lease;
  lease.subnet = Prefix(IpAddress::from_v4(0x0af40000U + (number << 8U)), 24);
  lease.attributes.public_ip = IpAddress::from_v4(0xc0a85800U + node);
  lease.attributes.backend_type = "vxlan";
  lease.attributes.vxlan.v4 = VxlanLease{vni, MacAddress({2, 0, 0, 0, 0, node})};
  return lease;
}

Node example() {
  Node node;
  node.conf.pools.v4 = SubnetPool{.network = prefix("10.244.0.0/16"), .subnet_len = 24, .subnet_min = {}, .subnet_max = {}};
  node.uplink = {2, "eth0", 1500, ip("192.168.88.1"), ip("192.168.88.1")};
  node.lease = make_lease(0, 1, 1);
  return node;
}

std::map<Prefix, Peer> by_subnet(const std::vector<Peer>& peers) {
  std::map<Prefix, Peer> out;
  for (const Peer& peer : peers) out.emplace(peer.subnet, peer);
  return out;
}

TEST(PeerSelector, ARandomWalkIsAtEachStepWhatFollowsFromNothing) {
  std::mt19937 random(7);
  const auto below = [&](uint32_t bound) { return std::uniform_int_distribution<uint32_t>(0, bound - 1)(random); };
  Node node = example();
  std::map<uint32_t, Lease> leases{{0, node.lease}};
  PeerSelector selector;
  std::map<Prefix, Peer> kept;
  int differences = 0;
  for (int step = 0; step < 3000; ++step) {
    const uint32_t number = below(40) + 1;
    // The node's own address, another VNI and another network's among them: no peers.
    if (leases.erase(number) == 0 || below(2) == 0)
      leases[number] = make_lease(below(20) == 0 ? 300 + number : number, static_cast<uint8_t>(below(30) + 1), below(8) == 0 ? 2 : 1);
    if (below(50) == 0) node.uplink.address = node.uplink.public_ip = IpAddress::from_v4(0xc0a85800U + below(5) + 1);
    if (below(50) == 0) node.lease.subnet = Prefix(IpAddress::from_v4(0x0af40000U + (below(3) << 8U)), 24);
    if (below(50) == 0) selector.forget();
    std::map<Subnets, Lease> ordered;
    for (const auto& [key, lease] : leases) ordered.emplace(lease.subnet, lease);
    std::vector<Lease> all;
    for (const auto& [subnet, lease] : ordered) all.push_back(lease);
    node.leases.leases = all;

    const PeerUpdate update = selector.update(node);
    if (update.extent == Extent::all) kept.clear();
    if (update.extent == Extent::difference) ++differences;
    for (const Peer& peer : update.gone) {
      ASSERT_TRUE(kept.contains(peer.subnet) && kept.at(peer.subnet) == peer) << "step " << step << ": as it was written";
      kept.erase(peer.subnet);
    }
    for (const Peer& peer : update.come) ASSERT_TRUE(kept.emplace(peer.subnet, peer).second) << "step " << step;

    PeerSelector fresh;
    ASSERT_TRUE(kept == by_subnet(fresh.update(node).come)) << "step " << step;
    ASSERT_EQ(selector.peers(), kept.size());
    const auto ignored = selector.ignored(node);
    const auto all_ignored = fresh.ignored(node);
    ASSERT_TRUE(std::equal(ignored.begin(), ignored.end(), all_ignored.begin(), all_ignored.end(),
                           [](const auto& a, const auto& b) { return a.key == b.key && a.reason == b.reason; }))
        << "step " << step;
  }
  EXPECT_GT(differences, 2000);
}

TEST(PeerSelector, AChangeOfOneLeaseIsOne) {
  Node node = example();
  node.leases.leases = {node.lease, make_lease(1, 2, 1), make_lease(2, 3, 1)};
  PeerSelector selector;
  EXPECT_EQ(selector.update(node).come.size(), 2U);
  node.leases.leases = node.leases.leases.with(make_lease(2, 4, 1));
  const PeerUpdate update = selector.update(node);
  EXPECT_EQ(update.extent, Extent::difference);
  EXPECT_EQ(update.gone.size(), 1U);
  EXPECT_EQ(update.come.size(), 1U);
  node.uplink.address = ip("192.168.88.9");
  EXPECT_EQ(selector.update(node).extent, Extent::all) << "another node judges otherwise";
}

}  // namespace agent_peer_selector_test
}  // namespace merino
