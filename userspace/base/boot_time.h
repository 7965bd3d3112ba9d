// A clock that nobody sets, and that runs on while the host sleeps.
#pragma once

#include <chrono>
#include <ctime>

namespace merino {

inline std::chrono::nanoseconds boot_time() {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

}  // namespace merino
