// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* What the measured programs are compared with, and how a packet gets tunnel metadata before one of them sees it. */
/* The helpers need the types. */
/* clang-format off */
#include <linux/types.h>
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>
#include <linux/pkt_cls.h>
/* clang-format on */

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* The key that with_tunnel_key sets: one entry. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct bpf_tunnel_key);
} tunnel_key SEC(".maps");

/* What with_tunnel_key goes on with. */
struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u32);
} next SEC(".maps");

SEC("tc")
int empty(struct __sk_buff* skb) {
  (void)skb;
  return TC_ACT_UNSPEC;
}

SEC("tc")
int with_tunnel_key(struct __sk_buff* skb) {
  const __u32 zero = 0;
  struct bpf_tunnel_key* key = bpf_map_lookup_elem(&tunnel_key, &zero);

  if (key && !bpf_skb_set_tunnel_key(skb, key, sizeof(*key), 0)) bpf_tail_call(skb, &next, 0);
  return TC_ACT_STOLEN;
}
