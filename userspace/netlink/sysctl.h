// Kernel settings under /proc/sys.
#pragma once

#include <string>

#include "base/result.h"

namespace merino {

// Sets /proc/sys/<key with dots as slashes>; reads first. true if it had to be changed. "net.ipv4.conf.merino0.rp_filter": a name with
// dots in it (eth0.100) is written with '/' instead: "net/ipv4/conf/eth0.100/rp_filter". not_found: this kernel has no such setting.
// Below net, it is that of the calling thread's network namespace.
Result<bool> ensure_sysctl(const std::string& key, const std::string& value);

// Its value, without space at the ends.
Result<std::string> read_sysctl(const std::string& key);

}  // namespace merino
