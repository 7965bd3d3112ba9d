/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* VXLAN (RFC 7348): 50 bytes over IPv4, 70 over IPv6 between the Ethernet header and the pod's IP packet.
 *
 *   | Ethernet | IPv4 20 or IPv6 40 | UDP 8 | VXLAN 8 | Ethernet 14 | IP packet of the pod |
 *     outer                                             inner: VTEP to VTEP
 */
#ifndef MERINO_VXLAN_H
#define MERINO_VXLAN_H

#include "outer.h"

struct vxlan_hdr {
	__be32 flags;
	__be32 vni;
};

/* What is behind the UDP header. */
struct vxlan_payload {
	struct vxlan_hdr vxlan;
	struct ethhdr inner;
} __attribute__((packed));

#define VXLAN_OVERHEAD 50
#define VXLAN_OVERHEAD_V6 70
#define VXLAN_FLAG_VNI 0x08000000
_Static_assert(sizeof(struct outer_v4) + sizeof(struct vxlan_payload) == VXLAN_OVERHEAD,
	       "what is inserted is what is counted into the MTU");
_Static_assert(sizeof(struct outer_v6) + sizeof(struct vxlan_payload) == VXLAN_OVERHEAD_V6, "the same over IPv6");

static __always_inline void fill_payload(struct vxlan_payload *payload, const volatile void *dst_mac, const volatile void *src_mac)
{
	payload->vxlan.flags = bpf_htonl(VXLAN_FLAG_VNI);
	payload->vxlan.vni = bpf_htonl(merino_config.vni << 8);
	mac_copy(payload->inner.h_dest, dst_mac);
	mac_copy(payload->inner.h_source, src_mac);
	payload->inner.h_proto = bpf_htons(ETH_P_IP);
}

/* BPF can fill no checksum for GSO, and over IPv6 a stock kernel refuses zero. The driver does that, and one family in the other. */
static __always_inline int needs_driver(const struct flow *flow, const struct merino_peer *peer)
{
	return flow->family != FAMILY_V4 || !is_v4(&peer->underlay);
}

/* Encapsulates the packet (Ethernet, IP) and sends it to the peer by the kernel's route and neighbour. GSO packets stay whole: the device
 * or the kernel cuts them behind the tunnel headers. HELPER, with nothing changed: the packet is encapsulated already (a tunnel in a pod),
 * would not fit into 64 KiB, or memory ran out.
 */
static __always_inline enum merino_reason vxlan_send(struct __sk_buff *skb, const struct flow *flow, const struct merino_peer *peer)
{
	const __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |
			    BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) | BPF_F_ADJ_ROOM_NO_CSUM_RESET;
	const __u32 len = skb->len - ETH_HLEN + VXLAN_OVERHEAD;
	struct vxlan_payload payload;
	struct outer_v4 outer;
	void *room;

	if (len > 0xffff)
		return MERINO_HELPER;
	fill_outer(&outer, peer, len, flow->tos, bpf_get_hash_recalc(skb));
	fill_payload(&payload, peer->vtep_mac, merino_config.v4.vtep_mac); /* a kernel peer drops frames to another MAC */
	if (bpf_skb_adjust_room(skb, VXLAN_OVERHEAD, BPF_ADJ_ROOM_MAC, flags))
		return MERINO_HELPER;
	room = packet_at(skb, ETH_HLEN, VXLAN_OVERHEAD);
	if (!room)
		return MERINO_MALFORMED;
	__builtin_memcpy(room, &outer, sizeof(outer));
	__builtin_memcpy(room + sizeof(outer), &payload, sizeof(payload));
	send_outer(peer);
	return GO_ON;
}

/* Leaves the encapsulation to the VXLAN driver behind merino0: it can do it to what is encapsulated already, and it knows the checksum that
 * IPv6 wants. The frame on its way out of merino0 gets the MAC addresses that vxlan_send() would give it.
 */
