// The service manager's end of things: sd_notify and its watchdog. Without NOTIFY_SOCKET in the environment nothing happens.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace merino {

class ServiceManager {
 public:
  ServiceManager();

  // READY=1 the first time, and STATUS= whenever it differs.
  void ready();
  void status(const std::string& text);
  void stopping();
  void alive();

  // How often alive() must be called; nullopt: no watchdog.
  [[nodiscard]] std::optional<std::chrono::microseconds> watchdog_interval() const { return watchdog_interval_; }

 private:
  bool ready_sent_ = false;
  std::string last_status_;
  std::optional<std::chrono::microseconds> watchdog_interval_;
};

}  // namespace merino
