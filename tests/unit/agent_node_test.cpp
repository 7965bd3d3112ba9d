#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/node.h"
#include "agent/peer_selector.h"
#include "datapath/convert.h"

namespace merino {
namespace agent_node_test {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

IpAddress ip(const std::string& text) { return *IpAddress::parse(text); }
Prefix prefix(const std::string& text) { return *Prefix::parse(text); }
MacAddress mac(const std::string& text) { return *MacAddress::parse(text); }

Lease make_lease(const std::string& subnet, const std::string& address, uint32_t vni = 1) {
  Lease lease;
  lease.subnet = prefix(subnet);
  lease.attributes.public_ip = ip(address);
  lease.attributes.backend_type = "vxlan";
  lease.attributes.vxlan.v4 = VxlanLease{vni, mac("02:00:00:00:00:07")};
  lease.expires = std::chrono::system_clock::time_point(std::chrono::seconds(1790000000));
  return lease;
}

SubnetPool pool(const std::string& network) { return {.network = prefix(network), .subnet_len = 0, .subnet_min = {}, .subnet_max = {}}; }

struct PeerSelection {
  std::vector<Peer> peers;
  std::vector<RejectedLease> ignored;
};
PeerSelection select_peers(const Node& node) {
  PeerSelector selector;
  PeerUpdate update = selector.update(node);
  return {std::move(update.come), selector.ignored(node)};
}

std::vector<OffSegment> off_segment_peers(const Node& node) {
  PeerSelector selector;
  (void)selector.update(node);
  return selector.off_segment();
}

Node example() {
  Node node;
  node.conf.pools.v4 = pool("10.244.0.0/16");
  node.uplink = {2, "eth0", 1500, ip("192.168.88.12"), ip("203.0.113.12")};
  node.vtep_mac.v4 = mac("46:65:8d:36:f7:4e");
  node.lease = make_lease("10.244.98.0/24", "203.0.113.12");
  node.device_index = 7;
  node.conntrack = true;
  return node;
}

TEST(Node, ProgramsConfiguration) {
  Node node = example();
  const merino_config config = programs_config(node);
  EXPECT_EQ(from_abi(config.v4.underlay), ip("192.168.88.12")) << "the interface's address: behind NAT the packets arrive there";
  EXPECT_EQ(from_abi(config.v4.network), ip("10.244.0.0"));
  EXPECT_EQ(config.v4.network_len, 112U);
  EXPECT_EQ(config.uplink_ifindex, 2U);
  EXPECT_EQ(config.device_ifindex, 7U);
  EXPECT_EQ(config.vni, 1U);
  EXPECT_EQ(config.pod_mtu, 1450U);
  EXPECT_EQ(config.tunnel_port, htons(8472));
  EXPECT_EQ(from_abi(config.v4.vtep_mac), node.vtep_mac.v4);
  EXPECT_EQ(config.v6.network_len, 0U);
  EXPECT_EQ(config.fast_path, 1);
}

TEST(Node, MtuIsTheUplinksUnlessConfigured) {
  Node node = example();
  EXPECT_EQ(tunnel_mtu(node), 1450);
  node.conf.vxlan.mtu = 9000;
  EXPECT_EQ(tunnel_mtu(node), 8950);
  EXPECT_EQ(make_subnet_env(node).mtu, 8950);
}

TEST(Node, FastPathNeedsConntrack) {
  Node node = example();
  EXPECT_EQ(fast_path_obstacle(node), "");
  node.conntrack = false;
  EXPECT_THAT(fast_path_obstacle(node), HasSubstr("nf_conntrack"));
  EXPECT_EQ(programs_config(node).fast_path, 0);
  node.conntrack = true;
  node.conf.fast_path = false;
  EXPECT_THAT(fast_path_obstacle(node), HasSubstr("FastPath"));
  EXPECT_EQ(programs_config(node).fast_path, 0);
}

TEST(Node, SubnetEnvAsFlannelWritesIt) {
  Node node = example();
  node.options.ip_masq = true;
  EXPECT_EQ(format_subnet_env(make_subnet_env(node)),
            "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.98.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n");
  node.options.ip_masq = false;
  EXPECT_THAT(format_subnet_env(make_subnet_env(node)), HasSubstr("FLANNEL_IPMASQ=false"));
}

TEST(Node, PeersAreTheOthers) {
  Node node = example();
  node.leases.leases = {node.lease, make_lease("10.244.3.0/24", "192.168.88.13")};
  const PeerSelection selection = select_peers(node);
  EXPECT_THAT(selection.peers, ElementsAre(Peer{prefix("10.244.3.0/24"), ip("192.168.88.13"), mac("02:00:00:00:00:07"), PeerKind::vxlan}));
  EXPECT_THAT(selection.ignored, IsEmpty());
}

TEST(Node, LeasesThatCannotBePeersAreNamed) {
  Node node = example();
  Lease other_backend = make_lease("10.244.4.0/24", "192.168.88.14");
  other_backend.attributes.backend_type = "host-gw";
  other_backend.attributes.vxlan = {};
  node.leases.leases = {node.lease,
                        other_backend,
                        make_lease("10.244.5.0/24", "192.168.88.15", 2),
                        make_lease("10.99.0.0/24", "192.168.88.16"),
                        make_lease("10.244.98.128/25", "192.168.88.17"),
                        make_lease("10.244.6.0/24", "203.0.113.12"),
                        make_lease("10.244.7.0/24", "192.168.88.12")};
  node.leases.rejected = {{"10.244.8.0-24", "not JSON"}};
  const PeerSelection selection = select_peers(node);
  EXPECT_THAT(selection.peers, IsEmpty());
  std::vector<std::string> reasons;
  for (const auto& lease : selection.ignored) reasons.push_back(lease.key + ": " + lease.reason);
  EXPECT_THAT(reasons, UnorderedElementsAre("10.244.8.0-24: not JSON", HasSubstr("10.244.4.0-24: backend type \"host-gw\""),
                                            HasSubstr("10.244.5.0-24: VNI 2"), HasSubstr("10.99.0.0-24: outside the network"),
                                            HasSubstr("10.244.98.128-25: overlaps"), HasSubstr("10.244.6.0-24: an old lease of this node"),
                                            HasSubstr("10.244.7.0-24: an old lease of this node")));
}

TEST(Node, AnotherNodeWithThisOnesAddressIsNoOldLease) {
  Node node = example();
  Lease other = make_lease("10.244.7.0/24", "192.168.88.12");
  other.node_name = "worker-2";
  node.leases.leases = {node.lease, other};
  const PeerSelection selection = select_peers(node);
  ASSERT_EQ(selection.ignored.size(), 1U);
  EXPECT_THAT(selection.ignored[0].reason,
              HasSubstr("Node worker-2 has this node's public address; give each an address of its own by --iface"));
}

Lease host_gw_lease(const std::string& subnet, const std::string& address) {
  Lease lease = make_lease(subnet, address);
  lease.attributes.backend_type = "host-gw";
  lease.attributes.vxlan = {};
  return lease;
}

Node host_gw_example() {
  Node node = example();
  node.conf.backend = BackendType::host_gw;
  node.uplink.public_ip = node.uplink.address;
  node.lease = host_gw_lease("10.244.98.0/24", "192.168.88.12");
  return node;
}

TEST(HostGw, TheUplinksMtuAndNoTunnel) {
  const Node node = host_gw_example();
  EXPECT_EQ(tunnel_mtu(node), 1500);
  const merino_config config = programs_config(node);
  EXPECT_EQ(config.pod_mtu, 1500U);
  EXPECT_EQ(config.tunnel_port, 0);
  EXPECT_EQ(config.direct, 1);
  EXPECT_EQ(programs_config(example()).direct, 0);
  EXPECT_EQ(make_status(node, {}, {}).backend, "host-gw");
  EXPECT_EQ(make_status(node, {}, {}).port, 0);
}

TEST(HostGw, TheLeaseAsFlannelWritesIt) {
  EXPECT_EQ(format_lease_attributes(lease_attributes(host_gw_example())),
            R"({"PublicIP":"192.168.88.12","PublicIPv6":null,"BackendType":"host-gw"})");
  Node alloc = host_gw_example();
  alloc.conf.backend = BackendType::alloc;
  EXPECT_EQ(format_lease_attributes(lease_attributes(alloc)), R"({"PublicIP":"192.168.88.12","PublicIPv6":null})");
}

TEST(HostGw, ThePublicAddressIsTheUplinks) {
  Node node = host_gw_example();
  EXPECT_TRUE(check_backend(node));
  node.uplink.public_ip = ip("203.0.113.12");
  const Status refused = check_backend(node);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), testing::AllOf(HasSubstr("203.0.113.12"), HasSubstr("eth0"), HasSubstr("--public-ip")));
  EXPECT_TRUE(check_backend(example())) << "a tunnel works through NAT";
}

