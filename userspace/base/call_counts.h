// How often the CNI plugin was called, with what result, and how long it took: counts in one file that all its processes and merinod share.
//
// The plugin lives for one call, so it cannot be asked. Each process maps the file and adds to its cells atomically: no lock that a call
// could wait for, nothing that a process which is killed could leave half done. The file is on a tmpfs and goes with it, as counters do
// when a machine starts anew.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "base/histogram.h"
#include "base/result.h"

namespace merino {

// Another layout is another file, so that a plugin and a merinod of two versions never misread each other.
inline constexpr const char* kCallCountsPath = "/run/merino/cni-calls.v1";

struct CallCount {
  std::string command;  // "ADD"
  unsigned code = 0;    // the error object's code; 0: success. A code that is not the spec's is counted as kOtherCode
  DurationHistogram durations;
};
inline constexpr unsigned kOtherCode = 100;  // the first one that the spec leaves to plugins

// Adds one call; the file is made when it is missing. Commands that the spec does not have are not counted.
Status count_call(const std::string& command, unsigned code, std::chrono::nanoseconds took, const std::string& path = kCallCountsPath);

// Each command with each code, in a fixed order, those that never occurred too. All zero if there is no file.
Result<std::vector<CallCount>> read_call_counts(const std::string& path = kCallCountsPath);

}  // namespace merino
