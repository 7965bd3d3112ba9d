#include "agent/service.h"

#include <systemd/sd-daemon.h>

#include <algorithm>

namespace merino {

ServiceManager::ServiceManager() {
  uint64_t limit_us = 0;
  if (sd_watchdog_enabled(0, &limit_us) > 0) watchdog_interval_ = std::chrono::microseconds(limit_us / 2);
}

void ServiceManager::ready() {
  if (ready_sent_) return;
  ready_sent_ = true;
  sd_notify(0, "READY=1");
}

void ServiceManager::status(const std::string& text) {
  if (text == last_status_) return;
  last_status_ = text;
  std::string line = "STATUS=" + text;
  std::replace(line.begin(), line.end(), '\n', ' ');
  sd_notify(0, line.c_str());
}

void ServiceManager::stopping() { sd_notify(0, "STOPPING=1"); }

void ServiceManager::alive() { sd_notify(0, "WATCHDOG=1"); }

}  // namespace merino
