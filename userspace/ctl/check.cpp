#include "ctl/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"

namespace merino::ctl {

namespace {

using Json = nlohmann::ordered_json;

// What the tunnel puts before a packet: IP and UDP, and with VXLAN its own header and the inner frame's.
size_t tunnel_headers(const Peer& peer) {
  constexpr size_t kUdp = 8;
  constexpr size_t kVxlan = 8 + 14;
  if (peer.kind == PeerKind::direct) return 0;
  return (peer.underlay.is_v4() ? 20 : 40) + kUdp + (peer.kind == PeerKind::vxlan ? kVxlan : 0);
}

// "192.168.88.12 (worker-2, 10.244.2.0/24)"
std::string node_of(const PeerCheck& check) {
  return fmt::format("{} ({}{}{})", check.peer.underlay.to_string(), check.name, check.name.empty() ? "" : ", ",
                     check.peer.subnet.to_string());
}

double milliseconds_of(std::chrono::nanoseconds span) { return std::chrono::duration<double, std::milli>(span).count(); }

std::string tunnel_name(const PeerCheck& check, const CheckScale& scale) {
  if (check.peer.kind == PeerKind::direct || scale.port == 0) return "without a tunnel";
  return fmt::format("through the tunnel (UDP port {})", scale.port);
}

Finding silent_node(const PeerCheck& check, const CheckScale& scale) {
  if (!check.underlay_device.empty() && check.underlay_device != scale.uplink) {
    return {fmt::format("node {} does not answer, and packets to it leave by {}, not by the uplink {}", node_of(check),
                        check.underlay_device, scale.uplink),
            fmt::format("if {} is the interface between the nodes, start merinod with --iface={}", check.underlay_device,
                        check.underlay_device)};
  }
  return {fmt::format("node {} answers neither at its own address nor {}", node_of(check), tunnel_name(check, scale)),
          "is it up, and on a network that this node reaches? A node whose public-ip is wrong (several interfaces, NAT) needs --iface or "
          "--public-ip. The lease of one that is gone for good may be removed"};
}

Finding silent_tunnel(const PeerCheck& check, const CheckScale& scale) {
  if (check.peer.kind == PeerKind::direct || scale.port == 0) {
    return {fmt::format("node {} answers at its own address, but not for the pod network", node_of(check)),
            "does merinod run there, and does the network between the nodes let packets with pods' addresses through (a cloud's source "
            "check)?"};
  }
  return {fmt::format("node {} answers at its own address, but nothing comes back {}", node_of(check), tunnel_name(check, scale)),
          fmt::format(
              "let UDP port {} through between the nodes, both ways (firewall, security group; VMware NSX takes 8472 for itself: choose "
              "another Backend.Port); does merinod run there? merinoctl check there says more",
              scale.port)};
}

Finding old_lease(const PeerCheck& check) {
  return {
      fmt::format("node {} answers for {}, but not for this subnet: an old lease of that node", node_of(check),
                  check.answers_for->to_string()),
      "merinoctl status there names it; remove it where the leases are kept (merinoctl leases -o wide has its key), or wait for its end"};
}

// Where probes went, as findings name it.
struct Target {
  std::string who;          // "node 192.168.88.12 (10.244.2.0/24)", "pod 10.244.1.3 (default/web-0) of this node"
  std::string gate;         // what there may let pings in and nothing else
  const Peer* way;          // nullptr: none between nodes
  std::string loss_remedy;  // where lost packets are counted
};

Target target_of(const PeerCheck& check) {
  return {"node " + node_of(check), "does its firewall drop what comes in by merino0 (flannel.1)?", &check.peer,
          "merinoctl counters on both nodes; ip -s link show on the uplinks"};
}

Target target_of(const PodCheck& check) {
  const bool near = !check.peer;
  std::string who = "pod " + check.address.to_string();
  if (!check.name.empty()) who += " (" + check.name + ")";
  who += near ? " of this node" : " of node " + check.peer->underlay.to_string();
  if (!near && !check.node.empty()) who += " (" + check.node + ")";
  return {who, "does a network policy drop it, or a firewall in the pod?", near ? nullptr : &*check.peer,
          near ? "merinoctl counters; ip -s link show" : "merinoctl counters on both nodes; ip -s link show on the uplinks"};
}

Finding small_path(const Target& target, const TunnelProbe& probe, const CheckScale& scale) {
  Finding finding{
      fmt::format("packets of more than {} bytes are lost on the way to {}; pods send up to {}", probe.largest, target.who, scale.pod_mtu),
      "its interface has another MTU than pods have now: make the pod anew"};
  if (target.way == nullptr) return finding;
  finding.remedy = fmt::format(
      "the network between the nodes carries {} bytes: set Backend.MTU (or the MTU of {}) to that on every node, restart merinod, "
      "and make the pods anew",
      probe.largest + tunnel_headers(*target.way), scale.uplink);
  return finding;
}

void diagnose_probe(const Target& target, const TunnelProbe& probe, const CheckScale& scale, const std::string& from,
                    std::vector<Finding>& findings) {
  if (probe.small.corrupted + probe.large.corrupted > 0) {
    findings.push_back({fmt::format("answers of {} come back with other content than was sent{}", target.who, from),
                        "something on the way rewrites packets, or memory is broken: try another network card or switch"});
  }
  if (!probe.small.all()) {
    findings.push_back(
        {fmt::format("{} of {} packets to {} were lost{}", probe.small.sent - probe.small.received, probe.small.sent, target.who, from),
         target.loss_remedy});
  }
  if (probe.small.any() && !probe.large.any()) {
    findings.push_back(small_path(target, probe, scale));
    return;
  }
  if (probe.tcp != KnockAnswer::silence && probe.udp != KnockAnswer::silence) return;
  const char* what = probe.tcp == KnockAnswer::silence ? "TCP" : "UDP";
  findings.push_back({fmt::format("{} answers to ping, but not to {}{}: a firewall there, or wrong checksums", target.who, what, from),
                      fmt::format("{} If InCsumErrors grows there (nstat -az), switch the offload off on both nodes: ethtool -K {} "
                                  "tx-checksum-ip-generic off",
                                  target.gate, scale.uplink)});
}

// From the host, and if that is well, from the pod that sends.
template <class Check>
void diagnose_ways(const Check& check, const Target& target, const IpAddress& address, const CheckScale& scale,
                   std::vector<Finding>& findings) {
  const std::optional<TunnelProbe>& pod = check.pod;
  diagnose_probe(target, check.host, scale, "", findings);
  if (!findings.empty()) return;
  if (!check.pod_obstacle.empty()) {
    findings.push_back({fmt::format("pod {} of this node cannot send to {}: {}", scale.pod_name, target.who, check.pod_obstacle),
                        "something in that pod took its route away, or forbids it to send: make it anew"});
    return;
  }
  if (!pod) return;
  if (pod->small.any()) {
    diagnose_probe(target, *pod, scale, " (sent by pod " + scale.pod_name + ")", findings);
    return;
  }
  findings.push_back({fmt::format("{} is reached by this host, but not by its pod {}", target.who, scale.pod_name),
                      fmt::format("merinoctl route POD-ADDRESS {} says what becomes of its packets", address.to_string())});
}

Finding silent_pod(const PodCheck& check, const Target& target) {
  if (!check.peer) {
    return {
        target.who + " does not answer",
        fmt::format("does it run, and may it be pinged (network policy, firewall in the pod)? merinoctl pods; merinoctl trace --addr {}",
                    check.address.to_string())};
  }
  return {target.who + " does not answer",
          fmt::format("merinoctl check {} says whether its node is reached; merinoctl pods there, whether there is such a pod; may it be "
                      "pinged (network policy, firewall in the pod)?",
                      check.peer->underlay.to_string())};
}

std::string rtt_text(const EchoResult& echo) { return echo.any() ? fmt::format("{:.2f} ms", milliseconds_of(echo.average())) : "-"; }
std::string loss_text(const EchoResult& echo) {
  if (echo.sent == 0) return "-";
  return fmt::format("{:.0f}%", 100.0 * (echo.sent - echo.received) / echo.sent);
}

std::string size_text(const TunnelProbe& probe, const CheckScale& scale) {
  if (probe.large.any()) return std::to_string(scale.pod_mtu);
  return probe.largest > 0 ? std::to_string(probe.largest) : "-";
}

const char* knock_text(KnockAnswer answer) {
  switch (answer) {
    case KnockAnswer::answered:
      return "ok";
    case KnockAnswer::refused_on_the_way:
      return "filtered";
    case KnockAnswer::silence:
      break;
  }
  return "silence";
}

Json probe_json(const TunnelProbe& probe, const CheckScale& scale) {
  return {{"sent", probe.small.sent},
          {"received", probe.small.received},
          {"corrupted", probe.small.corrupted + probe.large.corrupted},
          {"rtt_ms",
           {{"min", milliseconds_of(probe.small.shortest)},
            {"avg", milliseconds_of(probe.small.average())},
            {"max", milliseconds_of(probe.small.longest)}}},
          {"largest_packet", probe.large.any() ? scale.pod_mtu : probe.largest},
          {"tcp", knock_text(probe.tcp)},
          {"udp", knock_text(probe.udp)}};
}

// Round trip, loss, largest packet, TCP and UDP from the host, and how it is from the pod.
template <class Check>
void add_probe_cells(const Check& check, const CheckScale& scale, std::vector<Cell>& cells) {
  const TunnelProbe& probe = check.host;
  const bool pod_fine = check.pod && check.pod->large.any() && check.pod->tcp != KnockAnswer::silence;
  const bool untold = !check.pod && check.pod_obstacle.empty();
  cells.push_back({rtt_text(probe.small)});
  cells.push_back({loss_text(probe.small), probe.small.all() ? Tone::plain : Tone::bad});
  cells.push_back({size_text(probe, scale), probe.large.any() ? Tone::plain : Tone::bad});
  cells.push_back({knock_text(probe.tcp)});
  cells.push_back({knock_text(probe.udp)});
  cells.push_back({untold ? "-" : pod_fine ? "ok" : "trouble", untold || pod_fine ? Tone::plain : Tone::bad});
}

void add_probe_columns(Table& table) {
  table.columns.insert(table.columns.end(), {{"LOSS", Align::right}, {"MTU", Align::right}, {"TCP"}, {"UDP"}, {"POD"}});
}

// A terminal has room for the subnet or the name.
Table peers_table(const CheckReport& report, Width width) {
  const bool wide = width == Width::wide;
  const bool named = std::any_of(report.peers.begin(), report.peers.end(), [](const PeerCheck& check) { return !check.name.empty(); });
  Table table{{{"NODE"}}, {}};
  if (named) table.columns.push_back({"NAME"});
  if (wide || !named) table.columns.push_back({"SUBNET"});
  if (wide) table.columns.push_back({"KIND"});
  table.columns.insert(table.columns.end(), {{"RTT"}, {"POD RTT"}});
  add_probe_columns(table);
  for (const PeerCheck& check : report.peers) {
    std::vector<Cell> cells = {{check.peer.underlay.to_string()}};
    if (named) cells.push_back({check.name.empty() ? "-" : check.name});
    if (wide || !named) cells.push_back({check.peer.subnet.to_string()});
    if (wide) cells.push_back({peer_kind_name(check.peer.kind)});
    cells.push_back({rtt_text(check.underlay)});
    add_probe_cells(check, report.scale, cells);
    table.rows.push_back(std::move(cells));
  }
  return table;
}

Table pods_table(const CheckReport& report) {
  Table table{{{"POD"}, {"NODE"}, {"RTT"}}, {}};
  add_probe_columns(table);
  for (const PodCheck& check : report.pods) {
    std::string node = check.peer ? check.peer->underlay.to_string() : "this node";
    if (check.peer && !check.node.empty()) node += " (" + check.node + ")";
    std::vector<Cell> cells = {{check.address.to_string() + (check.name.empty() ? "" : " (" + check.name + ")")}, {node}};
    add_probe_cells(check, report.scale, cells);
    table.rows.push_back(std::move(cells));
  }
  return table;
}

Json pods_json(const CheckReport& report) {
  Json pods = Json::array();
  for (const PodCheck& check : report.pods) {
    Json pod = {{"address", check.address.to_string()}};
    if (!check.name.empty()) pod["name"] = check.name;
    if (check.peer) pod["node"] = check.peer->underlay.to_string();
    if (!check.node.empty()) pod["node_name"] = check.node;
    pod["from_host"] = probe_json(check.host, report.scale);
    if (check.pod) pod["from_pod"] = probe_json(*check.pod, report.scale);
    if (!check.pod_obstacle.empty()) pod["from_pod"] = {{"obstacle", check.pod_obstacle}};
    pods.push_back(std::move(pod));
  }
  return pods;
}

uint64_t csum_errors_v4(const std::string& snmp) {
  uint64_t sum = 0;
  std::istringstream lines(snmp);
  std::string names;
  std::string values;
  while (std::getline(lines, names) && std::getline(lines, values)) {
    std::istringstream name(names);
    std::istringstream value(values);
    std::string key;
    std::string number;
    while (name >> key && value >> number) {
      if (key == "InCsumErrors") sum += std::strtoull(number.c_str(), nullptr, 10);
    }
  }
  return sum;
}

uint64_t csum_errors_v6(const std::string& snmp6) {
  uint64_t sum = 0;
  std::istringstream lines(snmp6);
  std::string key;
  uint64_t number = 0;
  while (lines >> key >> number) {
    if (key == "Udp6InCsumErrors" || key == "Icmp6InCsumErrors") sum += number;
  }
  return sum;
}

}  // namespace

uint64_t count_checksum_errors() {
  return csum_errors_v4(read_file("/proc/thread-self/net/snmp").value_or("")) +
         csum_errors_v6(read_file("/proc/thread-self/net/snmp6").value_or(""));
}

std::vector<Finding> diagnose(const PeerCheck& check, const CheckScale& scale) {
  if (!check.obstacle.empty()) {
    return {{fmt::format("nothing can be sent to node {}: {}", node_of(check), check.obstacle),
             "ip route get " + check.peer.underlay.to_string()}};
  }
  if (!check.host.small.any()) {
    if (check.answers_for) return {old_lease(check)};
    // Nodes that do not answer to ping at their own address are common; then the tunnel's silence cannot be told from theirs.
    return {check.underlay.any() ? silent_tunnel(check, scale) : silent_node(check, scale)};
  }
  std::vector<Finding> findings;
  if (!check.underlay_device.empty() && check.underlay_device != scale.uplink) {
    findings.push_back(
        {fmt::format("packets to node {} leave by {}, not by the uplink {}", node_of(check), check.underlay_device, scale.uplink),
         fmt::format("start merinod with --iface={}", check.underlay_device)});
  }
  diagnose_ways(check, target_of(check), check.peer.subnet.address(), scale, findings);
  return findings;
}

std::vector<Finding> diagnose(const PodCheck& check, const CheckScale& scale) {
  const Target target = target_of(check);
  if (!check.obstacle.empty()) {
    return {{fmt::format("nothing can be sent to {}: {}", target.who, check.obstacle), "ip route get " + check.address.to_string()}};
  }
  std::vector<Finding> findings;
  if (check.host.small.any()) {
    diagnose_ways(check, target, check.address, scale, findings);
  } else if (!check.pod || !check.pod->small.any()) {
    findings.push_back(silent_pod(check, target));
  } else {
    findings.push_back({fmt::format("{} is reached by pod {}, but not by this host", target.who, scale.pod_name),
                        "does a network policy let in pods only? merinoctl route HOST-ADDRESS " + check.address.to_string()});
  }
  return findings;
}

std::string check_text(const CheckReport& report, Width width, const Screen& screen) {
  std::string out;
  std::istringstream title(report.title);
  for (std::string line; std::getline(title, line);) out += hang("", 2, line, screen);
  out += "\n";
  for (const std::string& sound : report.sound) out += hang(paint("✓", Tone::good, screen) + " ", 2, sound, screen);
  if (!report.peers.empty()) out += "\n" + format_table(peers_table(report, width), screen) + "\n";
  if (!report.pods.empty()) out += "\n" + format_table(pods_table(report), screen) + "\n";
  out += findings_text(report.problems, Tone::bad, "✗", screen);
  out += findings_text(report.notices, Tone::warning, "!", screen);
  if (report.problems.empty()) out += paint("no trouble found", Tone::good, screen) + "\n";
  return out;
}

std::string check_json(const CheckReport& report) {
  Json peers = Json::array();
  for (const PeerCheck& check : report.peers) {
    Json peer = {{"node", check.peer.underlay.to_string()}};
    if (!check.name.empty()) peer["node_name"] = check.name;
    peer["subnet"] = check.peer.subnet.to_string();
    peer["kind"] = peer_kind_name(check.peer.kind);
    peer["node_rtt_ms"] = milliseconds_of(check.underlay.average());
    peer["node_answers"] = check.underlay.any();
    peer["from_host"] = probe_json(check.host, report.scale);
    if (check.pod) peer["from_pod"] = probe_json(*check.pod, report.scale);
    if (!check.pod_obstacle.empty()) peer["from_pod"] = {{"obstacle", check.pod_obstacle}};
    peers.push_back(std::move(peer));
  }
  const Json document = {{"title", report.title},
                         {"fine", report.problems.empty()},
                         {"sound", report.sound},
                         {"peers", std::move(peers)},
                         {"pods", pods_json(report)},
                         {"problems", findings_json(report.problems)},
                         {"notices", findings_json(report.notices)}};
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace merino::ctl
