// `merinoctl counters --watch`: what was counted between two looks, a second.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "ctl/table.h"
#include "datapath/counters.h"

namespace merino::ctl {

struct Rate {
  const ReasonInfo* reason = nullptr;
  double packets = 0;  // a second
  double bits = 0;
  uint64_t total = 0;  // packets since the maps were made
};

// Reasons that were met between the two looks, the most frequent first. Counters that went backwards (the maps were made anew) count from
// zero.
std::vector<Rate> rates_between(const std::vector<Counter>& before, const std::vector<Counter>& now, std::chrono::nanoseconds span);

std::string rates_text(const std::vector<Rate>& rates, const Screen& screen);
std::string rates_json(const std::vector<Rate>& rates);

// "12.3k", "4.56M": three digits.
std::string short_number(double value);

}  // namespace merino::ctl
