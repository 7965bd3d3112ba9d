#include "agent/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <sstream>
#include <string>

#include "base/file.h"

namespace merino {

namespace {

// proc_pid_stat(5), from behind the name, which may hold anything: the first word is field 3.
std::istringstream fields_of(const std::string& stat) {
  const size_t name_end = stat.rfind(')');
  return std::istringstream(name_end == std::string::npos ? "" : stat.substr(name_end + 1));
}

double uptime() {
  double seconds = 0;
  std::istringstream(read_file("/proc/uptime").value_or("")) >> seconds;
  return seconds;
}

double now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

double in_seconds(const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; }

}  // namespace

ProcessMetrics read_process_metrics() {
  constexpr int kStartField = 22;
  constexpr int kResidentField = 24;
  ProcessMetrics metrics;
  std::istringstream fields = fields_of(read_file("/proc/self/stat").value_or(""));
  std::string word;
  for (int field = 3; fields >> word; ++field) {
    if (field == kStartField) metrics.start_time = now() - uptime() + std::stod(word) / static_cast<double>(::sysconf(_SC_CLK_TCK));
    if (field == kResidentField) metrics.resident_bytes = std::stod(word) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  }
  rusage usage{};
  if (::getrusage(RUSAGE_SELF, &usage) == 0) metrics.cpu_seconds = in_seconds(usage.ru_utime) + in_seconds(usage.ru_stime);
  metrics.open_fds = static_cast<double>(list_directory("/proc/self/fd").value_or(std::vector<std::string>{}).size());
  return metrics;
}

}  // namespace merino
