#include "cluster/lease_clock.h"

#include <algorithm>

#include "base/clocks.h"

namespace merino {

namespace {

constexpr std::chrono::minutes kStep{1};

}  // namespace

Moment Moment::now() { return {std::chrono::system_clock::now(), boot_time()}; }

std::chrono::nanoseconds LeaseClock::follow(const Moment& now) {
  const std::chrono::nanoseconds by = offset(now) - offset_;
  if (std::chrono::abs(by) < kStep) return std::chrono::nanoseconds(0);
  offset_ += by;
  ahead_ = std::max(ahead_ + by, std::chrono::nanoseconds(0));
  return by;
}

std::chrono::system_clock::time_point LeaseClock::moved(std::chrono::system_clock::time_point end, std::chrono::nanoseconds by,
                                                        const Moment& now) {
  if (end == kNeverExpires || by.count() <= 0) return end;
  return std::max(end, std::min(end + by, now.wall + kLeaseTtl));
}

}  // namespace merino
