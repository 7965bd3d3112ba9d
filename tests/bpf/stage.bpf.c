// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* Programs of the tests: one that prepares a packet as a device would and passes it on to a program under test, and one that counts what
 * is left to the programs after those under test.
 */
#include "stage.h"

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct stage);
} stages SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, 4);
  __type(key, __u32);
  __type(value, __u32);
} programs SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} seen SEC(".maps");

/* A VLAN tag in the skb, as a device leaves it there; tunnel metadata, as the VXLAN driver does. The key is one for sending, since programs
 * can make no other: its two addresses stand the other way round.
 */
SEC("tc")
int prepare(struct __sk_buff* skb) {
  const __u32 zero = 0;
  const struct stage* stage = bpf_map_lookup_elem(&stages, &zero);

  if (!stage) return TC_ACT_UNSPEC;
  if (stage->has_vlan && bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), stage->vlan_tci)) return TC_ACT_STOLEN;
  if (stage->has_tunnel) {
    struct bpf_tunnel_key key = {
        .tunnel_id = stage->tunnel_vni,
    };

    if (stage->tunnel_v6) {
      __builtin_memcpy(key.remote_ipv6, stage->tunnel_local6, sizeof(key.remote_ipv6));
      __builtin_memcpy(key.local_ipv6, stage->tunnel_remote6, sizeof(key.local_ipv6));
    } else {
      key.remote_ipv4 = stage->tunnel_local;
      key.local_ipv4 = stage->tunnel_remote;
    }
    if (bpf_skb_set_tunnel_key(skb, &key, sizeof(key), stage->tunnel_v6 ? BPF_F_TUNINFO_IPV6 : 0)) return TC_ACT_STOLEN;
  }
  bpf_tail_call(skb, &programs, stage->program);
  return TC_ACT_STOLEN;
}

SEC("tc")
int count_seen(struct __sk_buff* skb) {
  const __u32 zero = 0;
  __u64* count = bpf_map_lookup_elem(&seen, &zero);

  (void)skb;
  if (count) __sync_fetch_and_add(count, 1);
  return TC_ACT_UNSPEC;
}
