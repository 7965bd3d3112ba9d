/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The conntrack question: does the stack translate this flow? The answer to a translated connection looks like plain pod traffic, and
 * only the stack can translate it back.
 *
 * kfunc bpf_skb_ct_lookup, Linux 5.19 and later (net/netfilter/nf_conntrack_bpf.c): TCP and UDP only.
 */
#ifndef MERINO_CONNTRACK_H
#define MERINO_CONNTRACK_H

#include "packet.h"

/* Only what is read, relocated to the running kernel's layout (CO-RE). The kernel wants struct nf_conn defined, not just declared. */
union nf_inet_addr {
	__u32 all[4];
} __attribute__((preserve_access_index));

union nf_conntrack_man_proto {
	__be16 all;
} __attribute__((preserve_access_index));

struct nf_conntrack_man {
	union nf_inet_addr u3;
	union nf_conntrack_man_proto u;
} __attribute__((preserve_access_index));

struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
	} dst;
} __attribute__((preserve_access_index));

struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
} __attribute__((preserve_access_index));

struct nf_conn {
	struct nf_conntrack_tuple_hash tuplehash[2]; /* original, reply */
} __attribute__((preserve_access_index));

/* 12 bytes: the size that every kernel since 5.19 takes (6.10 added a longer form). */
struct bpf_ct_opts___merino {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *skb, struct bpf_sock_tuple *tuple, __u32 tuple_size,
					 struct bpf_ct_opts___merino *opts, __u32 opts_size) __ksym __weak;
extern void bpf_ct_release(struct nf_conn *ct) __ksym __weak;

static __always_inline int same_inet_addr(const union nf_inet_addr *a, const union nf_inet_addr *b)
{
	return a->all[0] == b->all[0] && a->all[1] == b->all[1] && a->all[2] == b->all[2] && a->all[3] == b->all[3];
}

/* A plain flow's reply tuple is the mirror of its original tuple. Comparing them, instead of the NAT bits in the status, also finds
 * what IPVS translates. Conntrack zeroes the unused words of IPv4 addresses.
 */
static __always_inline int is_mirror(const struct nf_conntrack_tuple *original, const struct nf_conntrack_tuple *reply)
{
	return original->src.u.all == reply->dst.u.all && original->dst.u.all == reply->src.u.all &&
	       same_inet_addr(&original->src.u3, &reply->dst.u3) && same_inet_addr(&original->dst.u3, &reply->src.u3);
}

/* TCP connections that conntrack has been asked about, one direction a slot: the hash of those that are not translated. A shared array, so
 * that what one CPU takes back no other still believes.
 *
 * A connection gets in by its first packet (SYN, or SYN with ACK in the other direction), of which conntrack is always asked, and goes by
 * its last ones (FIN, RST). It may end without a word; but no entry speaks for a translated connection with the same addresses and ports:
 * the first packet of that, each way, comes by here as well, is asked about and takes the entry back. What falls out for another one is
 * asked about each time, as what was never in.
 */
#define UNTRANSLATED_BITS 16

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << UNTRANSLATED_BITS);
	__type(key, __u32);
	__type(value, __u64);
} untranslated SEC(".maps");

static __always_inline __u64 mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15;
	return hash ^ hash >> 32;
}

static __always_inline __u64 mix_addr(__u64 hash, const struct merino_addr *addr)
{
	hash = mix(hash, (__u64)addr_word(addr, 0) << 32 | addr_word(addr, 1));
	return mix(hash, (__u64)addr_word(addr, 2) << 32 | addr_word(addr, 3));
}

/* Not 0. Nobody can aim at another connection's without the seed. */
static __always_inline __u64 connection_hash(const struct flow *flow)
{
	const __u64 ports = (__u64)flow->sport << 16 | flow->dport;

	return mix(mix_addr(mix_addr(merino_config.flow_seed, &flow->src), &flow->dst), ports) | 1;
}

/* Asks in the namespace of the packet's device, zone 0. `flow` has ports. */
static __always_inline int ask_conntrack(struct __sk_buff *skb, const struct flow *flow)
{
	struct bpf_ct_opts___merino opts = {.netns_id = -1, .l4proto = flow->protocol};
	struct bpf_sock_tuple tuple = {};
	struct nf_conn *ct;
	int translated;

	if (flow->family == FAMILY_V4) {
		tuple.ipv4.saddr = addr_v4(&flow->src);
		tuple.ipv4.daddr = addr_v4(&flow->dst);
		tuple.ipv4.sport = flow->sport;
		tuple.ipv4.dport = flow->dport;
		ct = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv4), &opts, sizeof(opts));
	} else {
		__builtin_memcpy(tuple.ipv6.saddr, flow->src.bytes, sizeof(tuple.ipv6.saddr));
		__builtin_memcpy(tuple.ipv6.daddr, flow->dst.bytes, sizeof(tuple.ipv6.daddr));
		tuple.ipv6.sport = flow->sport;
		tuple.ipv6.dport = flow->dport;
		ct = bpf_skb_ct_lookup(skb, &tuple, sizeof(tuple.ipv6), &opts, sizeof(opts));
	}
	if (!ct)
		return 0;
	translated = !is_mirror(&ct->tuplehash[0].tuple, &ct->tuplehash[1].tuple);
	bpf_ct_release(ct);
	return translated;
}

static __always_inline struct flow answer_to(const struct flow *flow)
{
	struct flow answer = *flow;

	answer.src = flow->dst;
	answer.dst = flow->src;
	answer.sport = flow->dport;
	answer.dport = flow->sport;
	return answer;
}

/* Also when its answers would be taken for those of a translated connection: of the pod to a service, from the same port, that ended a
 * minute ago. Conntrack then finds the connection another source port.
 */
static __always_inline int is_opening_translated(struct __sk_buff *skb, const struct flow *flow)
{
	const struct flow answer = answer_to(flow);

	return ask_conntrack(skb, flow) || ask_conntrack(skb, &answer);
}

static __noinline int is_connection_translated(struct __sk_buff *skb, const struct flow *flow)
{
	const __u8 marks = flow->tcp_flags & (TCP_SYN | TCP_FIN | TCP_RST);
	const __u64 hash = connection_hash(flow);
	const __u32 index = hash >> (64 - UNTRANSLATED_BITS);
	volatile __u64 *slot = bpf_map_lookup_elem(&untranslated, &index);
	int translated;

	if (!slot)
		return ask_conntrack(skb, flow);
	if (!marks && *slot == hash)
		return 0;
	translated = marks == TCP_SYN && !(flow->tcp_flags & TCP_ACK) ? is_opening_translated(skb, flow) : ask_conntrack(skb, flow);
	if (!translated && marks == TCP_SYN)
		*slot = hash;
	else if (*slot == hash)
		*slot = 0;
	return translated;
}

/* `flow` has ports. */
static __always_inline int is_translated(struct __sk_buff *skb, const struct flow *flow)
{
	return flow->protocol == IPPROTO_TCP ? is_connection_translated(skb, flow) : ask_conntrack(skb, flow);
}

#endif
