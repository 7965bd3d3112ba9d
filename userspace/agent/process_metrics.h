// What the kernel says of this process, under the names that Prometheus' clients give it.
#pragma once

namespace merino {

struct ProcessMetrics {
  double start_time = 0;  // seconds since the epoch
  double cpu_seconds = 0;
  double resident_bytes = 0;
  double open_fds = 0;
};

// What cannot be read is 0.
ProcessMetrics read_process_metrics();

}  // namespace merino