TEST(HostGw, PeersAreThoseOnTheSegment) {
  Node node = host_gw_example();
  node.leases.leases = {node.lease, host_gw_lease("10.244.3.0/24", "192.168.88.13"), host_gw_lease("10.244.4.0/24", "192.168.89.14"),
                        host_gw_lease("10.244.5.0/24", "192.168.88.15"), make_lease("10.244.6.0/24", "192.168.88.16")};
  EXPECT_THAT(direct_candidates(node), ElementsAre(ip("192.168.88.13"), ip("192.168.89.14"), ip("192.168.88.15")));
  node.segment[ip("192.168.88.13")] = {"", mac("02:00:00:00:00:13")};
  node.segment[ip("192.168.89.14")] = {"behind the router 192.168.88.1, not on the segment of eth0", {}};
  const PeerSelection selection = select_peers(node);
  EXPECT_THAT(selection.peers, ElementsAre(Peer{prefix("10.244.3.0/24"), ip("192.168.88.13"), mac("02:00:00:00:00:13"), PeerKind::direct}));
  std::vector<std::string> reasons;
  for (const auto& lease : selection.ignored) reasons.push_back(lease.key + ": " + lease.reason);
  EXPECT_THAT(reasons, ElementsAre(HasSubstr("10.244.4.0-24: behind the router"), HasSubstr("10.244.5.0-24: the way to it is not known"),
                                   HasSubstr("10.244.6.0-24: backend type \"vxlan\", this node has host-gw")));
  const std::vector<OffSegment> elsewhere = off_segment_peers(node);
  ASSERT_EQ(elsewhere.size(), 1U);
  EXPECT_EQ(elsewhere[0].subnet, prefix("10.244.4.0/24"));
  EXPECT_EQ(elsewhere[0].address, ip("192.168.89.14"));
}

