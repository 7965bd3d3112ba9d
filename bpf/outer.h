/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the tunnels have in common: IP and UDP of the underlay.
 *
 *   | Ethernet | IPv4 20 or IPv6 40 | UDP 8 | …
 */
#ifndef MERINO_OUTER_H
#define MERINO_OUTER_H

#include "packet.h"

struct outer_v4 {
	struct iphdr ip;
	struct udphdr udp;
};

struct outer_v6 {
	struct ipv6hdr ip;
	struct udphdr udp;
};

/* AF_INET and AF_INET6, without the C library's headers. */
#define INET_FAMILY 2
#define INET6_FAMILY 10

#define OUTER_TTL 64
/* RFC 7348, section 5: a source port from the dynamic range, by a hash of the inner headers. */
#define SOURCE_PORT_MIN 49152
#define SOURCE_PORT_BITS 14

/* The outer headers of a tunnel packet from the wire. */
struct outer {
	struct merino_addr sender;
	__u32 len;     /* of the IP packet, as its header says */
	__u32 payload; /* where the frame has what is behind the UDP header */
	__u16 udp_len; /* as its header says */
	__u8 family;
	__u8 tos;
};

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

/* Of a packet of `len` bytes, these headers included, to the peer over IPv4. */
static __always_inline void fill_outer(struct outer_v4 *outer, const struct merino_peer *peer, __u32 len, __u8 inner_tos, __u32 hash)
{
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
	outer->ip = ip;
	outer->udp = (struct udphdr){
	    .source = bpf_htons(SOURCE_PORT_MIN + ((hash ^ (hash >> 16)) & ((1 << SOURCE_PORT_BITS) - 1))),
	    .dest = merino_config.tunnel_port,
	    .len = bpf_htons(len - sizeof(struct iphdr)),
	    .check = 0, /* BPF cannot fill it for GSO; RFC 7348 and the kernel accept zero over IPv4 */
	};
}

/* Is the peer's address on the uplink's own segment, by the node's routes? */
static __always_inline int is_on_link(const struct merino_peer *peer)
{
	const __u32 len = merino_config.v4.on_link_len;
	const __be32 difference = addr_v4(&peer->underlay) ^ addr_v4(&merino_config.v4.underlay);

	return len > V4_MAPPED_BITS && !(difference & bpf_htonl(~0U << (V4_MAPPED_BITS + 32 - len)));
}

/* Takes the route off that the stack found for the packet. A packet that waits for its neighbour's MAC address is sent by its route when
 * that is known (neigh_update(), net/core/neighbour.c), not by the neighbour that it waited for: it would be lost. There is no helper for
 * this alone; a tunnel key takes the route's place, and on an uplink nobody reads it. False: out of memory.
 */
static __always_inline int forget_route(struct __sk_buff *skb)
{
	struct bpf_tunnel_key none = {};

	return !bpf_skb_set_tunnel_key(skb, &none, sizeof(none), 0);
}

/* Sends what has its outer headers (IPv4) to the peer. The kernel's neighbour table has the MAC addresses. Its routes are asked only where
 * the peer is behind a router: that costs some 200 ns a packet.
 */
static __always_inline void send_outer(const struct merino_peer *peer)
{
	struct bpf_redir_neigh neighbour = {.nh_family = INET_FAMILY, .ipv4_nh = addr_v4(&peer->underlay)};

	if (is_on_link(peer))
		bpf_redirect_neigh(merino_config.uplink_ifindex, &neighbour, sizeof(neighbour), 0);
	else
		bpf_redirect_neigh(merino_config.uplink_ifindex, NULL, 0, 0);
}

/* Are these, behind the Ethernet header, those of a tunnel packet to this node? */
static __always_inline int read_outer_v4(const struct outer_v4 *headers, struct outer *outer)
{
	if (headers->ip.version != 4 || headers->ip.ihl != sizeof(headers->ip) / 4 || headers->ip.protocol != IPPROTO_UDP ||
	    headers->ip.daddr != addr_v4(&merino_config.v4.underlay) || headers->ip.frag_off & bpf_htons(IP_FRAGMENT_MASK) ||
	    headers->udp.dest != merino_config.tunnel_port)
		return 0;
	outer->sender = addr_from_v4(headers->ip.saddr);
	outer->len = bpf_ntohs(headers->ip.tot_len);
	outer->payload = ETH_HLEN + sizeof(*headers);
	outer->udp_len = bpf_ntohs(headers->udp.len);
	outer->family = FAMILY_V4;
	outer->tos = headers->ip.tos;
	return 1;
}

/* A stock kernel refuses the checksum zero over IPv6 (RFC 8200, 8.1): the stack decides. */
static __always_inline int read_outer_v6(const struct outer_v6 *headers, struct outer *outer)
{
	if (headers->ip.version != 6 || headers->ip.nexthdr != IPPROTO_UDP || headers->udp.dest != merino_config.tunnel_port ||
	    !headers->udp.check || !addr_equal((const struct merino_addr *)&headers->ip.daddr, &merino_config.v6.underlay))
		return 0;
	__builtin_memcpy(outer->sender.bytes, &headers->ip.saddr, sizeof(outer->sender.bytes));
	outer->len = sizeof(headers->ip) + bpf_ntohs(headers->ip.payload_len);
	outer->payload = ETH_HLEN + sizeof(*headers);
	outer->udp_len = bpf_ntohs(headers->udp.len);
	outer->family = FAMILY_V6;
	outer->tos = headers->ip.priority << 4 | headers->ip.flow_lbl[0] >> 4;
	return 1;
}

/* Is this a tunnel packet to this node? False: something else, or one that the stack has to put together first. */
static __always_inline int parse_outer(struct __sk_buff *skb, struct outer *outer)
{
	const struct outer_v4 *v4;
	const struct outer_v6 *v6;

	if (!merino_config.tunnel_port || skb->vlan_present || skb->pkt_type != PACKET_HOST)
		return 0;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		v4 = packet_at(skb, ETH_HLEN, sizeof(*v4));
		return v4 && read_outer_v4(v4, outer);
	}
	if (skb->protocol != bpf_htons(ETH_P_IPV6) || merino_config.tunnel != MERINO_PEER_VXLAN)
		return 0;
	v6 = packet_at(skb, ETH_HLEN, sizeof(*v6));
	return v6 && read_outer_v6(v6, outer);
}

/* Do the outer headers say how long the packet is, `inner` bytes behind them at the least? Those of an aggregate need not. */
static __always_inline enum merino_reason judge_outer_len(__u32 frame_len, __u32 gso_size, const struct outer *outer, __u32 inner)
{
	const __u32 room = frame_len - ETH_HLEN;
	const __u32 headers = outer->payload - ETH_HLEN;

	if (gso_size)
		return GO_ON;
	if (outer->len < headers + inner || outer->len > room)
		return MERINO_MALFORMED;
	/* The stack cuts off what lies behind the packet; here it would be taken for a part of the inner one. */
	return outer->len == room && outer->udp_len == outer->len - headers + sizeof(struct udphdr) ? GO_ON : MERINO_NOT_TUNNEL;
}

#endif
