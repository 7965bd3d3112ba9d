// Where everything of merino's lies below bpffs. Paths are fixed: a contract with bpftool, the plugin and other versions.
#pragma once

#include <string>

#include "abi.h"

namespace merino::pins {

inline const std::string kRoot = MERINO_PIN_ROOT;
inline const std::string kPrograms = kRoot + "/programs";
inline const std::string kLinks = kRoot + "/links";

inline std::string map(const std::string& name) { return kRoot + "/" + name; }
inline std::string program(const std::string& name) { return kPrograms + "/" + name; }
// One pin per attachment: links/uplink, links/device_in, links/device_out, links/pod_<ifname>.
inline std::string link(const std::string& name) { return kLinks + "/" + name; }

}  // namespace merino::pins