TEST(DirectRouting, TheTunnelIsForThoseElsewhere) {
  Node node = example();
  node.leases.leases = {node.lease, make_lease("10.244.3.0/24", "192.168.88.13"), make_lease("10.244.4.0/24", "192.168.89.14")};
  EXPECT_THAT(direct_candidates(node), IsEmpty());
  node.conf.vxlan.direct_routing = true;
  EXPECT_THAT(direct_candidates(node), ElementsAre(ip("192.168.88.13"), ip("192.168.89.14")));
  node.segment[ip("192.168.88.13")] = {"", {}};
  node.segment[ip("192.168.89.14")] = {"behind the router 192.168.88.1, not on the segment of eth0", {}};
  const PeerSelection selection = select_peers(node);
  EXPECT_THAT(selection.peers, ElementsAre(Peer{prefix("10.244.3.0/24"), ip("192.168.88.13"), MacAddress(), PeerKind::direct},
                                           Peer{prefix("10.244.4.0/24"), ip("192.168.89.14"), mac("02:00:00:00:00:07"), PeerKind::vxlan}));
  EXPECT_THAT(selection.ignored, IsEmpty());
  EXPECT_TRUE(off_segment_peers(node).empty()) << "the tunnel reaches it";
  EXPECT_EQ(tunnel_mtu(node), 1450) << "one MTU for all pods";
  EXPECT_EQ(programs_config(node).direct, 1);
  EXPECT_EQ(programs_config(node).tunnel_port, htons(8472));
}

