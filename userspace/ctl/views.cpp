#include "ctl/views.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

namespace merino::ctl {

namespace {

using Json = nlohmann::ordered_json;

// Names in records are bytes that others wrote: what is not UTF-8 must not make the output throw.
std::string dump(const Json& json) { return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"; }

constexpr size_t kShortId = 12;

std::string meaning_with_remedy(const ReasonInfo& reason, uint64_t packets) {
  std::string text = reason.meaning;
  if (packets > 0 && *reason.remedy != '\0') text += fmt::format(" ({})", reason.remedy);
  return text;
}

}  // namespace

std::vector<PodRow> join_pods(const std::vector<PodEntry>& entries, const std::vector<Attachment>& attachments) {
  std::map<IpAddress, PodRow> rows;
  for (const PodEntry& entry : entries) {
    PodRow& row = rows[entry.address];
    row.address = entry.address;
    row.entry = entry;
  }
  for (const Attachment& attachment : attachments) {
    for (const Prefix& prefix : attachment.addresses) {
      PodRow& row = rows[prefix.address()];
      row.address = prefix.address();
      row.attachment = attachment;
    }
  }
  std::vector<PodRow> out;
  out.reserve(rows.size());
  for (auto& [address, row] : rows) out.push_back(std::move(row));
  return out;
}

bool is_adopted(const PodRow& row) { return row.entry && !row.attachment && row.entry->gateway.is_none(); }

std::string pod_trouble(const PodRow& row) {
  if (is_adopted(row)) return row.host_ifname.empty() ? "its interface is gone" : "";
  if (!row.attachment) return "in the map, but no record of it";
  if (!row.attachment->complete) return "being added, or its ADD was cut short";
  if (!row.entry) return "no entry in the map";
  if (row.entry->host_ifindex != row.attachment->host_ifindex) return "the map points at another interface";
  if (row.host_ifname.empty()) return "its interface is gone";
  return "";
}

std::string pod_title(const PodRow& row) {
  if (!row.attachment) return "-";
  const Attachment& record = *row.attachment;
  if (!record.pod_name.empty()) return record.pod_namespace + "/" + record.pod_name;
  return record.container_id.substr(0, kShortId);
}

Result<std::vector<IpAddress>> addresses_meant(const std::string& word, const std::vector<PodRow>& rows) {
  if (const auto address = IpAddress::parse(word)) return std::vector<IpAddress>{*address};
  std::vector<IpAddress> addresses;
  for (const PodRow& row : rows) {
    if (row.attachment && pod_title(row) == word) addresses.push_back(row.address);
  }
  if (!addresses.empty()) return addresses;
  return with_remedy(fail(ErrorKind::not_found, "\"{}\" is neither an address nor a pod of this node", word), "merinoctl pods lists them");
}

std::string pods_text(const std::vector<PodRow>& rows, Width width, const Screen& screen) {
  if (rows.empty()) return "no pods on this node\n";
  Table table{{{"ADDRESS"}, {"POD"}, {"INTERFACE"}, {"STATE"}}, {}};
  const bool wide = width == Width::wide;
  if (wide) table.columns.insert(table.columns.end() - 1, {{"DELIVERY"}, {"POD MAC"}, {"NETWORK"}, {"CONTAINER"}, {"IN POD"}});
  for (const PodRow& row : rows) {
    const std::string trouble = pod_trouble(row);
    const std::string fine = is_adopted(row) ? "ok, of another plugin" : "ok";
    std::vector<Cell> cells = {{row.address.to_string()}, {pod_title(row)}, {row.host_ifname.empty() ? "-" : row.host_ifname}};
    if (wide) {
      cells.push_back({row.entry ? delivery_name(row.entry->delivery) : "-"});
      cells.push_back({row.entry ? row.entry->pod_mac.to_string() : "-"});
      cells.push_back({row.attachment ? row.attachment->network : "-"});
      cells.push_back({row.attachment ? row.attachment->container_id : "-"});
      cells.push_back({row.attachment ? row.attachment->ifname : "-"});
    }
    cells.push_back({trouble.empty() ? fine : trouble, trouble.empty() ? Tone::good : Tone::bad});
    table.rows.push_back(std::move(cells));
  }
  return format_table(table, screen);
}

std::string pods_json(const std::vector<PodRow>& rows) {
  Json list = Json::array();
  for (const PodRow& row : rows) {
    Json pod;
    pod["address"] = row.address.to_string();
    pod["interface"] = row.host_ifname;
    if (row.entry) {
      pod["ifindex"] = row.entry->host_ifindex;
      pod["pod_mac"] = row.entry->pod_mac.to_string();
      pod["host_mac"] = row.entry->host_mac.to_string();
      pod["gateway"] = row.entry->gateway.is_none() ? "" : row.entry->gateway.to_string();
      pod["delivery"] = delivery_name(row.entry->delivery);
    }
    if (row.attachment) {
      pod["network"] = row.attachment->network;
      pod["container_id"] = row.attachment->container_id;
      pod["pod_interface"] = row.attachment->ifname;
      pod["netns"] = row.attachment->netns;
      pod["namespace"] = row.attachment->pod_namespace;
      pod["name"] = row.attachment->pod_name;
    }
    pod["trouble"] = pod_trouble(row);
    list.push_back(std::move(pod));
  }
  return dump(list);
}

std::string peers_text(const std::vector<Peer>& peers, const NodeNames& names, Width width, const Screen& screen) {
  if (peers.empty()) return "no peers: no other node has a lease\n";
  const bool wide = width == Width::wide;
  Table table{{{"SUBNET"}, {"NODE"}, {"KIND"}, {"MAC"}}, {}};
  if (wide) table.columns.insert(table.columns.end() - 1, {"NEXT HOP"});
  const bool named = std::any_of(peers.begin(), peers.end(), [&](const Peer& peer) { return names.contains(peer.underlay); });
  if (named) table.columns.insert(table.columns.begin() + 2, {"NAME"});
  for (const Peer& peer : peers) {
    const std::string name = node_name(peer.underlay, names);
    std::vector<Cell> cells = {{peer.subnet.to_string()}, {peer.underlay.to_string()}};
    if (named) cells.push_back({name.empty() ? "-" : name});
    cells.push_back({peer_kind_name(peer.kind)});
    if (wide) cells.push_back({peer.kind == PeerKind::direct ? peer.underlay.to_string() : "-"});
    cells.push_back({peer.vtep_mac.is_none() ? "not known yet" : peer.vtep_mac.to_string()});
    table.rows.push_back(std::move(cells));
  }
  return format_table(table, screen);
}

std::string peers_json(const std::vector<Peer>& peers, const NodeNames& names) {
  Json list = Json::array();
  for (const Peer& peer : peers) {
    Json element = {{"subnet", peer.subnet.to_string()}, {"node", peer.underlay.to_string()}};
    if (const std::string name = node_name(peer.underlay, names); !name.empty()) element["node_name"] = name;
    element["kind"] = peer_kind_name(peer.kind);
    if (peer.kind == PeerKind::direct) {
      element["next_hop"] = peer.underlay.to_string();
      element["neighbour_mac"] = peer.vtep_mac.is_none() ? "" : peer.vtep_mac.to_string();
    } else {
      element["vtep_mac"] = peer.vtep_mac.to_string();
    }
    list.push_back(std::move(element));
  }
  return dump(list);
}

Tone action_tone(Action action) {
  switch (action) {
    case Action::fast:
      return Tone::good;
    case Action::stack:
      return Tone::plain;
    case Action::drop:
      return Tone::bad;
  }
  return Tone::plain;
}

std::string counters_text(const std::vector<Counter>& counters, ZeroRows zero_rows, const Screen& screen) {
  Table table{{{"REASON"}, {"ACTION"}, {"PACKETS", Align::right}, {"BYTES", Align::right}, {"MEANING"}}, {}};
  for (const Counter& counter : counters) {
    if (counter.packets == 0 && zero_rows == ZeroRows::hide) continue;
    const ReasonInfo& reason = *counter.reason;
    table.rows.push_back({{reason.name},
                          {action_name(reason.action), action_tone(reason.action)},
                          {std::to_string(counter.packets)},
                          {std::to_string(counter.bytes)},
                          {meaning_with_remedy(reason, counter.packets)}});
  }
  if (table.rows.empty()) return "nothing counted yet: no packet has met the programs\n";
  return format_table(table, screen);
}

std::string counters_json(const std::vector<Counter>& counters, ZeroRows zero_rows) {
  Json list = Json::array();
  for (const Counter& counter : counters) {
    if (counter.packets == 0 && zero_rows == ZeroRows::hide) continue;
    list.push_back({{"reason", counter.reason->name},
                    {"action", action_name(counter.reason->action)},
                    {"packets", counter.packets},
                    {"bytes", counter.bytes},
                    {"meaning", counter.reason->meaning},
                    {"remedy", counter.reason->remedy}});
  }
  return dump(list);
}

}  // namespace merino::ctl
