#include "lab/stock_node.h"

#include <fmt/core.h>

#include "base/address.h"

namespace merino::lab {

StockNode::StockNode(const std::string& name, std::string subnet)
    : Machine(name), subnet_(std::move(subnet)), vtep_mac_(MacAddress::random().to_string()) {}

void StockNode::set_up(int uplink_mtu) {
  mtu_ = uplink_mtu - 50;
  ip_batch(fmt::format(
      "link add flannel.1 address {} mtu {} type vxlan id 1 local {} dev eth0 srcport 0 0 dstport 8472 nolearning ttl auto ageing 300 "
      "udpcsum noudp6zerocsumtx noudp6zerocsumrx\n"
      "addr add {}/32 dev flannel.1\n"
      "link set flannel.1 up\n",
      vtep_mac_, mtu_, address(), subnet_));
  must("sysctl -qw net.ipv4.ip_forward=1");
  must("iptables-restore --noflush", fmt::format("*nat\n"
                                                 ":FLANNEL-POSTRTG - [0:0]\n"
                                                 "-A POSTROUTING -j FLANNEL-POSTRTG\n"
                                                 "-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN\n"
                                                 "-A FLANNEL-POSTRTG -s {0}/24 -d 10.244.0.0/16 -j RETURN\n"
                                                 "-A FLANNEL-POSTRTG -s 10.244.0.0/16 -d {0}/24 -j RETURN\n"
                                                 "-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d {0}/24 -j RETURN\n"
                                                 "-A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -j MASQUERADE --random-fully\n"
                                                 "-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.0.0/16 -j MASQUERADE --random-fully\n"
                                                 "COMMIT\n"
                                                 "*filter\n"
                                                 ":FLANNEL-FWD - [0:0]\n"
                                                 "-A FORWARD -j FLANNEL-FWD\n"
                                                 "-A FLANNEL-FWD -s 10.244.0.0/16 -j ACCEPT\n"
                                                 "-A FLANNEL-FWD -d 10.244.0.0/16 -j ACCEPT\n"
                                                 "COMMIT\n",
                                                 subnet_));
}

void StockNode::announce(const std::string& lease_dir) const {
  must("mkdir -p " + lease_dir + "/subnets");
  const std::string path = fmt::format("{}/subnets/{}-24", lease_dir, subnet_);
  must(fmt::format("cat > {0}/.stock && mv {0}/.stock {1}", lease_dir, path),
       fmt::format(R"({{"PublicIP":"{}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"{}"}}}})", address(),
                   vtep_mac_));
}

void StockNode::add_peer(const StockPeer& peer) const {
  ip_batch(fmt::format("neigh replace {0} lladdr {1} dev flannel.1 nud permanent\nroute replace {0}/24 via {0} dev flannel.1 onlink\n",
                       peer.subnet, peer.vtep_mac));
  must(fmt::format("bridge fdb replace {} dev flannel.1 dst {} self permanent", peer.vtep_mac, peer.public_ip));
}

std::string StockNode::conflist() const {
  return fmt::format(
      R"({{"cniVersion":"0.3.1","name":"cbr0","plugins":[
        {{"type":"bridge","bridge":"cni0","mtu":{},"hairpinMode":true,"ipMasq":false,"isGateway":true,"isDefaultGateway":true,
          "ipam":{{"type":"host-local","ranges":[[{{"subnet":"{}/24"}}]],"routes":[{{"dst":"10.244.0.0/16"}}]}}}},
        {{"type":"portmap","capabilities":{{"portMappings":true}}}}]}})",
      mtu_, subnet_);
}

void StockNode::explain() const {
  const Output output =
      run("ip -br addr; ip route; ip neigh show dev flannel.1; bridge fdb show dev flannel.1; nstat -az 2>/dev/null | grep -i -e InHdr -e "
          "InAddr -e NoRoute");
  fmt::print(stderr, "--- {} (stock)\n{}{}", name(), output.out, output.err);
}

}  // namespace merino::lab