// With both families, and another VTEP MAC for the second.
Node dual_example() {
  Node node = example();
  node.conf.pools.v6 = pool("fd10:244::/48");
  node.uplink.address.v6 = node.uplink.public_ip.v6 = ip("fd00:88::12");
  node.vtep_mac.v6 = mac("46:65:8d:36:f7:66");
  node.lease.subnet.v6 = prefix("fd10:244:0:62::/64");
  node.lease.attributes = lease_attributes(node);
  return node;
}

Lease make_dual_lease(const std::string& subnet, const std::string& address, const std::string& subnet_v6, const std::string& address_v6) {
  Lease lease = make_lease(subnet, address);
  lease.subnet.v6 = prefix(subnet_v6);
  lease.attributes.public_ip.v6 = ip(address_v6);
  lease.attributes.vxlan.v6 = VxlanLease{1, mac("02:00:00:00:00:08")};
  return lease;
}

TEST(DualStack, ProgramsConfiguration) {
  const Node node = dual_example();
  const merino_config config = programs_config(node);
  EXPECT_EQ(from_abi(config.v4.underlay), ip("192.168.88.12"));
  EXPECT_EQ(from_abi(config.v6.underlay), ip("fd00:88::12"));
  EXPECT_EQ(from_abi(config.v6.network), ip("fd10:244::"));
  EXPECT_EQ(config.v6.network_len, 48U);
  EXPECT_EQ(from_abi(config.v4.vtep_mac), mac("46:65:8d:36:f7:4e"));
  EXPECT_EQ(from_abi(config.v6.vtep_mac), mac("46:65:8d:36:f7:66"));
  EXPECT_EQ(config.pod_mtu, 1430U) << "room for the larger of the two outer headers";
}

TEST(DualStack, MtuByTheLargerOuterHeader) {
  Node node = dual_example();
  EXPECT_EQ(tunnel_mtu(node), 1430);
  node.conf.pools.v4.reset();
  EXPECT_EQ(tunnel_mtu(node), 1430);
  node.conf.backend = BackendType::host_gw;
  EXPECT_EQ(tunnel_mtu(node), 1500);
}

TEST(DualStack, SubnetEnvAsFlannelWritesIt) {
  EXPECT_EQ(format_subnet_env(make_subnet_env(dual_example())),
            "FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET=10.244.98.1/24\nFLANNEL_IPV6_NETWORK=fd10:244::/48\n"
            "FLANNEL_IPV6_SUBNET=fd10:244:0:62::1/64\nFLANNEL_MTU=1430\nFLANNEL_IPMASQ=false\n");
}

TEST(DualStack, TheLeaseSaysBothMacs) {
  EXPECT_EQ(format_lease_attributes(lease_attributes(dual_example())),
            R"({"PublicIP":"203.0.113.12","PublicIPv6":"fd00:88::12","BackendType":"vxlan",)"
            R"("BackendData":{"VNI":1,"VtepMAC":"46:65:8d:36:f7:4e"},"BackendV6Data":{"VNI":1,"VtepMAC":"46:65:8d:36:f7:66"}})");
}

TEST(DualStack, APeerOfEachFamily) {
  Node node = dual_example();
  node.leases.leases = {node.lease, make_dual_lease("10.244.3.0/24", "192.168.88.13", "fd10:244:0:3::/64", "fd00:88::13")};
  const PeerSelection selection = select_peers(node);
  EXPECT_THAT(selection.peers,
              ElementsAre(Peer{prefix("10.244.3.0/24"), ip("192.168.88.13"), mac("02:00:00:00:00:07"), PeerKind::vxlan},
                          Peer{prefix("fd10:244:0:3::/64"), ip("fd00:88::13"), mac("02:00:00:00:00:08"), PeerKind::vxlan}));
  EXPECT_THAT(selection.ignored, IsEmpty());
  Node ipv4_only = example();
  ipv4_only.leases.leases = node.leases.leases;
  EXPECT_EQ(select_peers(ipv4_only).peers.size(), 1U) << "what concerns a family that this node has not does no harm";
}

