// Which version's layouts the pinned maps have: MERINO_ABI_VERSION, as merinod wrote it into the map `network` when it made them.
#pragma once

#include <cstdint>

#include "base/result.h"

namespace merino {

// 0: there are no maps, or they were just made.
Result<uint32_t> pinned_abi_version();

// unsupported, if the pinned maps are another version's: nobody but a newer merinod may touch an older one's, and it makes them anew
// (load_programs). Fine where there are none.
Status check_abi_version();

}  // namespace merino
