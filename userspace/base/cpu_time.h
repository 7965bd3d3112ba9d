// How much of a CPU something took. Unlike the time on the clock, it does not grow on a host that is busy with other things.
#pragma once

#include <chrono>
#include <ctime>

namespace merino {

// What the calling thread has used so far.
inline std::chrono::nanoseconds thread_cpu_time() {
  timespec used{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

}  // namespace merino