TEST(DualStack, APeerWithoutIpv6IsReachedByIpv4AndNamed) {
  Node node = dual_example();
  node.leases.leases = {node.lease, make_lease("10.244.3.0/24", "192.168.88.13")};
  const PeerSelection selection = select_peers(node);
  EXPECT_THAT(selection.peers, ElementsAre(Peer{prefix("10.244.3.0/24"), ip("192.168.88.13"), mac("02:00:00:00:00:07"), PeerKind::vxlan}));
  ASSERT_EQ(selection.ignored.size(), 1U);
  EXPECT_EQ(selection.ignored[0].reason, "it has no IPv6 subnet");
}

TEST(DualStack, HostileHalvesOfALease) {
  Node node = dual_example();
  node.leases.leases = {node.lease, make_dual_lease("10.244.3.0/24", "192.168.88.13", "fd10:244:0:62::/64", "fd00:88::13"),
                        make_dual_lease("10.244.4.0/24", "192.168.88.14", "fd99::/64", "fd00:88::14")};
  const PeerSelection selection = select_peers(node);
  EXPECT_THAT(selection.peers, ElementsAre(Peer{prefix("10.244.4.0/24"), ip("192.168.88.14"), mac("02:00:00:00:00:07"), PeerKind::vxlan}));
  ASSERT_EQ(selection.ignored.size(), 2U);
  EXPECT_THAT(selection.ignored[0].reason, HasSubstr("overlaps this node's subnet")) << "by its IPv6 half";
  EXPECT_THAT(selection.ignored[1].reason, HasSubstr("outside the network fd10:244::/48"));
}

TEST(DualStack, StatusSurvivesItsFile) {
  const AgentStatus status = make_status(dual_example(), {}, {});
  const auto parsed = parse_agent_status(format_agent_status(status));
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(*parsed, status);
}

TEST(Udp, APeerIsReachedByItsAddressAlone) {
  Node node = example();
  node.conf.backend = BackendType::udp;
  node.lease.attributes = lease_attributes(node);
  EXPECT_EQ(format_lease_attributes(node.lease.attributes), R"({"PublicIP":"203.0.113.12","PublicIPv6":null})");
  Lease other = make_lease("10.244.3.0/24", "192.168.88.13");
  other.attributes.backend_type = "";
  other.attributes.vxlan = {};
  node.leases.leases = {node.lease, other, make_lease("10.244.4.0/24", "192.168.88.14")};
  const PeerSelection selection = select_peers(node);
  EXPECT_THAT(selection.peers, ElementsAre(Peer{prefix("10.244.3.0/24"), ip("192.168.88.13"), MacAddress(), PeerKind::udp}));
  EXPECT_EQ(selection.ignored.size(), 1U) << "a vxlan node";
  const merino_config config = programs_config(node);
  EXPECT_EQ(config.tunnel, MERINO_PEER_UDP);
  EXPECT_EQ(config.tunnel_port, htons(8285));
  EXPECT_EQ(config.pod_mtu, 1472U);
  EXPECT_EQ(make_status(node, {}, {}).port, 8285);
}

StepState step(const std::string& name, StepCondition condition, const std::string& error) {
  return {name, condition, true, error, std::chrono::system_clock::time_point(std::chrono::seconds(1780000000))};
}

