// What `merinoctl pods`, `peers` and `counters` print, from values that were read elsewhere.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ctl/node_names.h"
#include "ctl/output.h"
#include "ctl/table.h"
#include "datapath/counters.h"
#include "datapath/peer_table.h"
#include "datapath/pod_table.h"

namespace merino::ctl {

// One address of one pod: what the map says and what the plugin's record says; one of them may be missing.
struct PodRow {
  IpAddress address;
  std::optional<PodEntry> entry;
  std::optional<Attachment> attachment;
  std::string host_ifname;  // the interface that the entry (or the record) means, as it is called now; empty if it is gone
};

// Every address that is in the map or in a record, by address.
std::vector<PodRow> join_pods(const std::vector<PodEntry>& entries, const std::vector<Attachment>& attachments);

// A pod that another plugin attached and that merinod serves: it has no record, and no gateway, whose ARP questions the host answers.
bool is_adopted(const PodRow& row);

// What is wrong with a pod; empty if nothing is.
std::string pod_trouble(const PodRow& row);

// The pod's name, "namespace/name"; the beginning of its container's ID where it has none, and "-" where there is no record.
std::string pod_title(const PodRow& row);

// What a user means by `word`: an address, or the addresses of the pod of this node that pods_text() calls so. not_found: neither.
Result<std::vector<IpAddress>> addresses_meant(const std::string& word, const std::vector<PodRow>& rows);

std::string pods_text(const std::vector<PodRow>& rows, Width width, const Screen& screen);
std::string pods_json(const std::vector<PodRow>& rows);

std::string peers_text(const std::vector<Peer>& peers, const NodeNames& names, Width width, const Screen& screen);
std::string peers_json(const std::vector<Peer>& peers, const NodeNames& names);

// How what a reason does with a packet is shown.
Tone action_tone(Action action);

enum class ZeroRows { hide, show };
std::string counters_text(const std::vector<Counter>& counters, ZeroRows zero_rows, const Screen& screen);
std::string counters_json(const std::vector<Counter>& counters, ZeroRows zero_rows);

}  // namespace merino::ctl
