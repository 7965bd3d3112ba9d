// The traffic tool (tests/netns/traffic) in a place of the lab: content is compared byte by byte.
#pragma once

#include <string>

#include "lab/place.h"

namespace merino::lab {

// Serves TCP and UDP of both families on a port until it goes.
class TrafficServer {
 public:
  TrafficServer(const Place& where, int port, const std::string& arguments = "");

 private:
  Process process_;
};

struct TrafficResult {
  bool ok = false;
  std::string seen_as;  // the client's address as the server saw it (TCP)
  uint64_t sent = 0;
  uint64_t received = 0;
  uint64_t lost = 0;
  uint64_t longest_gap_us = 0;
  uint64_t retransmits = 0;
  uint64_t mss = 0;
  std::string line;  // as the tool printed it, for messages
};

// "tcp --to 10.0.0.1:80 --up 1000000".
TrafficResult traffic(const Place& where, const std::string& arguments);
Process start_traffic(const Place& where, const std::string& arguments);
// The result of a finished start_traffic().
TrafficResult traffic_result(const Process& process);

// "10.0.0.1:80", "[fd00::1]:80".
std::string endpoint(const std::string& address, int port);

struct PingResult {
  uint64_t sent = 0;
  uint64_t received = 0;
  std::string text;
  [[nodiscard]] bool all() const { return sent > 0 && sent == received; }
};

// ping with the arguments ("-c 3 -s 1000 10.0.0.1"); it compares what comes back.
PingResult ping(const Place& where, const std::string& arguments);
PingResult ping_result(const std::string& text);

}  // namespace merino::lab
