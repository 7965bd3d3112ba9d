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
          "--public-ip"};
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
              "another Backend.Port); does merinod run there?",
              scale.port)};
}

Finding small_path(const PeerCheck& check, const TunnelProbe& probe, const CheckScale& scale) {
  const size_t underlay = probe.largest + tunnel_headers(check.peer);
  return {fmt::format("packets of more than {} bytes are lost on the way to node {}; pods send up to {}", probe.largest, node_of(check),
                      scale.pod_mtu),
          fmt::format(
              "the network between the nodes carries {} bytes: set Backend.MTU (or the MTU of {}) to that on every node, restart merinod, "
              "and make the pods anew",
              underlay, scale.uplink)};
}

void diagnose_tunnel(const PeerCheck& check, const TunnelProbe& probe, const CheckScale& scale, const std::string& from,
                     std::vector<Finding>& findings) {
  if (probe.small.corrupted + probe.large.corrupted > 0) {
    findings.push_back({fmt::format("answers of node {} come back with other content than was sent{}", node_of(check), from),
                        "something on the way rewrites packets, or memory is broken: try another network card or switch"});
  }
  if (!probe.small.all()) {
    findings.push_back({fmt::format("{} of {} packets to node {} were lost{}", probe.small.sent - probe.small.received, probe.small.sent,
                                    node_of(check), from),
                        "merinoctl counters on both nodes; ip -s link show on the uplinks"});
  }
  if (probe.small.any() && !probe.large.any()) {
    findings.push_back(small_path(check, probe, scale));
    return;
  }
  if (probe.tcp != KnockAnswer::silence && probe.udp != KnockAnswer::silence) return;
  const char* what = probe.tcp == KnockAnswer::silence ? "TCP" : "UDP";
  findings.push_back(
      {fmt::format("node {} answers to ping, but not to {}{}: a firewall there, or wrong checksums", node_of(check), what, from),
       fmt::format("does its firewall drop what comes in by merino0 (flannel.1)? If InCsumErrors grows there (nstat -az), switch the "
                   "offload off on both nodes: ethtool -K {} tx-checksum-ip-generic off",
                   scale.uplink)});
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

Json findings_json(const std::vector<Finding>& findings) {
  Json list = Json::array();
  for (const Finding& finding : findings) list.push_back({{"what", finding.what}, {"remedy", finding.remedy}});
  return list;
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
  return csum_errors_v4(read_file("/proc/net/snmp").value_or("")) + csum_errors_v6(read_file("/proc/net/snmp6").value_or(""));
}

std::vector<Finding> diagnose(const PeerCheck& check, const CheckScale& scale) {
  if (!check.obstacle.empty()) {
    return {{fmt::format("nothing can be sent to node {}: {}", node_of(check), check.obstacle),
             "ip route get " + check.peer.underlay.to_string()}};
  }
  if (!check.host.small.any()) {
    // Nodes that do not answer to ping at their own address are common; then the tunnel's silence cannot be told from theirs.
    return {check.underlay.any() ? silent_tunnel(check, scale) : silent_node(check, scale)};
  }
  std::vector<Finding> findings;
  if (!check.underlay_device.empty() && check.underlay_device != scale.uplink) {
    findings.push_back(
        {fmt::format("packets to node {} leave by {}, not by the uplink {}", node_of(check), check.underlay_device, scale.uplink),
         fmt::format("start merinod with --iface={}", check.underlay_device)});
  }
  diagnose_tunnel(check, check.host, scale, "", findings);
  if (!findings.empty() || !check.pod) return findings;
  if (!check.pod->small.any()) {
    findings.push_back({fmt::format("node {} is reached by this host, but not by its pod {}", node_of(check), scale.pod_name),
                        "merinoctl route POD-ADDRESS " + check.peer.subnet.address().to_string() + " says what becomes of its packets"});
    return findings;
  }
  diagnose_tunnel(check, *check.pod, scale, " (sent by pod " + scale.pod_name + ")", findings);
  return findings;
}

std::string check_text(const CheckReport& report, Colours colours) {
  std::string out = report.title + "\n\n";
  for (const std::string& sound : report.sound) out += fmt::format("{} {}\n", paint("✓", Tone::good, colours), sound);
  if (!report.peers.empty()) {
    Table table{{{"NODE"},
                 {"SUBNET"},
                 {"KIND"},
                 {"NODE RTT"},
                 {"POD NET RTT"},
                 {"LOSS", Align::right},
                 {"MTU", Align::right},
                 {"TCP"},
                 {"UDP"},
                 {"FROM POD"}},
                {}};
    const bool named = std::any_of(report.peers.begin(), report.peers.end(), [](const PeerCheck& check) { return !check.name.empty(); });
    if (named) table.columns.insert(table.columns.begin() + 1, {"NAME"});
    for (const PeerCheck& check : report.peers) {
      const TunnelProbe& probe = check.host;
      const bool pod_fine = check.pod && check.pod->large.any() && check.pod->tcp != KnockAnswer::silence;
      table.rows.push_back({{check.peer.underlay.to_string()},
                            {check.peer.subnet.to_string()},
                            {peer_kind_name(check.peer.kind)},
                            {rtt_text(check.underlay)},
                            {rtt_text(probe.small)},
                            {loss_text(probe.small), probe.small.all() ? Tone::plain : Tone::bad},
                            {size_text(probe, report.scale), probe.large.any() ? Tone::plain : Tone::bad},
                            {knock_text(probe.tcp)},
                            {knock_text(probe.udp)},
                            {!check.pod ? "-"
                             : pod_fine ? "ok"
                                        : "trouble",
                             !check.pod || pod_fine ? Tone::plain : Tone::bad}});
      if (named) table.rows.back().insert(table.rows.back().begin() + 1, {check.name.empty() ? "-" : check.name});
    }
    out += "\n" + format_table(table, colours) + "\n";
  }
  out += findings_text(report.problems, Tone::bad, "✗", colours);
  out += findings_text(report.notices, Tone::warning, "!", colours);
  if (report.problems.empty()) out += paint("no trouble found", Tone::good, colours) + "\n";
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
    peers.push_back(std::move(peer));
  }
  const Json document = {{"title", report.title},
                         {"fine", report.problems.empty()},
                         {"sound", report.sound},
                         {"peers", std::move(peers)},
                         {"problems", findings_json(report.problems)},
                         {"notices", findings_json(report.notices)}};
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace merino::ctl
