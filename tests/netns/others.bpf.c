// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Somebody else's program on a hook that merino uses: counts what it sees. */
// libbpf's header needs the types of the kernel's.
// clang-format off
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>
// clang-format on

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} seen SEC(".maps");

SEC("tc")
int count_packets(struct __sk_buff* skb __attribute__((unused))) {
  __u32 zero = 0;
  __u64* count = bpf_map_lookup_elem(&seen, &zero);

  if (count) __sync_fetch_and_add(count, 1);
  return TC_ACT_UNSPEC;
}
