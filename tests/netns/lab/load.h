// Traffic that goes on while something happens: a ping each millisecond, UDP requests and answers, and a paced TCP stream.
#pragma once

#include <string>

#include "lab/traffic.h"

namespace merino::lab {

// UDP requests a second: 1,000 or 10,000.
enum class Requests { some, many };

class Load {
 public:
  // From a place to another, which has the address. One at a time for each `to` and port.
  Load(const Place& from, const Place& to, const std::string& address, int port = 7500, Requests requests = Requests::some);

  // Ends it, prints what was lost, and fails the test if anything was.
  void expect_whole(const std::string& event);

 private:
  std::string name_;
  TrafficServer server_;
  Process ping_;
  Process udp_;
  Process tcp_;
};

}  // namespace merino::lab
