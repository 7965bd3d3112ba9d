/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Who has an address: a pod of this node, a peer's subnet, a node. */
#ifndef MERINO_LOOKUP_H
#define MERINO_LOOKUP_H

#include "packet.h"

static __always_inline struct merino_pod *lookup_pod(const struct merino_addr *addr)
{
	return bpf_map_lookup_elem(&pods, addr);
}

static __always_inline struct merino_node *lookup_node(const struct merino_addr *addr)
{
	return bpf_map_lookup_elem(&nodes, addr);
}

/* Clears the host bits; len counts bits of the 128-bit address. */
static __always_inline void mask_addr(struct merino_addr *addr, __u32 len)
{
#pragma unroll
	for (int i = 0; i < 4; i++) {
		int bits = (int)len - 32 * i;

		if (bits <= 0)
			addr_words(addr)[i] = 0;
		else if (bits < 32)
			addr_words(addr)[i] &= bpf_htonl(~0U << (32 - bits));
	}
}

static __always_inline int is_in_network(struct merino_addr addr, __u8 family)
{
	const volatile struct merino_family *ours = own(family);
	const __u32 len = ours->network_len;

	mask_addr(&addr, len);
	return len && addr_equal(&addr, &ours->network);
}

/* Copies to `found` the peer whose subnet has the address. One hash lookup per prefix length that occurs in the network, longest first.
 * Node subnets usually have one length, so the cost does not grow with the number of peers, as that of a trie does (51 ns at 1,000
 * prefixes, 373 ns at 65,000).
 *
 * A function of its own, and not static: the verifier walks it once, and not for every way that leads to it.
 */
__noinline int lookup_peer(const struct merino_addr *addr, __u32 family, struct merino_peer *found)
{
	const __u32 zero = 0;
	const struct merino_network *net = bpf_map_lookup_elem(&network, &zero);
	const struct merino_prefix_lens *lens;
	const struct merino_peer *peer;
	struct merino_peer_key key;

	if (!net || !addr || !found)
		return 0;
	lens = family == FAMILY_V4 ? &net->peers_v4 : &net->peers_v6;
	for (__u32 i = 0; i < MERINO_MAX_PREFIX_LENS; i++) {
		if (i >= lens->count)
			break;
		key.subnet = *addr;
		key.prefix_len = lens->lens[i];
		mask_addr(&key.subnet, key.prefix_len);
		peer = bpf_map_lookup_elem(&peers, &key);
		if (peer) {
			*found = *peer;
			return 1;
		}
	}
	return 0;
}

/* Does the node at `underlay` have a right to this inner source? Its own address is right too: the node's host processes. */
static __always_inline enum merino_reason judge_sender(const struct merino_addr *underlay, const struct flow *flow)
{
	struct merino_peer peer = {};

	if (lookup_peer(&flow->src, flow->family, &peer) && addr_equal(&peer.underlay, underlay))
		return GO_ON;
	if (!lookup_node(underlay))
		return MERINO_UNKNOWN_SENDER;
	return addr_equal(&flow->src, underlay) ? GO_ON : MERINO_FORGED;
}

#endif
