#include "ctl/packets.h"

#include <arpa/inet.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <net/if.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "ctl/status.h"

namespace merino::ctl {

namespace {

using Json = nlohmann::ordered_json;

std::string interface_of(unsigned index, const PacketNames& names) {
  const auto known = names.interfaces.find(index);
  if (known != names.interfaces.end()) return known->second;
  char name[IF_NAMESIZE] = {};
  return ::if_indextoname(index, name) != nullptr ? name : fmt::format("interface {}", index);
}

std::string pod_of(const IpAddress& address, const PacketNames& names) {
  const auto pod = names.pods.find(address);
  return pod == names.pods.end() ? "" : pod->second;
}

// "pod default/web-0", "node worker-2"; empty if neither is known.
std::string end_of(const IpAddress& address, const PacketNames& names) {
  const std::string pod = pod_of(address, names);
  if (!pod.empty()) return "pod " + pod;
  const std::string node = node_name(address, names.nodes);
  return node.empty() ? "" : "node " + node;
}

// "10.244.1.2:40000 → 10.244.2.2:80 tcp SYN (default/web-0 → …)", and the tunnel's ends.
std::string packet_text(const Dissection& seen, const PacketNames& names) {
  if (!seen.ip) return seen.link;
  std::string text = headers_text(*seen.ip);
  const std::string from = end_of(seen.ip->source, names);
  const std::string to = end_of(seen.ip->destination, names);
  if (!from.empty()) text += ", from " + from;
  if (!to.empty()) text += ", to " + to;
  if (seen.outer)
    text +=
        fmt::format(", in a tunnel {} → {}", node_title(seen.outer->source, names.nodes), node_title(seen.outer->destination, names.nodes));
  return text;
}

std::string time_text(std::chrono::system_clock::time_point time) {
  const auto micros = std::chrono::floor<std::chrono::microseconds>(time).time_since_epoch().count() % 1000000;
  return fmt::format("{:%H:%M:%S}.{:06}", fmt::localtime(std::chrono::system_clock::to_time_t(time)), micros);
}

Json headers_json(const IpHeaders& headers, const PacketNames& names) {
  Json out = {{"source", headers.source.to_string()}, {"destination", headers.destination.to_string()}, {"protocol", headers.protocol}};
  if (headers.source_port) out["source_port"] = *headers.source_port;
  if (headers.destination_port) out["destination_port"] = *headers.destination_port;
  if (!headers.detail.empty()) out["detail"] = headers.detail;
  if (const std::string pod = pod_of(headers.source, names); !pod.empty()) out["source_pod"] = pod;
  if (const std::string pod = pod_of(headers.destination, names); !pod.empty()) out["destination_pod"] = pod;
  if (const std::string node = node_name(headers.source, names.nodes); !node.empty()) out["source_node"] = node;
  if (const std::string node = node_name(headers.destination, names.nodes); !node.empty()) out["destination_node"] = node;
  return out;
}

Json json_of(const Sighting& seen, const PacketNames& names) {
  const Dissection packet = dissect(seen.frame, names.tunnel);
  Json out = {{"time", std::chrono::duration<double>(seen.time.time_since_epoch()).count()},
              {"program", program_name(seen.program)},
              {"interface", interface_of(seen.ifindex, names)},
              {"reason", seen.reason->name},
              {"action", action_name(seen.reason->action)},
              {"length", seen.length}};
  if (packet.ip) out["packet"] = headers_json(*packet.ip, names);
  if (packet.outer) out["tunnel"] = headers_json(*packet.outer, names);
  if (!packet.link.empty()) out["frame"] = packet.link;
  return out;
}

}  // namespace

PacketNames make_packet_names(const std::vector<PodRow>& pods, NodeNames nodes, const merino_config& config) {
  PacketNames names;
  names.nodes = std::move(nodes);
  for (const PodRow& row : pods) {
    names.pods.emplace(row.address, pod_title(row));
    if (row.entry && !row.host_ifname.empty()) names.interfaces.emplace(row.entry->host_ifindex, row.host_ifname);
  }
  names.tunnel = {ntohs(config.tunnel_port), config.tunnel == MERINO_PEER_UDP ? TunnelKind::bare_ip : TunnelKind::vxlan};
  return names;
}

std::vector<DropRow> join_drops(const std::vector<Counter>& counters, const std::vector<Sighting>& last) {
  std::vector<DropRow> rows;
  for (const Counter& counter : counters) {
    if (counter.reason->action != Action::drop || counter.packets == 0) continue;
    DropRow row{counter, std::nullopt};
    const auto seen =
        std::find_if(last.begin(), last.end(), [&](const Sighting& each) { return each.reason->reason == counter.reason->reason; });
    if (seen != last.end()) row.last = *seen;
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string drops_text(const std::vector<DropRow>& rows, const PacketNames& names, std::chrono::system_clock::time_point now, Width width,
                       const Screen& screen) {
  if (rows.empty()) return "nothing was dropped\n";
  Table table{{{"REASON"}, {"PACKETS", Align::right}, {"LAST", Align::right}, {"AT"}, {"PACKET"}}, {}};
  if (width == Width::wide) {
    table.columns.push_back({"MEANING"});
    table.columns.push_back({"LOOK AT"});
  }
  for (const DropRow& row : rows) {
    const ReasonInfo& reason = *row.counter.reason;
    std::vector<Cell> cells = {{reason.name, Tone::bad}, {std::to_string(row.counter.packets)}, {"-"}, {"-"}, {"-"}};
    if (row.last) {
      cells[2].text = format_span(std::chrono::duration_cast<std::chrono::seconds>(now - row.last->time)) + " ago";
      cells[3].text = interface_of(row.last->ifindex, names);
      cells[4].text = packet_text(dissect(row.last->frame, names.tunnel), names);
    }
    if (width == Width::wide) {
      cells.push_back({reason.meaning});
      cells.push_back({reason.remedy});
    }
    table.rows.push_back(std::move(cells));
  }
  return format_table(table, screen);
}

std::string drops_json(const std::vector<DropRow>& rows, const PacketNames& names) {
  Json list = Json::array();
  for (const DropRow& row : rows) {
    Json out = {{"reason", row.counter.reason->name},
                {"packets", row.counter.packets},
                {"bytes", row.counter.bytes},
                {"meaning", row.counter.reason->meaning},
                {"remedy", row.counter.reason->remedy}};
    if (row.last) out["last"] = json_of(*row.last, names);
    list.push_back(std::move(out));
  }
  return list.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string sighting_text(const Sighting& seen, const PacketNames& names, Width width, const Screen& screen) {
  const std::string meaning = width == Width::wide ? fmt::format(" ({})", seen.reason->meaning) : "";
  return fmt::format("{} {} {} {}{} {} bytes: {}\n", time_text(seen.time), program_name(seen.program), interface_of(seen.ifindex, names),
                     paint(seen.reason->name, action_tone(seen.reason->action), screen), meaning, seen.length,
                     packet_text(dissect(seen.frame, names.tunnel), names));
}

std::string sighting_json(const Sighting& seen, const PacketNames& names) {
  return json_of(seen, names).dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace merino::ctl
