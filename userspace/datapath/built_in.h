// What every BPF object that is built in needs when it is loaded, and what tells whether it is.
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace merino {

// libbpf explains itself on a log callback only: what it says during a load becomes part of the error.
class LibbpfLog {
 public:
  LibbpfLog();
  ~LibbpfLog() { libbpf_set_print(previous_); }
  LibbpfLog(const LibbpfLog&) = delete;
  LibbpfLog& operator=(const LibbpfLog&) = delete;

  // The end of the log: the verifier's verdict stands there.
  [[nodiscard]] static std::string tail();

 private:
  libbpf_print_fn_t previous_;
};

// A hash of the object's bytes: which build's it is.
uint64_t object_id(std::span<const unsigned char> elf);

// The ids of the maps that a loaded program uses; `path` names it in errors.
Result<std::vector<uint32_t>> used_maps(int program_fd, const std::string& path);

// The one among them with the frozen configuration, of `size` bytes; 0 if there is none.
uint32_t config_map_id(const std::vector<uint32_t>& ids, size_t size);

// Do the pins of these names show the maps that the programs use? They do not when somebody removed a pin, or a load ended halfway after
// that.
Result<bool> pins_show(std::span<const char* const> names, const std::set<uint32_t>& ids);

}  // namespace merino
