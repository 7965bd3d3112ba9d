// What the agent may do: less than root.
#pragma once

#include "base/result.h"

namespace merino {

// Gives up, for this process and what it starts, every capability that it has and does not need, and any way to get more by executing a
// program. What is kept, and why:
//
//   CAP_NET_ADMIN            devices, addresses, routes, rules, programs on devices
//   CAP_NET_RAW              iptables, for rules in the legacy tables
//   CAP_BPF, CAP_PERFMON     loading programs; their packet pointers are compared and printed, which PERFMON stands for
//   CAP_SYS_ADMIN            mounting bpffs; maps and programs by their number
//   CAP_SYS_MODULE           modprobe nf_conntrack
//   CAP_DAC_OVERRIDE         files of the operator's, wherever they lie and whosever they are
//   CAP_NET_BIND_SERVICE     --healthz-port below 1024
//
// A unit or a container that grants less stays with less.
Status drop_privileges();

}  // namespace merino
