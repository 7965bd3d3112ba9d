// What the BPF programs of one node counted.
#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <string>

#include "abi.h"

namespace merino::lab {

class Counters {
 public:
  // Of the pinned map at `path`, as the test reaches it; all zero if it is not there.
  static Counters read(const std::string& path);

  [[nodiscard]] uint64_t operator[](merino_reason reason) const { return packets_[reason]; }
  [[nodiscard]] uint64_t sum(std::initializer_list<merino_reason> reasons) const;
  // Packets from and to pods that did not take the stack's way.
  [[nodiscard]] uint64_t fast_for_pods() const;
  // All packets that were dropped.
  [[nodiscard]] uint64_t dropped() const;
  [[nodiscard]] Counters operator-(const Counters& before) const;
  // What is not zero, one line a reason.
  [[nodiscard]] std::string to_string() const;

 private:
  std::array<uint64_t, MERINO_REASON_COUNT> packets_{};
};

// The number of entries of a pinned map; 0 if it is not there.
size_t count_entries(const std::string& path);

}  // namespace merino::lab