TEST(Node, ReadyWhenEveryStepIsInOrder) {
  const Node node = example();
  EXPECT_TRUE(make_status(node, {step("device", StepCondition::ok, "")}, {}).ready);
  const AgentStatus status = make_status(
      node, {step("device", StepCondition::failed, "no device"), step("links", StepCondition::waiting, "waits for device")}, {});
  EXPECT_FALSE(status.ready);
  EXPECT_THAT(status.missing, ElementsAre("device: no device", "links: waits for device"));
  EXPECT_TRUE(make_status(node, {step("pods", StepCondition::failed, "one pod")}, {}).ready) << "one pod does not make a node unready";
}

TEST(Node, ALeaseWithoutEndHasNoTime) {
  Node node = example();
  node.lease.expires = kNeverExpires;
  EXPECT_EQ(make_status(node, {}, {}).lease_expires, kLeaseWithoutEnd);
}

TEST(Node, AFloodOfRejectedLeasesIsCut) {
  const std::vector<RejectedLease> flood(201, {"10.244.8.0-24", "not JSON"});
  const auto listed = make_status(example(), {}, flood).rejected_leases;
  ASSERT_EQ(listed.size(), 201U);
  EXPECT_EQ(listed.back(), (AgentStatus::Rejected{"...", "1 more"}));
  EXPECT_EQ(make_status(example(), {}, {flood.begin(), flood.end() - 1}).rejected_leases.back().key, "10.244.8.0-24");
}

TEST(Node, StatusSurvivesItsFile) {
  Node node = example();
  node.conntrack = false;
  Lease of_worker;
  of_worker.node_name = "worker-9";
  const AgentStatus status = make_status(node, {step("device", StepCondition::failed, "quote \" and \xff byte")},
                                         {{"10.244.8.0-24", "not JSON"}, {"10.244.9.0-24", "VNI 2", of_worker}},
                                         {{"MtuMismatch", "Backend.MTU is 9000; do this"}});
  const auto parsed = parse_agent_status(format_agent_status(status));
  ASSERT_TRUE(parsed) << parsed.error().message();
  EXPECT_EQ(parsed->subnet, prefix("10.244.98.0/24"));
  EXPECT_EQ(parsed->lease_expires, 1790000000);
  EXPECT_EQ(parsed->rejected_leases, status.rejected_leases);
  EXPECT_EQ(parsed->rejected_leases.at(1).node, "worker-9");
  EXPECT_THAT(parsed->host_notices, testing::ElementsAre("Backend.MTU is 9000; do this"));
  EXPECT_EQ(parsed->steps[0].since, 1780000000);
  EXPECT_FALSE(parsed->fast_path);
  AgentStatus same = *parsed;
  same.steps = status.steps;
  same.missing = status.missing;
  EXPECT_EQ(same, status) << "but for the byte that is not UTF-8";
}

TEST(AgentStatus, BrokenFilesAreErrors) {
  const std::string good = format_agent_status(make_status(example(), {step("device", StepCondition::ok, "")}, {}));
  ASSERT_TRUE(parse_agent_status(good));
  for (const std::string text : {"", "[]", "null", "{", "{}"}) EXPECT_FALSE(parse_agent_status(text)) << text;
  const auto broken = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    const auto status = parse_agent_status(text);
    return status ? "accepted" : status.error().message();
  };
  EXPECT_THAT(broken("\"pid\":", "\"pit\":"), HasSubstr("pid"));
  for (const std::string other : {"1e300", "1.5", "true"})
    EXPECT_THAT(broken("\"pid\":", "\"pid\": " + other + ", \"was\":"), HasSubstr("pid")) << other;
  EXPECT_THAT(broken("\"10.244.98.0/24\"", "\"here\""), HasSubstr("network.subnet"));
  EXPECT_EQ(broken("\"host_notices\": [],", ""), "accepted") << "an agent of before did not write them";
  EXPECT_THAT(broken("\"host_notices\": []", "\"host_notices\": 3"), HasSubstr("host_notices"));
  EXPECT_THAT(broken("\"steps\": [", "\"steps\": [3,"), HasSubstr("steps.name"));
  EXPECT_THAT(load_agent_status("/nonexistent/status.json").error().message(), HasSubstr("start merinod"));
}

}  // namespace agent_node_test
}  // namespace merino
