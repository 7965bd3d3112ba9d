/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* flannel's udp backend: the pod's IPv4 packet is the payload, 28 bytes behind the Ethernet header.
 *
 *   | Ethernet | IPv4 20 | UDP 8 | IPv4 packet of the pod |
 */
#ifndef MERINO_UDP_H
#define MERINO_UDP_H

#include "vxlan.h"

#define UDP_OVERHEAD 28
_Static_assert(sizeof(struct outer_v4) == UDP_OVERHEAD, "what is inserted is what is counted into the MTU");

static __always_inline int is_udp(const struct merino_peer *peer)
{
	return peer->kind == MERINO_PEER_UDP;
}

/* As vxlan_send(). */
static __always_inline enum merino_reason udp_send(struct __sk_buff *skb, const struct flow *flow, const struct merino_peer *peer)
{
	const __u64 flags =
	    BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP | BPF_F_ADJ_ROOM_NO_CSUM_RESET;
	const __u32 len = skb->len - ETH_HLEN + UDP_OVERHEAD;
	struct outer_v4 outer;
	void *room;

	if (len > 0xffff)
		return MERINO_HELPER;
	fill_outer(&outer, peer, len, flow->tos, bpf_get_hash_recalc(skb));
	if (bpf_skb_adjust_room(skb, UDP_OVERHEAD, BPF_ADJ_ROOM_MAC, flags))
		return MERINO_HELPER;
	room = packet_at(skb, ETH_HLEN, sizeof(outer));
	if (!room)
		return MERINO_MALFORMED;
	__builtin_memcpy(room, &outer, sizeof(outer));
	send_outer(peer);
	return GO_ON;
}

/* One packet and nothing else, behind the outer headers of a frame of `frame_len` bytes? NULL: it is too short. What GRO made of several
 * datagrams (rx-udp-gro-forwarding) is none.
 */
static __always_inline enum merino_reason judge_udp(const struct iphdr *inner, __u32 frame_len, __u32 gso_size, const struct outer *outer)
{
	enum merino_reason reason;

	if (!inner)
		return MERINO_MALFORMED;
	reason = judge_outer_len(frame_len, gso_size, outer, sizeof(*inner));
	if (reason != GO_ON)
		return reason;
	return bpf_ntohs(inner->tot_len) < frame_len - outer->payload ? MERINO_NOT_TUNNEL : GO_ON;
}

static __always_inline int udp_decapsulate(struct __sk_buff *skb)
{
	return !bpf_skb_adjust_room(skb, -UDP_OVERHEAD, BPF_ADJ_ROOM_MAC, 0);
}

/* For the stack, which knows nothing of this tunnel: makes VXLAN of it, to merino0's own port, so that the driver decapsulates it, takes
 * the marks of an aggregate off, and from_tunnel sees it like any other. The sender stays the same. False: nothing was changed.
 */
static __always_inline int udp_to_vxlan(struct __sk_buff *skb)
{
	const __u32 grown = sizeof(struct vxlan_payload);
	const __u32 len = skb->len - ETH_HLEN + grown;
	struct {
		struct udphdr udp;
		struct vxlan_payload payload;
	} __attribute__((packed)) headers = {};
	const __u8 any_mac[MERINO_ETH_ALEN] = {2};
	struct outer_v4 *outer = packet_at(skb, ETH_HLEN, sizeof(*outer));

	if (!outer || len > 0xffff)
		return 0;
	headers.udp = outer->udp;
	headers.udp.dest = merino_config.device_port;
	headers.udp.len = bpf_htons(len - sizeof(struct iphdr));
	headers.udp.check = 0;
	fill_payload(&headers.payload, merino_config.v4.vtep_mac, any_mac);
	if (bpf_skb_adjust_room(skb, grown, BPF_ADJ_ROOM_NET, BPF_F_ADJ_ROOM_FIXED_GSO))
		return 0;
	/* With the checksum that the device may have taken of the packet. That of the IP header makes up for its length. */
	bpf_skb_store_bytes(skb, ETH_HLEN + sizeof(struct iphdr), &headers, sizeof(headers), BPF_F_RECOMPUTE_CSUM);
	outer = packet_at(skb, ETH_HLEN, sizeof(*outer));
	if (outer) {
		outer->ip.tot_len = bpf_htons(len);
		outer->ip.check = 0;
		outer->ip.check = header_checksum(&outer->ip);
	}
	return 1;
}

#endif
