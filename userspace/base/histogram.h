// Durations counted in buckets, as Prometheus' histograms have them.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace merino {

// Upper bounds in seconds; a last bucket takes what is longer.
inline constexpr std::array kDurationBounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0};
inline constexpr size_t kDurationBuckets = kDurationBounds.size() + 1;

constexpr size_t duration_bucket(std::chrono::nanoseconds took) {
  const double seconds = std::chrono::duration<double>(took).count();
  size_t bucket = 0;
  while (bucket < kDurationBounds.size() && seconds > kDurationBounds[bucket]) ++bucket;
  return bucket;
}

struct DurationHistogram {
  std::array<uint64_t, kDurationBuckets> buckets{};  // each for itself, not cumulative
  std::chrono::nanoseconds sum{0};

  constexpr void add(std::chrono::nanoseconds took) {
    ++buckets[duration_bucket(took)];
    sum += took;
  }
  constexpr void add(const DurationHistogram& other) {
    for (size_t i = 0; i < buckets.size(); ++i) buckets[i] += other.buckets[i];
    sum += other.sum;
  }
};

}  // namespace merino
