// Every backend with every address family that it has: what the tests of them share.
#pragma once

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lab/lab.h"
#include "lab/matrix.h"
#include "lab/traffic.h"

namespace merino::lab {

// flannel's table: udp is IPv4's only.
inline const auto kAllNetworks = testing::Values(
    PodNetwork{Backend::vxlan, Families::ipv4}, PodNetwork{Backend::vxlan, Families::ipv6}, PodNetwork{Backend::vxlan, Families::dual},
    PodNetwork{Backend::direct_routing, Families::ipv4}, PodNetwork{Backend::direct_routing, Families::ipv6},
    PodNetwork{Backend::direct_routing, Families::dual}, PodNetwork{Backend::host_gw, Families::ipv4},
    PodNetwork{Backend::host_gw, Families::ipv6}, PodNetwork{Backend::host_gw, Families::dual}, PodNetwork{Backend::udp, Families::ipv4});

// One of each backend, with all that it has.
inline const auto kEachBackend =
    testing::Values(PodNetwork{Backend::vxlan, Families::dual}, PodNetwork{Backend::direct_routing, Families::dual},
                    PodNetwork{Backend::host_gw, Families::dual}, PodNetwork{Backend::udp, Families::ipv4});

inline std::string network_name(const testing::TestParamInfo<PodNetwork>& info) { return to_string(info.param); }

inline std::string families_name(const testing::TestParamInfo<Families>& info) {
  return info.param == Families::dual ? "Dual" : info.param == Families::ipv6 ? "IPv6" : "IPv4";
}

enum class Way { tunnel, direct };

// Between two nodes of one segment.
inline Way near_way(Backend backend) { return backend == Backend::vxlan || backend == Backend::udp ? Way::tunnel : Way::direct; }

// What a merino node needs beside a stock node: flannel's udp proxy reads packets from a socket, where nobody finishes a checksum that
// veth left to the receiver, as a network card would not.
inline std::string beside_stock(const PodNetwork& network) { return network.backend == Backend::udp ? "ethtool -K eth0 tx off; " : ""; }

// Subnets of peers that are reached without a tunnel, and whose neighbour's MAC is known.
inline size_t known_direct_peers(const Node& node) {
  const std::string count = node.must(
      "bpftool -j map dump pinned /sys/fs/bpf/merino/peers | "
      "jq '[.[] | (.formatted // .).value | select(.kind == 2 and (.vtep_mac | map(select(. != 0)) | length) > 0)] | length'");
  return std::stoul(count);
}

// Until the node sends to `count` peers without a tunnel, if that is the way to peers of its segment.
inline void wait_for_direct_peers(const Node& node, const PodNetwork& network, size_t peers) {
  const size_t count = near_way(network.backend) == Way::direct ? peers * each(network.families).size() : 0;
  if (!eventually([&] { return known_direct_peers(node) == count; })) {
    throw Failure(
        fmt::format("{} knows {} of {} neighbours:\n{}", node.name(), known_direct_peers(node), count, node.must("ip neigh; ip route")));
  }
}

// Bulk TCP each way takes the fast path at every merino node of `nodes`, and the way that is meant.
inline void expect_fast(const Pod& from, const Pod& to, const std::string& address, const std::vector<const Node*>& nodes, Way way) {
  SCOPED_TRACE(fmt::format("fast from {} to {}", from.name(), address));
  std::vector<Counters> before;
  for (const Node* node : nodes) before.push_back(node->counters());
  const TrafficServer server(to, 7200);
  const TrafficResult result = traffic(from, "tcp --up 3000000 --down 3000000 --payload 65536 --to " + endpoint(address, 7200));
  EXPECT_TRUE(result.ok) << result.line;
  for (size_t i = 0; i < nodes.size(); i++) {
    const Counters counted = nodes[i]->counters() - before[i];
    const uint64_t direct = counted.sum({MERINO_DIRECT, MERINO_DIRECT_IN});
    EXPECT_GT(counted.fast_for_pods(), 90U) << nodes[i]->name() << "\n" << counted.to_string();
    EXPECT_EQ(direct > 0, way == Way::direct) << nodes[i]->name() << "\n" << counted.to_string();
    EXPECT_EQ(counted.sum({MERINO_NO_ROUTE, MERINO_TRANSLATED, MERINO_MTU, MERINO_HELPER, MERINO_NEIGHBOUR, MERINO_FAST_PATH_OFF}) +
                  counted.dropped(),
              0U)
        << nodes[i]->name() << "\n"
        << counted.to_string();
  }
}

}  // namespace merino::lab
