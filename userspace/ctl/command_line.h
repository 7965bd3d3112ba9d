// merinoctl's commands and options: the one table of them, from which --help, the man page and the completion come.
#pragma once

#include <CLI/App.hpp>
#include <memory>
#include <string>
#include <vector>

#include "ctl/output.h"

namespace merino::ctl {

struct Arguments {
  std::string format = "table";
  bool all = false;          // counters
  double watch_seconds = 0;  // counters; 0: one look
  int watch_count = 0;       // counters; 0: for ever
  std::string source;        // route
  std::string destination;   // route
  std::string protocol = "tcp";
  uint16_t source_port = 40000;
  uint16_t destination_port = 80;
  std::vector<std::string> nodes;            // check
  std::vector<std::string> pods;             // check
  int echo_count = 5;                        // check
  std::string archive;                       // bugtool
  std::vector<std::string> trace_addresses;  // trace
  int trace_port = 0;
  std::string trace_protocol;
  std::vector<std::string> trace_reasons;
  std::string pcap;
  int trace_count = 0;
  double trace_seconds = 0;

  [[nodiscard]] Format output() const;
};

// The parser; it writes into `arguments`, which outlives it.
std::unique_ptr<CLI::App> make_app(Arguments& arguments, const std::string& version);

}  // namespace merino::ctl
