// Clocks of Linux that std::chrono has not.
#pragma once

#include <chrono>
#include <ctime>

namespace merino {

inline std::chrono::nanoseconds read_clock(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

// Nobody sets it, and it runs on while the host sleeps.
inline std::chrono::nanoseconds boot_time() { return read_clock(CLOCK_BOOTTIME); }

// What the calling thread has used of a CPU so far. Unlike the time on the clock, it does not grow on a host that is busy with other
// things.
inline std::chrono::nanoseconds thread_cpu_time() { return read_clock(CLOCK_THREAD_CPUTIME_ID); }

}  // namespace merino
