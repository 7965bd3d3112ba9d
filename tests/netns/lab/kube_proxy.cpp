#include "lab/kube_proxy.h"

#include <fmt/core.h>

#include "lab/pod_network.h"

namespace merino::lab {
namespace {

// The chains that are there for any services.
constexpr const char* kFilter =
    "*filter\n"
    ":KUBE-SERVICES - [0:0]\n:KUBE-EXTERNAL-SERVICES - [0:0]\n:KUBE-FORWARD - [0:0]\n:KUBE-NODEPORTS - [0:0]\n"
    "-I INPUT -m comment --comment \"kubernetes health check service ports\" -j KUBE-NODEPORTS\n"
    "-I INPUT -m conntrack --ctstate NEW -m comment --comment \"kubernetes externally-visible service portals\" -j KUBE-EXTERNAL-SERVICES\n"
    "-I FORWARD -m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
    "-I FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD\n"
    "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP\n"
    "-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding rules\" -m mark --mark 0x4000/0x4000 -j ACCEPT\n"
    "-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding conntrack rule\" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n"
    "COMMIT\n";

constexpr const char* kNatHead =
    "*nat\n"
    ":KUBE-SERVICES - [0:0]\n:KUBE-NODEPORTS - [0:0]\n:KUBE-POSTROUTING - [0:0]\n:KUBE-MARK-MASQ - [0:0]\n"
    "-I PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
    "-I OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES\n"
    "-I POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING\n"
    "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN\n"
    "-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000\n"
    "-A KUBE-POSTROUTING -m comment --comment \"kubernetes service traffic requiring SNAT\" -j MASQUERADE --random-fully\n"
    "-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000\n";

Family family_of(const Service& service) { return IpAddress::parse(service.cluster_ip).value().family(); }

std::string endpoint_chain(const Service& service, size_t index) { return fmt::format("KUBE-SEP-{}-{}", service.name, index); }

std::string node_port_rules(const Service& service) {
  if (service.node_port == 0) return "";
  return fmt::format(
      ":KUBE-EXT-{0} - [0:0]\n"
      "-A KUBE-NODEPORTS -p {1} -m comment --comment \"default/{0}\" -m {1} --dport {2} -j KUBE-EXT-{0}\n"
      "-A KUBE-EXT-{0} -m comment --comment \"masquerade traffic for default/{0} external destinations\" -j KUBE-MARK-MASQ\n"
      "-A KUBE-EXT-{0} -j KUBE-SVC-{0}\n",
      service.name, service.protocol, service.node_port);
}

std::string backend_rules(const Service& service, size_t index) {
  const std::string& backend = service.backends[index];
  const std::string address = backend.substr(0, backend.rfind(':'));
  const size_t left = service.backends.size() - index;
  const std::string chance =
      left > 1 ? fmt::format("-m statistic --mode random --probability {:.10f} ", 1.0 / static_cast<double>(left)) : "";
  return fmt::format(
      ":{0} - [0:0]\n"
      "-A {0} -s {1} -m comment --comment \"default/{2}\" -j KUBE-MARK-MASQ\n"
      "-A {0} -p {3} -m comment --comment \"default/{2}\" -m {3} -j DNAT --to-destination {4}\n"
      "-A KUBE-SVC-{2} -m comment --comment \"default/{2} -> {4}\" {5}-j {0}\n",
      endpoint_chain(service, index), address.starts_with('[') ? address.substr(1, address.size() - 2) : address, service.name,
      service.protocol, backend, chance);
}

std::string service_rules(const Service& service) {
  std::string rules = fmt::format(
      ":KUBE-SVC-{0} - [0:0]\n"
      "-A KUBE-SERVICES -d {1} -p {2} -m comment --comment \"default/{0} cluster IP\" -m {2} --dport {3} -j KUBE-SVC-{0}\n"
      "-A KUBE-SVC-{0} ! -s {4} -d {1} -p {2} -m comment --comment \"default/{0} cluster IP\" -m {2} --dport {3} -j KUBE-MARK-MASQ\n",
      service.name, service.cluster_ip, service.protocol, service.port, pod_prefix(family_of(service)));
  rules += node_port_rules(service);
  for (size_t i = 0; i < service.backends.size(); i++) rules += backend_rules(service, i);
  return rules;
}

}  // namespace

void install_kube_proxy(const Place& where, const std::vector<Service>& services) {
  for (const Family family : {Family::v4, Family::v6}) {
    std::string rules = std::string(kFilter) + kNatHead;
    for (const Service& service : services) {
      if (family_of(service) == family) rules += service_rules(service);
    }
    rules +=
        "-A KUBE-SERVICES -m comment --comment \"kubernetes service nodeports; NOTE: this must be the last rule in this chain\" "
        "-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n"
        "COMMIT\n";
    where.must(family == Family::v4 ? "iptables-restore --noflush" : "ip6tables-restore --noflush", rules);
  }
}

}  // namespace merino::lab
