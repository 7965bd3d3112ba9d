// A link as its pin shows it.
#pragma once

#include <cstdint>
#include <string>

#include "base/fd.h"
#include "base/result.h"

namespace merino {

struct PinnedLink {
  Fd fd;                 // none: there is no such pin
  unsigned ifindex = 0;  // 0: the interface is gone
  uint32_t program_id = 0;
};

// Of a tcx or XDP link.
Result<PinnedLink> open_pinned_link(const std::string& path);

}  // namespace merino
