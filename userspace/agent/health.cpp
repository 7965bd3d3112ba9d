#include "agent/health.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace merino {

void HealthBoard::beat(Clock::time_point now) {
  const std::lock_guard lock(mutex_);
  last_beat_ = now;
}

void HealthBoard::publish(std::vector<std::string> missing) {
  const std::lock_guard lock(mutex_);
  missing_ = std::move(missing);
}

HttpAnswer HealthBoard::healthz(Clock::time_point now) const {
  const std::lock_guard lock(mutex_);
  const auto silence = std::chrono::duration_cast<std::chrono::seconds>(now - last_beat_);
  if (silence <= kSilenceLimit) return {200, "merinod is running"};
  return {503, fmt::format("merinod made no progress for {} s", silence.count())};
}

HttpAnswer HealthBoard::readyz() const {
  const std::lock_guard lock(mutex_);
  if (missing_.empty()) return {200, "merinod is ready"};
  return {503, fmt::format("merinod is not ready yet\n{}\n", fmt::join(missing_, "\n"))};
}

Result<std::unique_ptr<HttpServer>> start_health_server(const std::string& ip, uint16_t port, const HealthBoard& board) {
  return HttpServer::start(
      ip, port, "/healthz",
      {{"/healthz", [&board] { return board.healthz(HealthBoard::Clock::now()); }}, {"/readyz", [&board] { return board.readyz(); }}});
}

}  // namespace merino
