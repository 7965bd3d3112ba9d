/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Without a tunnel: to and from nodes on the uplink's own segment. */
#ifndef MERINO_DIRECT_H
#define MERINO_DIRECT_H

#include "lookup.h"
#include "verdict.h"

#define VLAN_ID_MASK 0x0fff

static __always_inline int is_direct(const struct merino_peer *peer)
{
	return peer->kind == MERINO_PEER_DIRECT;
}

static __always_inline int is_neighbour_known(const struct merino_peer *peer)
{
	const volatile __u16 *mac = (const volatile __u16 *)peer->vtep_mac;

	return (mac[0] | mac[1] | mac[2]) != 0;
}

/* The packet (Ethernet, IP) leaves by the uplink as it is; the kernel finds the neighbour and writes the MAC addresses. */
static __always_inline int direct_send(const struct merino_peer *peer)
{
	struct bpf_redir_neigh next_hop = {};

	if (is_v4(&peer->underlay)) {
		next_hop.nh_family = INET_FAMILY;
		next_hop.ipv4_nh = addr_v4(&peer->underlay);
	} else {
		next_hop.nh_family = INET6_FAMILY;
		__builtin_memcpy(next_hop.ipv6_nh, peer->underlay.bytes, sizeof(next_hop.ipv6_nh));
	}
	return bpf_redirect_neigh(merino_config.uplink_ifindex, &next_hop, sizeof(next_hop), 0) == ACTION_FAST;
}

/* Is this a packet for the pod network that the stack would take, without a tunnel? Everything else on the uplink ends here, before any
 * look-up. Tags of VLAN 0 are no obstacle to the stack, so they are none to the judgement; two of them hide the packet from it.
 */
static __always_inline enum merino_reason judge_plain(struct __sk_buff *skb)
{
	const struct ipv6hdr *ip6;
	const struct iphdr *ip;
	struct merino_addr dst;
	const __be16 *tag;

	if (skb->pkt_type != PACKET_HOST || (skb->vlan_present && skb->vlan_tci & VLAN_ID_MASK))
		return MERINO_NOT_TUNNEL;
	if (skb->vlan_present && (skb->protocol == bpf_htons(ETH_P_8021Q) || skb->protocol == bpf_htons(ETH_P_8021AD))) {
		tag = packet_at(skb, ETH_HLEN, sizeof(*tag));
		return tag && *tag & bpf_htons(VLAN_ID_MASK) ? MERINO_NOT_TUNNEL : MERINO_FORGED;
	}
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		ip = packet_at(skb, ETH_HLEN, sizeof(*ip));
		return ip && is_in_network(addr_from_v4(ip->daddr), FAMILY_V4) ? GO_ON : MERINO_NOT_TUNNEL;
	}
	if (skb->protocol != bpf_htons(ETH_P_IPV6))
		return MERINO_NOT_TUNNEL;
	ip6 = packet_at(skb, ETH_HLEN, sizeof(*ip6));
	if (!ip6)
		return MERINO_NOT_TUNNEL;
	__builtin_memcpy(dst.bytes, &ip6->daddr, sizeof(dst.bytes));
	return is_in_network(dst, FAMILY_V6) ? GO_ON : MERINO_NOT_TUNNEL;
}

/* A peer's pods are behind its own network card, and nobody else's frames carry their addresses. */
static __always_inline enum merino_reason judge_neighbour(struct __sk_buff *skb, const struct flow *flow)
{
	const struct ethhdr *eth;
	struct merino_peer peer = {};

	if (!lookup_peer(&flow->src, flow->family, &peer) || !is_direct(&peer))
		return MERINO_PLAIN;
	if (!is_neighbour_known(&peer))
		return MERINO_NEIGHBOUR;
	eth = packet_at(skb, 0, sizeof(*eth));
	return eth && mac_equal(eth->h_source, peer.vtep_mac) ? GO_ON : MERINO_WRONG_NEIGHBOUR;
}

#endif
