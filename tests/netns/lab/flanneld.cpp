#include "lab/flanneld.h"

#include <fmt/core.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#ifndef FLANNEL_UDP
#define FLANNEL_UDP "flannel_udp"
#endif

namespace merino::lab {
namespace {

using nlohmann::json;

constexpr int kUdpPort = 8285;
constexpr const char* kUdpRoutes = "/run/flannel/udp-routes";

// {0} the node's subnet, {1} the network, {2} multicast
constexpr const char* kIptables = R"(*nat
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s {0} -d {1} -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s {1} -d {0} -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG ! -s {1} -d {0} -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s {1} ! -d {2} -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s {1} -d {1} -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
COMMIT
*filter
:FLANNEL-FWD - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FLANNEL-FWD -s {1} -m comment --comment "flanneld forward" -j ACCEPT
-A FLANNEL-FWD -d {1} -m comment --comment "flanneld forward" -j ACCEPT
COMMIT
)";

constexpr const char* kNftables = R"(table ip flannel-ipv4 {{
  comment "rules for flannel-ipv4"
  chain postrtg {{
    type nat hook postrouting priority srcnat;
    meta mark 0x4000 return
    ip saddr {0} ip daddr {1} return
    ip saddr {1} ip daddr {0} return
    ip saddr != {0} ip daddr {1} return
    ip saddr {1} ip daddr != {2} masquerade fully-random
  }}
  chain forward {{
    type filter hook forward priority filter;
    ip saddr {1} accept
    ip daddr {1} accept
  }}
}}
table ip6 flannel-ipv6 {{
  comment "rules for flannel-ipv6"
}}
)";

const char* device(Family family) { return family == Family::v4 ? "flannel.1" : "flannel-v6.1"; }

std::string device_mac(const Machine& machine, Family family) {
  const std::string mac = machine.run(fmt::format("cat /sys/class/net/{}/address | tr -d '\\n'", device(family))).out;
  return mac.empty() ? MacAddress::random().to_string() : mac;
}

std::string quoted(const std::string& text) { return text.empty() ? "null" : '"' + text + '"'; }

// "10.244.98.0-24&fd10:244:0:5::-64", the name of a lease's file: its subnet of the family, "" if it has none.
std::string subnet_in_key(const std::string& key, Family family) {
  for (size_t start = 0; start < key.size();) {
    const size_t end = std::min(key.find('&', start), key.size());
    std::string part = key.substr(start, end - start);
    part[part.rfind('-')] = '/';
    if (Prefix::parse(part).value().family() == family) return part;
    start = end + 1;
  }
  return "";
}

}  // namespace

struct Flanneld::Peer {
  std::string subnet;  // "10.244.98.0/24"
  std::string public_ip;
  std::string vtep_mac;
};

Flanneld::Flanneld(const Machine& machine, int number, int uplink_mtu, const FlannelOptions& options)
    : machine_(machine), number_(number), uplink_mtu_(uplink_mtu), options_(options) {
  for (const Family family : families()) vtep_mac_.of(family) = device_mac(machine, family);
}

std::string Flanneld::subnet(Family family) const { return node_subnet(family, number_).address().to_string(); }

int Flanneld::mtu() const {
  if (options_.network.backend == Backend::host_gw) return uplink_mtu_;
  return options_.network.backend == Backend::udp ? uplink_mtu_ - 28 : uplink_mtu_ - 50;
}

void Flanneld::start() {
  machine_.must("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.default.accept_dad=0");
  for (const Family family : families()) {
    if (tunnels()) make_vxlan(family);
    write_rules(family);
  }
  if (options_.network.backend == Backend::udp) make_tun();
  write_subnet_env();
}

// The kernel makes the IPv6 device's MTU what its larger outer headers leave.
void Flanneld::make_vxlan(Family family) const {
  machine_.ip_batch(
      fmt::format("link add {0} address {1} mtu {2} type vxlan id 1 local {3} dev eth0 srcport 0 0 dstport 8472 nolearning ttl auto ageing "
                  "300 udpcsum noudp6zerocsumtx noudp6zerocsumrx\n"
                  "addr add {4}/{5} dev {0}\n"
                  "link set {0} up\n",
                  device(family), vtep_mac(family), mtu(), machine_.address(family), subnet(family), address_bits(family)));
}

void Flanneld::make_tun() {
  machine_.write(kUdpRoutes, "");
  proxy_ = machine_.start(fmt::format("exec {} {} {} {} {} {}", FLANNEL_UDP, machine_.address(), kUdpPort, subnet(), mtu(), kUdpRoutes));
  proxy_.wait_for_log("ready");
  machine_.ip_batch(fmt::format("addr add {}/32 dev flannel0\nlink set flannel0 mtu {} up\nroute add {} dev flannel0\n", subnet(), mtu(),
                                pod_prefix(Family::v4)));
}

void Flanneld::write_subnet_env() const {
  std::string text;
  for (const Family family : families()) {
    const char* infix = family == Family::v4 ? "" : "IPV6_";
    const Prefix own = node_subnet(family, number_);
    text += fmt::format("FLANNEL_{0}NETWORK={1}\nFLANNEL_{0}SUBNET={2}/{3}\n", infix, pod_prefix(family), own.address().plus(1).to_string(),
                        own.length());
  }
  machine_.write("/run/flannel/subnet.env", text + fmt::format("FLANNEL_MTU={}\nFLANNEL_IPMASQ=true\n", mtu()));
}

