// What the running kernel has, by its own type information and not by its version: distributions add to old kernels and leave out of new
// ones.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace merino {

// Those of `names` that are no enumerators in the kernel: helpers (BPF_FUNC_redirect_peer) and their flags (BPF_F_ADJ_ROOM_ENCAP_L2_ETH)
// are. unsupported: it has no type information (CONFIG_DEBUG_INFO_BTF).
Result<std::vector<std::string>> kernel_lacks(const std::vector<std::string>& names);

// unsupported, naming what is missing, when the programs could not do on this kernel what they are for, whether or not it loads them.
Status check_kernel();

// Can this kernel answer the conntrack question (kfunc bpf_skb_ct_lookup)? False also while nf_conntrack is not loaded.
Result<bool> kernel_has_conntrack_lookup();

}  // namespace merino
