#include "agent/reconciler.h"

#include <algorithm>
#include <utility>

namespace merino {

void Reconciler::add(Step step) {
  Entry entry;
  for (const std::string& need : step.needs) {
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& other) { return other.step.name == need; });
    if (found != entries_.end()) entry.needs.push_back(static_cast<size_t>(found - entries_.begin()));
  }
  entry.state.name = step.name;
  entry.state.since = std::chrono::system_clock::now();
  entry.step = std::move(step);
  entries_.push_back(std::move(entry));
}

const Reconciler::Entry* Reconciler::missing_need(const Entry& entry) const {
  for (const size_t need : entry.needs) {
    if (!entries_[need].state.ever_ok) return &entries_[need];
  }
  return nullptr;
}

bool Reconciler::concerns(const Entry& entry, unsigned causes) const {
  if ((causes & entry.step.causes) != 0) return true;
  return std::any_of(entry.needs.begin(), entry.needs.end(), [&](size_t need) { return entries_[need].changed; });
}

bool Reconciler::is_due(const Entry& entry, unsigned causes, Clock::time_point now) const {
  if (entry.state.condition == StepCondition::failed) return now >= entry.retry_at;
  return entry.state.condition == StepCondition::waiting || (causes & cause::kFull) != 0 || concerns(entry, causes);
}

void Reconciler::run(unsigned causes, Clock::time_point now) {
  for (Entry& entry : entries_) entry.changed = false;
  for (Entry& entry : entries_) {
    if (concerns(entry, causes)) entry.retry_at = std::min(entry.retry_at, entry.last_attempt + kEventBackoff);
    if (!is_due(entry, causes, now)) continue;
    if (const Entry* need = missing_need(entry)) {
      settle(entry, StepCondition::waiting, "waits for " + need->step.name);
    } else {
      attempt(entry, now);
    }
  }
}

void Reconciler::attempt(Entry& entry, Clock::time_point now) {
  entry.last_attempt = now;
  StepCounts& counts = entry.state.counts;
  const auto begin = Clock::now();
  const Result<bool> result = entry.step.run();
  counts.busy += Clock::now() - begin;
  ++counts.runs;
  if (result) {
    const bool follows = std::any_of(entry.needs.begin(), entry.needs.end(), [&](size_t need) { return entries_[need].changed; });
    if (*result && entry.state.ever_ok && !follows) ++counts.heals;
    entry.changed = *result || !entry.state.ever_ok;
    entry.state.ever_ok = true;
    entry.backoff = std::chrono::milliseconds{0};
    settle(entry, StepCondition::ok, "");
    return;
  }
  ++counts.failures;
  // Part of the work may have been done: whoever builds on it looks again.
  entry.changed = entry.state.ever_ok;
  entry.backoff = std::clamp(entry.backoff * 2, kFirstBackoff, entry.step.longest_backoff);
  entry.retry_at = now + entry.backoff;
  settle(entry, StepCondition::failed, result.error().message());
}

void Reconciler::settle(Entry& entry, StepCondition condition, const std::string& error) {
  if (entry.state.condition == condition && entry.state.error == error) return;
  const StepCondition before = std::exchange(entry.state.condition, condition);
  entry.state.error = error;
  entry.state.since = std::chrono::system_clock::now();
  listener_(entry.state, before);
}

std::optional<Reconciler::Clock::time_point> Reconciler::next_retry() const {
  std::optional<Clock::time_point> earliest;
  for (const Entry& entry : entries_) {
    if (entry.state.condition != StepCondition::failed) continue;
    if (!earliest || entry.retry_at < *earliest) earliest = entry.retry_at;
  }
  return earliest;
}

std::vector<StepState> Reconciler::states() const {
  std::vector<StepState> out;
  for (const Entry& entry : entries_) out.push_back(entry.state);
  return out;
}

}  // namespace merino
