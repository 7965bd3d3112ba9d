// Traffic that goes on while something happens: a 1 ms ping, UDP requests and answers at the same pace, and a paced TCP stream.
#pragma once

#include <string>

#include "lab/traffic.h"

namespace merino::lab {

class Load {
 public:
  // From a place to another, which has the address. One at a time for each `to` and port.
  Load(const Place& from, const Place& to, const std::string& address, int port = 7500);

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
