#include "lab/flanneld.h"

#include <fmt/core.h>

#include "base/address.h"

namespace merino::lab {
namespace {

constexpr const char* kIptables = R"(*nat
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s {0}/24 -d 10.244.0.0/16 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.244.0.0/16 -d {0}/24 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d {0}/24 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s 10.244.0.0/16 -d 10.244.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
COMMIT
*filter
:FLANNEL-FWD - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FLANNEL-FWD -s 10.244.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
-A FLANNEL-FWD -d 10.244.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
COMMIT
)";

constexpr const char* kNftables = R"(table ip flannel-ipv4 {{
  comment "rules for flannel-ipv4"
  chain postrtg {{
    type nat hook postrouting priority srcnat;
    meta mark 0x4000 return
    ip saddr {0}/24 ip daddr 10.244.0.0/16 return
    ip saddr 10.244.0.0/16 ip daddr {0}/24 return
    ip saddr != {0}/24 ip daddr 10.244.0.0/16 return
    ip saddr 10.244.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random
  }}
  chain forward {{
    type filter hook forward priority filter;
    ip saddr 10.244.0.0/16 accept
    ip daddr 10.244.0.0/16 accept
  }}
}}
table ip6 flannel-ipv6 {{
  comment "rules for flannel-ipv6"
}}
)";

std::string device_mac(const Machine& machine) {
  const std::string mac = machine.run("cat /sys/class/net/flannel.1/address | tr -d '\\n'").out;
  return mac.empty() ? MacAddress::random().to_string() : mac;
}

}  // namespace

Flanneld::Flanneld(const Machine& machine, std::string subnet, int uplink_mtu, FlannelRules rules)
    : machine_(machine), subnet_(std::move(subnet)), vtep_mac_(device_mac(machine)), mtu_(uplink_mtu - 50), rules_(rules) {}

void Flanneld::start() {
  machine_.ip_batch(fmt::format(
      "link add flannel.1 address {} mtu {} type vxlan id 1 local {} dev eth0 srcport 0 0 dstport 8472 nolearning ttl auto ageing 300 "
      "udpcsum noudp6zerocsumtx noudp6zerocsumrx\n"
      "addr add {}/32 dev flannel.1\n"
      "link set flannel.1 up\n",
      vtep_mac_, mtu_, machine_.address(), subnet_));
  machine_.must("sysctl -qw net.ipv4.ip_forward=1");
  write_rules();
  const std::string gateway = subnet_.substr(0, subnet_.rfind('.')) + ".1";
  machine_.write("/run/flannel/subnet.env",
                 fmt::format("FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET={}/24\nFLANNEL_MTU={}\nFLANNEL_IPMASQ=true\n", gateway, mtu_));
}

void Flanneld::write_rules() const {
  switch (rules_) {
    case FlannelRules::iptables_nft:
      machine_.must("iptables-nft-restore --noflush", fmt::format(fmt::runtime(kIptables), subnet_));
      break;
    case FlannelRules::iptables_legacy:
      machine_.must("iptables-legacy-restore --noflush", fmt::format(fmt::runtime(kIptables), subnet_));
      break;
    case FlannelRules::nftables:
      machine_.must("nft -f -", fmt::format(fmt::runtime(kNftables), subnet_));
      break;
  }
}

void Flanneld::announce(const std::string& lease_dir) const {
  machine_.must("mkdir -p " + lease_dir + "/subnets");
  const std::string path = fmt::format("{}/subnets/{}-24", lease_dir, subnet_);
  machine_.must(fmt::format("cat > {0}/.stock && mv {0}/.stock {1}", lease_dir, path),
                fmt::format(R"({{"PublicIP":"{}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"{}"}}}})",
                            machine_.address(), vtep_mac_));
}

void Flanneld::add_peer(const StockPeer& peer) const {
  machine_.ip_batch(
      fmt::format("neigh replace {0} lladdr {1} dev flannel.1 nud permanent\nroute replace {0}/24 via {0} dev flannel.1 onlink\n",
                  peer.subnet, peer.vtep_mac));
  machine_.must(fmt::format("bridge fdb replace {} dev flannel.1 dst {} self permanent", peer.vtep_mac, peer.public_ip));
}

std::string Flanneld::rendered_conflist() const {
  return fmt::format(
      R"({{"cniVersion":"0.3.1","name":"cbr0","plugins":[
        {{"type":"bridge","bridge":"cni0","mtu":{},"hairpinMode":true,"ipMasq":false,"isGateway":true,"isDefaultGateway":true,
          "ipam":{{"type":"host-local","ranges":[[{{"subnet":"{}/24"}}]],"routes":[{{"dst":"10.244.0.0/16"}}]}}}},
        {{"type":"portmap","capabilities":{{"portMappings":true}}}}]}})",
      mtu_, subnet_);
}

std::string flannel_conflist() {
  return R"({"name":"cbr0","cniVersion":"0.3.1","plugins":[
    {"type":"flannel","delegate":{"hairpinMode":true,"isDefaultGateway":true}},
    {"type":"portmap","capabilities":{"portMappings":true}}]})";
}

}  // namespace merino::lab
