// /healthz and /readyz over HTTP, answered by threads of their own from what the agent's thread last said.
//
//   /healthz  200 "merinod is running" while the agent's thread makes progress, else 503
//   /readyz   200 "merinod is ready", else 503 "merinod is not ready yet" and a line for each thing that is missing
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/http_server.h"
#include "base/result.h"

namespace merino {

// What the agent's thread tells the server's threads.
class HealthBoard {
 public:
  using Clock = std::chrono::steady_clock;

  // The agent's thread goes round at least every ten seconds; a step may take a while.
  static constexpr std::chrono::seconds kSilenceLimit{120};

  void beat(Clock::time_point now);
  // Empty: ready.
  void publish(std::vector<std::string> missing);

  [[nodiscard]] HttpAnswer healthz(Clock::time_point now) const;
  [[nodiscard]] HttpAnswer readyz() const;

 private:
  mutable std::mutex mutex_;
  Clock::time_point last_beat_ = Clock::now();
  std::vector<std::string> missing_ = {"start: nothing is checked yet"};
};

// Listens on ip:port; `board` outlives the server. exists, with the remedy, if the address cannot be had.
Result<std::unique_ptr<HttpServer>> start_health_server(const std::string& ip, uint16_t port, const HealthBoard& board);

}  // namespace merino
