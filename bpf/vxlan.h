/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* VXLAN (RFC 7348) over IPv4: 50 bytes between the Ethernet header and the pod's IP packet.
 *
 *   | Ethernet | IPv4 20 | UDP 8 | VXLAN 8 | Ethernet 14 | IP packet of the pod |
 *     outer                                  inner: VTEP to VTEP
 */
#ifndef MERINO_VXLAN_H
#define MERINO_VXLAN_H

#include "packet.h"

struct vxlan_hdr {
	__be32 flags;
	__be32 vni;
};

struct vxlan_encap {
	struct iphdr ip;
	struct udphdr udp;
	struct vxlan_hdr vxlan;
	struct ethhdr inner;
} __attribute__((packed));

#define VXLAN_OVERHEAD 50
#define VXLAN_FLAG_VNI 0x08000000
_Static_assert(sizeof(struct vxlan_encap) == VXLAN_OVERHEAD, "what is inserted is what is counted into the MTU");

/* Where the inner frame starts in a frame from the wire. */
#define INNER_OFFSET (ETH_HLEN + __builtin_offsetof(struct vxlan_encap, inner))

#define OUTER_TTL 64
/* RFC 7348, section 5: a source port from the dynamic range, by a hash of the inner headers. */
#define SOURCE_PORT_MIN 49152
#define SOURCE_PORT_BITS 14

static __always_inline __u16 fold(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

static __always_inline __u16 header_checksum(const struct iphdr *ip)
{
	const __u16 *words = (const __u16 *)ip;
	__u32 sum = 0;

#pragma unroll
	for (int i = 0; i < (int)sizeof(*ip) / 2; i++)
		sum += words[i];
	return fold(sum);
}

/* RFC 6040: a congestion mark of the inner header is not copied outward as such, the capability is. */
static __always_inline __u8 outer_tos(__u8 inner_tos)
{
	__u8 ecn = inner_tos & ECN_MASK;

	return ecn == ECN_CE ? 2 : ecn;
}

static __always_inline void fill_encap(struct vxlan_encap *encap, const struct merino_peer *peer, __u32 inner_len, __u8 inner_tos,
				       __u32 hash)
{
	const __u32 len = inner_len + VXLAN_OVERHEAD;

	struct iphdr ip = {
	    .version = 4,
	    .ihl = sizeof(struct iphdr) / 4,
	    .tos = outer_tos(inner_tos),
	    .tot_len = bpf_htons(len),
	    .id = bpf_get_prandom_u32(), /* fragments on the underlay are allowed, as flannel's are (no DF) */
	    .ttl = OUTER_TTL,
	    .protocol = IPPROTO_UDP,
	    .saddr = addr_v4(&merino_config.v4.underlay),
	    .daddr = addr_v4(&peer->underlay),
	};

	ip.check = header_checksum(&ip);
	encap->ip = ip;
	encap->udp = (struct udphdr){
	    .source = bpf_htons(SOURCE_PORT_MIN + ((hash ^ (hash >> 16)) & ((1 << SOURCE_PORT_BITS) - 1))),
	    .dest = merino_config.tunnel_port,
	    .len = bpf_htons(len - sizeof(struct iphdr)),
	    .check = 0, /* BPF cannot fill it for GSO; RFC 7348 and the kernel accept zero over IPv4 */
	};
	encap->vxlan.flags = bpf_htonl(VXLAN_FLAG_VNI);
	encap->vxlan.vni = bpf_htonl(merino_config.vni << 8);
	mac_copy(encap->inner.h_dest, peer->vtep_mac); /* a kernel peer drops frames to another MAC */
	mac_copy(encap->inner.h_source, merino_config.v4.vtep_mac);
	encap->inner.h_proto = bpf_htons(ETH_P_IP);
}

/* Encapsulates the packet (Ethernet, IP) and sends it to the peer by the kernel's route and neighbour. GSO packets stay whole: the device
 * or the kernel cuts them behind the tunnel headers. HELPER, with nothing changed: the packet is encapsulated already (a tunnel in a pod),
 * would not fit into 64 KiB, or memory ran out.
 */
static __always_inline enum merino_reason vxlan_send(struct __sk_buff *skb, const struct flow *flow, const struct merino_peer *peer)
{
	const __u64 flags = BPF_F_ADJ_ROOM_FIXED_GSO | BPF_F_ADJ_ROOM_ENCAP_L3_IPV4 | BPF_F_ADJ_ROOM_ENCAP_L4_UDP |
			    BPF_F_ADJ_ROOM_ENCAP_L2_ETH | BPF_F_ADJ_ROOM_ENCAP_L2(ETH_HLEN) | BPF_F_ADJ_ROOM_NO_CSUM_RESET;
	const __u32 inner_len = skb->len - ETH_HLEN;
	struct vxlan_encap encap;
	void *outer;

	if (inner_len + VXLAN_OVERHEAD > 0xffff)
		return MERINO_HELPER;
	fill_encap(&encap, peer, inner_len, flow->tos, bpf_get_hash_recalc(skb));
	if (bpf_skb_adjust_room(skb, VXLAN_OVERHEAD, BPF_ADJ_ROOM_MAC, flags))
		return MERINO_HELPER;
	outer = packet_at(skb, ETH_HLEN, sizeof(encap));
	if (!outer)
		return MERINO_MALFORMED;
	__builtin_memcpy(outer, &encap, sizeof(encap));
	bpf_redirect_neigh(merino_config.uplink_ifindex, NULL, 0, 0);
	return GO_ON;
}

/* Leaves the encapsulation to the VXLAN driver behind merino0: it can do it to what is encapsulated already. The frame on its way out of
 * merino0 gets the MAC addresses that vxlan_send() would give it.
 */
static __always_inline int vxlan_hand_to_driver(struct __sk_buff *skb, const struct flow *flow, const struct merino_peer *peer)
{
	struct bpf_tunnel_key key = {
	    .tunnel_id = merino_config.vni,
	    .remote_ipv4 = bpf_ntohl(addr_v4(&peer->underlay)),
	    .local_ipv4 = bpf_ntohl(addr_v4(&merino_config.v4.underlay)),
	    .tunnel_tos = outer_tos(flow->tos),
	    .tunnel_ttl = OUTER_TTL,
	};
	struct ethhdr *eth;

	if (bpf_skb_set_tunnel_key(skb, &key, sizeof(key), BPF_F_ZERO_CSUM_TX))
		return 0;
	eth = packet_at(skb, 0, sizeof(*eth));
	if (!eth)
		return 0;
	mac_copy(eth->h_dest, peer->vtep_mac);
	mac_copy(eth->h_source, merino_config.v4.vtep_mac);
	return 1;
}

/* Takes the tunnel headers off: the outer Ethernet header is left standing before the pod's IP packet. The checksum state is reset, so
 * that the pod's stack verifies what only the outer checksum vouched for.
 */
static __always_inline int vxlan_decapsulate(struct __sk_buff *skb)
{
	return !bpf_skb_adjust_room(skb, -VXLAN_OVERHEAD, BPF_ADJ_ROOM_MAC, 0);
}

#endif
