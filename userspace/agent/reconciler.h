// The level-triggered heart of the agent: an ordered list of steps, each of which compares what should be with what is read back and
// applies the difference. A step that failed stays failed and is tried again with back-off; nothing depends on an event being seen.
//
//   Reconciler reconciler(on_change);
//   reconciler.add({.name = "route", .causes = cause::kNetwork, .needs = {"device"}, .run = [&] { return netlink.ensure_route(route); }});
//   reconciler.run(cause::kFull, now);  // then again whenever something may have changed, and at next_retry()
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace merino {

// Why a pass runs; a step runs if one of its own causes is among them.
namespace cause {
inline constexpr unsigned kNetwork = 1;      // a link, address, route or neighbour changed
inline constexpr unsigned kLeases = 2;       // the lease store changed
inline constexpr unsigned kRules = 4;        // time to look at the packet filter's rules
inline constexpr unsigned kNeighbours = 16;  // a neighbour's address was found, lost or confirmed
inline constexpr unsigned kFull = 8;         // the slow full check: every step runs
}  // namespace cause

inline constexpr std::chrono::milliseconds kFirstBackoff{250};
inline constexpr std::chrono::milliseconds kLongestBackoff{10000};
// An event that concerns a failed step brings its next attempt forward to this long after the last one.
inline constexpr std::chrono::milliseconds kEventBackoff{1000};

enum class StepCondition { waiting, ok, failed };

// What a step did since the start.
struct StepCounts {
  uint64_t runs = 0;
  uint64_t failures = 0;
  // Something that stood had to be changed although no earlier step had changed: somebody else had touched it.
  uint64_t heals = 0;
  std::chrono::nanoseconds busy{0};
};

struct StepState {
  std::string name;
  StepCondition condition = StepCondition::waiting;
  bool ever_ok = false;
  std::string error;                            // of the last attempt, if it failed; what is waited for, if it waits
  std::chrono::system_clock::time_point since;  // when the condition or the error became what it is
  StepCounts counts{};
};

class Reconciler {
 public:
  using Clock = std::chrono::steady_clock;

  struct Step {
    std::string name;
    unsigned causes = 0;  // cause::kFull is implied
    // Earlier steps: this one waits until each of them has succeeded once, and runs in every pass in which one of them changed something.
    std::vector<std::string> needs;
    std::function<Result<bool>()> run;  // true: something had to be changed
    std::chrono::milliseconds longest_backoff = kLongestBackoff;
  };

  // Called after each attempt that brought a step into another condition or another error; once, however often the attempt is repeated.
  using ChangeListener = std::function<void(const StepState& now, StepCondition before)>;

  explicit Reconciler(ChangeListener listener) : listener_(std::move(listener)) {}

  // `step.needs` name steps that have been added already.
  void add(Step step);

  // One pass over all steps, in order. A failed step runs only when its back-off is over, whatever the causes: a step that fails and
  // thereby causes events must not spin.
  void run(unsigned causes, Clock::time_point now);

  // When the earliest failed step wants to be tried again.
  [[nodiscard]] std::optional<Clock::time_point> next_retry() const;

  [[nodiscard]] std::vector<StepState> states() const;

 private:
  struct Entry {
    Step step;
    std::vector<size_t> needs;
    StepState state;
    std::chrono::milliseconds backoff{0};
    Clock::time_point last_attempt;
    Clock::time_point retry_at;
    bool changed = false;  // in this pass
  };

  [[nodiscard]] bool concerns(const Entry& entry, unsigned causes) const;
  [[nodiscard]] bool is_due(const Entry& entry, unsigned causes, Clock::time_point now) const;
  [[nodiscard]] const Entry* missing_need(const Entry& entry) const;
  void attempt(Entry& entry, Clock::time_point now);
  void settle(Entry& entry, StepCondition condition, const std::string& error);

  std::vector<Entry> entries_;
  ChangeListener listener_;
};

}  // namespace merino
