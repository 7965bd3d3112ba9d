// Nodes that talk without a tunnel, and what such nodes look like when they are made of the kernel's routes.
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "lab/lab.h"
#include "lab/matrix.h"
#include "lab/traffic.h"

namespace merino::lab {

inline NodeOptions backend(const std::string& object, const std::string& before_start = "") {
  return {.net_conf = fmt::format(R"({{"Network": "10.244.0.0/16", "Backend": {{{}}}}})", object), .before_start = before_start};
}
inline NodeOptions host_gw(const std::string& before_start = "") { return backend(R"("Type": "host-gw")", before_start); }
inline NodeOptions direct_routing() { return backend(R"("Type": "vxlan", "DirectRouting": true)"); }

// flannel's host-gw: a lease, and on every node `ip route add <subnet> via <node>`. Pods by the bridge plugin.
class StockGateway {
 public:
  StockGateway(Lab& lab, Machine& machine, std::string subnet, int mtu) : machine_(machine), subnet_(std::move(subnet)), mtu_(mtu) {
    machine_.must("sysctl -qw net.ipv4.ip_forward=1; mkdir -p " + lab.lease_dir() + "/subnets");
    machine_.must(fmt::format("cat > {0}/.stock && mv {0}/.stock {0}/subnets/{1}-24", lab.lease_dir(), subnet_),
                  fmt::format(R"({{"PublicIP":"{}","PublicIPv6":null,"BackendType":"host-gw"}})", machine_.address()));
  }

  void add_peer(const Node& node) const { machine_.must(fmt::format("ip route add {}/24 via {} dev eth0", node.subnet(), node.address())); }
  Pod& add_pod(const std::string& name) const {
    return machine_.add_pod(name, {.conflist = fmt::format(
                                       R"({{"cniVersion":"0.3.1","name":"cbr0","plugins":[{{"type":"bridge","bridge":"cni0","mtu":{},
        "hairpinMode":true,"ipMasq":false,"isGateway":true,"isDefaultGateway":true,
        "ipam":{{"type":"host-local","ranges":[[{{"subnet":"{}/24"}}]],"routes":[{{"dst":"10.244.0.0/16"}}]}}}}]}})",
                                       mtu_, subnet_)});
  }

 private:
  Machine& machine_;
  std::string subnet_;
  int mtu_;
};

// Until the node sends to its peers' pods the fast way: it knows `count` neighbours.
inline void wait_for_neighbours(const Node& node, size_t count) {
  const auto known = [&] {
    const std::string peers = node.must("bpftool -j map dump pinned /sys/fs/bpf/merino/peers | grep -o '\"kind\":2' | wc -l");
    const std::string unknown =
        node.must("bpftool -j map dump pinned /sys/fs/bpf/merino/peers | grep -o '\"vtep_mac\":\\[0,0,0,0,0,0\\]' | wc -l");
    return std::stoul(peers) - std::stoul(unknown) == count;
  };
  if (!eventually(known)) throw Failure(node.name() + " does not know its neighbours:\n" + node.must("ip neigh; ip route"));
}

// Bulk TCP each way goes without a tunnel, past the stack, at every merino node of `nodes`.
inline void expect_direct(const Pod& from, const Pod& to, const std::vector<const Node*>& nodes) {
  std::vector<Counters> before;
  for (const Node* node : nodes) before.push_back(node->counters());
  const TrafficServer server(to, 7200);
  const TrafficResult result = traffic(from, "tcp --up 3000000 --down 3000000 --payload 65536 --to " + to.address() + ":7200");
  EXPECT_TRUE(result.ok) << result.line;
  for (size_t i = 0; i < nodes.size(); i++) {
    const Counters counted = nodes[i]->counters() - before[i];
    EXPECT_GT(counted[MERINO_DIRECT], 40U) << nodes[i]->name() << "\n" << counted.to_string();
    EXPECT_GT(counted[MERINO_DIRECT_IN], 40U) << nodes[i]->name() << "\n" << counted.to_string();
    EXPECT_EQ(counted.sum({MERINO_ENCAP, MERINO_DECAP, MERINO_TUNNEL, MERINO_NEIGHBOUR, MERINO_TRANSLATED}) + counted.dropped(), 0U)
        << nodes[i]->name() << "\n"
        << counted.to_string();
  }
}

}  // namespace merino::lab
