// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Somebody else's XDP program, which lets everything pass. */
// libbpf's header needs the types of the kernel's.
// clang-format off
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
// clang-format on

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("xdp")
int pass_all(struct xdp_md* xdp __attribute__((unused))) { return XDP_PASS; }
