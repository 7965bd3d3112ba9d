// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Sends the frames that it is run on out of an interface: all of them, or evenly one in so many nanoseconds. */
// libbpf's header needs the types of the kernel's.
// clang-format off
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
// clang-format on

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* What is owed for longer than that is not made up for: a burst is no even flood. */
#define PATIENCE_NS 100000

const volatile __u32 ifindex = 0;
const volatile __u64 interval_ns = 0;

__u64 due = 0;
__u64 sent = 0;

SEC("xdp")
int forward(struct xdp_md* xdp __attribute__((unused))) { return bpf_redirect(ifindex, 0); }

/* The rest is thrown away. */
SEC("xdp")
int pace(struct xdp_md* xdp __attribute__((unused))) {
  const __u64 now = bpf_ktime_get_ns();

  if (now < due) return XDP_DROP;
  due = (now - due > PATIENCE_NS ? now : due) + interval_ns;
  sent++;
  return bpf_redirect(ifindex, 0);
}
