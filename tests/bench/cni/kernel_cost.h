// What the kernel does for a pod, without the plugin around it.
#pragma once

#include <string>

#include "base/result.h"

namespace merino::bench {

enum class KernelPart { veth, veth_and_program };

// A veth pair between this namespace and /run/netns/NAME with address, routes and neighbours, both ends up, as merino's plugin makes it.
Status attach_pod(const std::string& name, KernelPart part);
Status detach_pod(const std::string& name, KernelPart part);

}  // namespace merino::bench
