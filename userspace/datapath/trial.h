// What would the programs do with this packet? Asked of the programs themselves (BPF_PROG_TEST_RUN), without a packet that is sent and
// without a trace of it: the programs are loaded once more, with the configuration and the maps of the pinned ones, but with counters of
// their own. A test run calls the redirect helpers and stops there.
#pragma once

#include <memory>
#include <vector>

#include "abi.h"
#include "base/result.h"
#include "datapath/counters.h"
#include "datapath/programs.h"

namespace merino {

struct TrialPacket {
  Program program = Program::from_pod;  // not from_tunnel: a test run has no tunnel's metadata
  unsigned ifindex = 0;                 // where it comes in; for from_host where it goes out
  std::vector<uint8_t> frame;           // from the Ethernet header on
};

struct TrialResult {
  const ReasonInfo* reason = nullptr;
  std::vector<uint8_t> frame;  // as the program left it: with a tunnel's headers, or without
};

enum class Likeness {
  same,           // instruction by instruction what is pinned
  another_build,  // the pinned programs are of another version than this build's
};

class Trial {
 public:
  // not_found, with the remedy, when no programs are pinned. In the network namespace whose interfaces packets will name.
  static Result<Trial> open();
  Trial(Trial&&) noexcept;
  Trial& operator=(Trial&&) noexcept;
  Trial(const Trial&) = delete;
  Trial& operator=(const Trial&) = delete;
  ~Trial();

  [[nodiscard]] const merino_config& config() const { return config_; }
  [[nodiscard]] Likeness likeness() const { return likeness_; }
  // not_found if there is no such interface.
  [[nodiscard]] Result<TrialResult> run(const TrialPacket& packet) const;

 private:
  struct Object;
  Trial(std::unique_ptr<Object> object, const merino_config& config, Likeness likeness);
  std::unique_ptr<Object> object_;
  merino_config config_;
  Likeness likeness_;
};

}  // namespace merino
