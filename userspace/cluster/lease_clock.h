// When the leases in files end. Their times are read by the wall clock, which may be set at any moment, and may be wrong from then on:
// whoever was alive before lives on for as long as he had left, and no longer than a lease can.
#pragma once

#include <chrono>

#include "cluster/lease.h"

namespace merino {

// One moment on both clocks.
struct Moment {
  std::chrono::system_clock::time_point wall;
  std::chrono::nanoseconds boot;
  static Moment now();
};

class LeaseClock {
 public:
  explicit LeaseClock(const Moment& start) : offset_(offset(start)) {}

  // How far the wall clock was set since the last call: 0 for less than a minute, which costs no lease.
  std::chrono::nanoseconds follow(const Moment& now);

  // The end, by the wall clock as it is now, of a lease whose file says `end` by the clock as it was at the start.
  [[nodiscard]] std::chrono::system_clock::time_point end_of(std::chrono::system_clock::time_point end, const Moment& now) const {
    return moved(end, ahead_, now);
  }
  // `end` by the clock that was set ahead by `by`; never more than a lease's time from now because of that.
  static std::chrono::system_clock::time_point moved(std::chrono::system_clock::time_point end, std::chrono::nanoseconds by,
                                                     const Moment& now);

 private:
  static std::chrono::nanoseconds offset(const Moment& moment) { return moment.wall.time_since_epoch() - moment.boot; }

  std::chrono::nanoseconds offset_;
  std::chrono::nanoseconds ahead_{0};  // of the clock as it was at the start; 0 if it is behind, when no lease ends too early
};

}  // namespace merino