static __always_inline int vxlan_hand_to_driver(struct __sk_buff *skb, const struct flow *flow, const struct merino_peer *peer)
{
	const __u8 family = is_v4(&peer->underlay) ? FAMILY_V4 : FAMILY_V6;
	struct bpf_tunnel_key key = {
	    .tunnel_id = merino_config.vni,
	    .tunnel_tos = outer_tos(flow->tos),
	    .tunnel_ttl = OUTER_TTL,
	};
	__u64 flags = BPF_F_ZERO_CSUM_TX;
	struct ethhdr *eth;

	if (family == FAMILY_V4) {
		key.remote_ipv4 = bpf_ntohl(addr_v4(&peer->underlay));
		key.local_ipv4 = bpf_ntohl(addr_v4(&merino_config.v4.underlay));
	} else {
#pragma unroll
		for (int i = 0; i < 4; i++) {
			key.remote_ipv6[i] = addr_word(&peer->underlay, i);
			key.local_ipv6[i] = addr_word(&merino_config.v6.underlay, i);
		}
		flags = BPF_F_TUNINFO_IPV6;
	}
	if (bpf_skb_set_tunnel_key(skb, &key, sizeof(key), flags))
		return 0;
	eth = packet_at(skb, 0, sizeof(*eth));
	if (!eth)
		return 0;
	mac_copy(eth->h_dest, peer->vtep_mac);
	mac_copy(eth->h_source, own(family)->vtep_mac);
	return 1;
}

/* Sends the frame through the driver to this node itself, IPv4: what from_tunnel gets back is cut into single packets and no longer marked
 * as encapsulated.
 */
static __always_inline int vxlan_hand_to_ourselves(struct __sk_buff *skb)
{
	struct bpf_tunnel_key key = {
	    .tunnel_id = merino_config.vni,
	    .remote_ipv4 = bpf_ntohl(addr_v4(&merino_config.v4.underlay)),
	    .local_ipv4 = bpf_ntohl(addr_v4(&merino_config.v4.underlay)),
	    .tunnel_ttl = OUTER_TTL,
	};
	const __u8 any_mac[MERINO_ETH_ALEN] = {2}; /* the driver drops what seems to be its own */
	struct ethhdr *eth;

	if (bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX))
		return 0;
	eth = packet_at(skb, 0, sizeof(*eth));
	if (!eth)
		return 0;
	mac_copy(eth->h_dest, merino_config.v4.vtep_mac);
	mac_copy(eth->h_source, any_mac);
	return 1;
}

/* Is it VXLAN of this network, behind the outer headers of a frame of `frame_len` bytes? NULL: it is too short. */
static __always_inline enum merino_reason judge_vxlan(const struct vxlan_payload *payload, __u32 frame_len, __u32 gso_size,
						      const struct outer *outer)
{
	enum merino_reason reason;

	if (!payload)
		return MERINO_MALFORMED;
	reason = judge_outer_len(frame_len, gso_size, outer, sizeof(*payload));
	if (reason != GO_ON)
		return reason;
	return payload->vxlan.flags == bpf_htonl(VXLAN_FLAG_VNI) && payload->vxlan.vni == bpf_htonl(merino_config.vni << 8)
		   ? GO_ON
		   : MERINO_WRONG_VNI;
}

/* Takes the tunnel headers off: the outer Ethernet header is left standing before the pod's IP packet, so that must be of the same family.
 * The checksum state is reset, so that the pod's stack verifies what only the outer checksum vouched for.
 */
static __always_inline int vxlan_decapsulate(struct __sk_buff *skb, __u8 family)
{
	if (family == FAMILY_V6)
		return !bpf_skb_adjust_room(skb, -VXLAN_OVERHEAD_V6, BPF_ADJ_ROOM_MAC, 0);
	return !bpf_skb_adjust_room(skb, -VXLAN_OVERHEAD, BPF_ADJ_ROOM_MAC, 0);
}

/* Where the tunnel's sender and receiver are, as the driver tells of a packet that it decapsulated. False: it came out of no tunnel. */
struct endpoints {
	struct merino_addr remote;
	struct merino_addr local;
	__u32 vni;
};

static __always_inline int endpoints_of(struct __sk_buff *skb, struct endpoints *endpoints)
{
	struct bpf_tunnel_key key = {};

	if (!bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0)) {
		endpoints->remote = addr_from_v4(bpf_htonl(key.remote_ipv4));
		endpoints->local = addr_from_v4(bpf_htonl(key.local_ipv4));
	} else if (!bpf_skb_get_tunnel_key(skb, &key, sizeof(key), BPF_F_TUNINFO_IPV6)) {
		__builtin_memcpy(endpoints->remote.bytes, key.remote_ipv6, sizeof(endpoints->remote.bytes));
		__builtin_memcpy(endpoints->local.bytes, key.local_ipv6, sizeof(endpoints->local.bytes));
	} else {
		return 0;
	}
	endpoints->vni = key.tunnel_id;
	return 1;
}

#endif
