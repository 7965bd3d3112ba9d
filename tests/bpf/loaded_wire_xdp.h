// wire_xdp as it stands before a node's other programs: with their configuration and their maps.
#pragma once

#include "bpf/loaded_programs.h"

struct wire_xdp_bpf;

namespace merino::test {

class LoadedWireXdp {
 public:
  // `programs` outlives it. Throws std::runtime_error if the kernel refuses the program.
  LoadedWireXdp(const LoadedPrograms& programs, const merino_config& config);
  ~LoadedWireXdp();
  LoadedWireXdp(const LoadedWireXdp&) = delete;
  LoadedWireXdp& operator=(const LoadedWireXdp&) = delete;

  // Runs the frame through the program, received on the uplink; the verdict is XDP_PASS or XDP_DROP.
  Outcome run(const Frame& frame);
  // Without asking for the counters: for many packets.
  Outcome run_uncounted(const Frame& frame);
  [[nodiscard]] int fd() const;

 private:
  const LoadedPrograms& programs_;
  wire_xdp_bpf* skeleton_ = nullptr;
};

}  // namespace merino::test
