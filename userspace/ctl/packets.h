// `merinoctl drops` and `merinoctl trace`: single packets, with names of pods and interfaces beside their addresses.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "abi.h"
#include "ctl/dissect.h"
#include "ctl/node_names.h"
#include "ctl/output.h"
#include "ctl/table.h"
#include "ctl/views.h"
#include "datapath/counters.h"
#include "datapath/witness.h"

namespace merino::ctl {

// What gives the numbers in a packet their names.
struct PacketNames {
  std::map<IpAddress, std::string> pods;  // "default/web-0"
  NodeNames nodes;
  std::map<unsigned, std::string> interfaces;  // as they are called now
  TunnelPort tunnel;
};
PacketNames make_packet_names(const std::vector<PodRow>& pods, NodeNames nodes, const merino_config& config);

struct DropRow {
  Counter counter{};
  std::optional<Sighting> last;
};
// Reasons for which anything was dropped.
std::vector<DropRow> join_drops(const std::vector<Counter>& counters, const std::vector<Sighting>& last);

std::string drops_text(const std::vector<DropRow>& rows, const PacketNames& names, std::chrono::system_clock::time_point now, Width width,
                       const Screen& screen);
std::string drops_json(const std::vector<DropRow>& rows, const PacketNames& names);

// One line, with its end.
std::string sighting_text(const Sighting& seen, const PacketNames& names, Width width, const Screen& screen);
// One object, on one line.
std::string sighting_json(const Sighting& seen, const PacketNames& names);

}  // namespace merino::ctl
