// `merinoctl trace`: tells of packets while it runs.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ctl/output.h"
#include "ctl/screen.h"

namespace merino::ctl {

// Gets each packet's line; an error ends the trace.
using TellLine = std::function<Status(const std::string& line)>;

struct TraceRequest {
  std::vector<std::string> addresses;  // or names of pods, "namespace/name"; two addresses at most
  int port = 0;                        // 0: all
  std::string protocol;                // "tcp", "udp", "icmp" or empty
  std::vector<std::string> reasons;
  std::string pcap;               // also into this file; empty: not
  int count = 0;                  // ends after so many packets; 0: when it is interrupted
  double seconds = 0;             // ends after so long; 0: when it is interrupted
  Format output = Format::table;  // table is a line for people
  Screen screen;
};

// How many packets the ring buffer had no room for. Errors: invalid for what cannot be filtered by; those of Trace::start() and of the
// file. Ends well when it is interrupted.
Result<uint64_t> run_trace(const TraceRequest& request, const TellLine& tell);

}  // namespace merino::ctl
