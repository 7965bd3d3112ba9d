// Single packets that the programs tell of: the last one dropped for each reason, and those that somebody watches.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "abi.h"
#include "base/address.h"
#include "base/result.h"
#include "datapath/counters.h"
#include "datapath/programs.h"

namespace merino {

// A packet as the program left it.
struct Sighting {
  const ReasonInfo* reason = nullptr;
  Program program = Program::from_pod;
  unsigned ifindex = 0;  // where the program runs
  std::chrono::system_clock::time_point time;
  uint32_t length = 0;         // of the frame
  std::vector<uint8_t> frame;  // its beginning
};

// The newest packet of each reason that was met, in the order of abi.h. not_found when the map is not pinned.
Result<std::vector<Sighting>> read_drops();

struct TraceFilter {
  std::vector<IpAddress> addresses;  // two at most; either end of the packet, or the sender of its tunnel
  std::optional<uint16_t> port;
  std::optional<uint8_t> protocol;
  std::vector<merino_reason> reasons;
};

// While this lives, packets that the filter fits are told of. If its process is killed, the programs stop by themselves within seconds.
class Trace {
 public:
  // exists if somebody watches already: there is one ring buffer. not_found when the maps are not pinned.
  static Result<Trace> start(const TraceFilter& filter);
  Trace(Trace&&) noexcept;
  Trace& operator=(Trace&&) noexcept;
  Trace(const Trace&) = delete;
  Trace& operator=(const Trace&) = delete;
  ~Trace();

  // What has come, in its order; waits for the first as long as `patience`, and keeps the programs telling for some seconds more.
  Result<std::vector<Sighting>> next(std::chrono::milliseconds patience);
  // Packets for which there was no room.
  [[nodiscard]] Result<uint64_t> lost() const;

 private:
  struct State;
  explicit Trace(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace merino