void Flanneld::write_rules(Family family) const {
  const bool v4 = family == Family::v4;
  const auto rules = [&](const char* text) {
    return fmt::format(fmt::runtime(text), node_subnet(family, number_).to_string(), pod_prefix(family), v4 ? "224.0.0.0/4" : "ff00::/8");
  };
  switch (options_.rules) {
    case FlannelRules::iptables_nft:
      machine_.must(v4 ? "iptables-nft-restore --noflush" : "ip6tables-nft-restore --noflush", rules(kIptables));
      break;
    case FlannelRules::iptables_legacy:
      machine_.must("iptables-legacy-restore --noflush", rules(kIptables));
      break;
    case FlannelRules::nftables:
      machine_.must("nft -f -", rules(kNftables));
      break;
  }
}

// Byte for byte as flannel's Go writes it; a node without IPv4 has Go's zero address.
std::string Flanneld::lease_value() const {
  const bool v4 = has(options_.network.families, Family::v4);
  std::string value = fmt::format(R"({{"PublicIP":"{}","PublicIPv6":{})", v4 ? machine_.address() : "0.0.0.0",
                                  quoted(has(options_.network.families, Family::v6) ? machine_.address(Family::v6) : ""));
  if (options_.network.backend == Backend::host_gw) value += R"(,"BackendType":"host-gw")";
  if (!tunnels()) return value + "}";
  value += R"(,"BackendType":"vxlan")";
  for (const Family family : families()) {
    value += fmt::format(R"(,"{}":{{"VNI":1,"VtepMAC":"{}"}})", family == Family::v4 ? "BackendData" : "BackendV6Data", vtep_mac(family));
  }
  return value + "}";
}

void Flanneld::announce(const std::string& lease_dir) const {
  std::string key;
  for (const Family family : families()) {
    const Prefix own = node_subnet(family, number_);
    key += fmt::format("{}{}-{}", key.empty() ? "" : "&", own.address().to_string(), own.length());
  }
  machine_.must("mkdir -p " + lease_dir + "/subnets");
  machine_.must(fmt::format("cat > {0}/.stock && mv {0}/.stock '{0}/subnets/{1}'", lease_dir, key), lease_value());
}

void Flanneld::follow_leases(const std::string& lease_dir) const {
  const std::string type = tunnels() ? "vxlan" : options_.network.backend == Backend::host_gw ? "host-gw" : "";
  if (options_.network.backend == Backend::udp) machine_.write(kUdpRoutes, "");
  for (const auto& file : std::filesystem::directory_iterator(lease_dir + "/subnets")) {
    const std::string key = file.path().filename();
    if (key.starts_with('.')) continue;
    const json lease = json::parse(std::ifstream(file.path()));
    if (lease.value("BackendType", "") != type) continue;
    for (const Family family : families()) {
      const std::string subnet = subnet_in_key(key, family);
      if (subnet.empty() || subnet == node_subnet(family, number_).to_string()) continue;
      const json data = lease.value(family == Family::v4 ? "BackendData" : "BackendV6Data", json::object());
      add_peer(family, {subnet, lease.at(family == Family::v4 ? "PublicIP" : "PublicIPv6").get<std::string>(), data.value("VtepMAC", "")});
    }
  }
  proxy_.signal(SIGHUP);
}

void Flanneld::add_peer(Family family, const Peer& peer) const {
  const std::string by_uplink = fmt::format("route replace {} via {} dev eth0\n", peer.subnet, peer.public_ip);
  switch (options_.network.backend) {
    case Backend::host_gw:
      return (void)machine_.run("ip -batch -", by_uplink);  // for a node behind a router flanneld logs the kernel's refusal
    case Backend::udp:
      return (void)machine_.must(fmt::format("echo {} {} >> {}", peer.subnet, peer.public_ip, kUdpRoutes));
    case Backend::direct_routing:
      if (machine_.must("ip route get " + peer.public_ip).find(" via ") == std::string::npos) return machine_.ip_batch(by_uplink);
      break;
    case Backend::vxlan:
      break;
  }
  const std::string gateway = peer.subnet.substr(0, peer.subnet.find('/'));
  machine_.ip_batch(fmt::format("neigh replace {0} lladdr {1} dev {2} nud permanent\nroute replace {3} via {0} dev {2} onlink\n", gateway,
                                peer.vtep_mac, device(family), peer.subnet));
  machine_.must(fmt::format("bridge fdb replace {} dev {} dst {} self permanent", peer.vtep_mac, device(family), peer.public_ip));
}

std::string Flanneld::rendered_conflist() const {
  std::string ranges;
  std::string routes;
  for (const Family family : families()) {
    const char* comma = ranges.empty() ? "" : ",";
    ranges += fmt::format(R"({}[{{"subnet":"{}"}}])", comma, node_subnet(family, number_).to_string());
    routes += fmt::format(R"({}{{"dst":"{}"}})", comma, pod_prefix(family));
  }
  return fmt::format(
      R"({{"cniVersion":"0.3.1","name":"cbr0","plugins":[
        {{"type":"bridge","bridge":"cni0","mtu":{},"hairpinMode":true,"ipMasq":false,"isGateway":true,"isDefaultGateway":true,
          "ipam":{{"type":"host-local","ranges":[{}],"routes":[{}]}}}},
        {{"type":"portmap","capabilities":{{"portMappings":true}}}}]}})",
      mtu(), ranges, routes);
}

std::string flannel_conflist() {
  return R"({"name":"cbr0","cniVersion":"0.3.1","plugins":[
    {"type":"flannel","delegate":{"hairpinMode":true,"isDefaultGateway":true}},
    {"type":"portmap","capabilities":{"portMappings":true}}]})";
}

}  // namespace merino::lab
