/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* IPv6 neighbour discovery from pods (RFC 4861), as arp.h is for IPv4: who asks for the gateway is answered, who claims what is not its own
 * is refused. A pod never plays the router: where the host side is a bridge's port, the bridge would carry that to the other pods.
 *
 * All of its messages have the hop limit 255, and no kernel takes those that have another, or come in fragments (RFC 6980).
 */
#ifndef MERINO_NDP_H
#define MERINO_NDP_H

#include "lookup.h"
#include "outer.h"

#define NDP_HOP_LIMIT 255
#define NDP_ROUTER_ADVERTISEMENT 134
#define NDP_NEIGHBOUR_SOLICITATION 135
#define NDP_NEIGHBOUR_ADVERTISEMENT 136
#define NDP_REDIRECT 137
#define NDP_TARGET_MAC 2		       /* the option's type */
#define NDP_ANSWER_FLAGS bpf_htonl(0xe0000000) /* of a router, solicited, override */

struct ndp_message {
	__u8 type;
	__u8 code;
	__be16 check;
	__be32 flags;
	struct merino_addr target;
} __attribute__((packed));

/* A neighbour advertisement with the one option that says the MAC. */
struct ndp_answer {
	struct ethhdr eth;
	struct ipv6hdr ip;
	struct ndp_message message;
	__u8 option;
	__u8 option_len; /* in units of 8 bytes */
	__u8 mac[MERINO_ETH_ALEN];
} __attribute__((packed));

#define NDP_MESSAGE_OFFSET (ETH_HLEN + sizeof(struct ipv6hdr))
#define NDP_ANSWER_PAYLOAD (sizeof(struct ndp_answer) - NDP_MESSAGE_OFFSET)

static __always_inline int is_ndp_hop_limit(const struct flow *flow)
{
	return flow->family == FAMILY_V6 && flow->ttl == NDP_HOP_LIMIT && (flow->options || flow->protocol == IPPROTO_ICMPV6);
}

/* Over the pseudo header (both addresses, length, protocol) and the message; the addresses lie right before the message. */
static __always_inline __u16 ndp_checksum(const struct ndp_answer *answer)
{
	const __u16 *words = (const __u16 *)((const __u8 *)answer + ETH_HLEN + __builtin_offsetof(struct ipv6hdr, saddr));
	__u32 sum = bpf_htons(NDP_ANSWER_PAYLOAD) + bpf_htons(IPPROTO_ICMPV6);

#pragma unroll
	for (int i = 0; i < (int)(2 * sizeof(struct merino_addr) + NDP_ANSWER_PAYLOAD) / 2; i++)
		sum += words[i];
	return fold(sum);
}

/* Turns the question of `asker` into the answer that `target` has `host_mac`. */
static __always_inline enum merino_reason answer_ndp(struct __sk_buff *skb, const struct merino_addr *asker,
						     const struct merino_addr *target, const void *pod_mac, const void *host_mac)
{
	struct ndp_answer *answer;

	if (bpf_skb_change_tail(skb, sizeof(*answer), 0))
		return MERINO_HELPER;
	answer = packet_at(skb, 0, sizeof(*answer));
	if (!answer)
		return MERINO_MALFORMED;
	mac_copy(answer->eth.h_dest, pod_mac);
	mac_copy(answer->eth.h_source, host_mac);
	answer->ip.priority = 0;
	__builtin_memset(answer->ip.flow_lbl, 0, sizeof(answer->ip.flow_lbl));
	answer->ip.payload_len = bpf_htons(NDP_ANSWER_PAYLOAD);
	__builtin_memcpy(&answer->ip.saddr, target->bytes, sizeof(target->bytes));
	__builtin_memcpy(&answer->ip.daddr, asker->bytes, sizeof(asker->bytes));
	answer->message.type = NDP_NEIGHBOUR_ADVERTISEMENT;
	answer->message.code = 0;
	answer->message.check = 0;
	answer->message.flags = NDP_ANSWER_FLAGS;
	answer->option = NDP_TARGET_MAC;
	answer->option_len = 1;
	mac_copy(answer->mac, host_mac);
	answer->message.check = ndp_checksum(answer);
	bpf_redirect(interface_of(skb), 0);
	return MERINO_ARP_REPLY;
}

static __always_inline int is_pod_here(struct __sk_buff *skb, const struct merino_pod *pod, const void *mac)
{
	return pod && pod->ifindex == interface_of(skb) && mac_equal(mac, pod->pod_mac);
}

/* A packet from a pod with the hop limit of neighbour discovery. GO_ON: nothing to say against it, and nothing to answer. */
static __always_inline enum merino_reason judge_ndp(struct __sk_buff *skb, const struct flow *flow)
{
	const struct ndp_message *message;
	struct merino_addr target;
	const struct merino_pod *pod;
	const struct ethhdr *eth;
	__u8 mac[MERINO_ETH_ALEN], host_mac[MERINO_ETH_ALEN];
	__u8 type;

	if (flow->fragment)
		return GO_ON;
	if (flow->options)
		return MERINO_ROGUE_ROUTER;
	message = packet_at(skb, NDP_MESSAGE_OFFSET, sizeof(*message));
	if (!message) {
		const __u8 *first = packet_at(skb, NDP_MESSAGE_OFFSET, 1);

		return first && (*first < NDP_ROUTER_ADVERTISEMENT || *first > NDP_REDIRECT) ? GO_ON : MERINO_MALFORMED;
	}
	type = message->type;
	target = message->target;
	if (type == NDP_ROUTER_ADVERTISEMENT || type == NDP_REDIRECT)
		return MERINO_ROGUE_ROUTER;
	if (type != NDP_NEIGHBOUR_SOLICITATION && type != NDP_NEIGHBOUR_ADVERTISEMENT)
		return GO_ON;
	eth = packet_at(skb, 0, sizeof(*eth));
	if (!eth)
		return MERINO_MALFORMED;
	mac_copy(mac, eth->h_source);
	mac_copy(host_mac, eth->h_dest);

	if (type == NDP_NEIGHBOUR_ADVERTISEMENT)
		return is_link_local(&target) || is_pod_here(skb, lookup_pod(&target), mac) ? GO_ON : MERINO_SPOOFED_ARP;
	if (is_unspecified(&flow->src)) /* duplicate address detection: claims nothing */
		return GO_ON;
	if (is_link_local(&flow->src)) {
		/* The kernel probes from its link-local address whether a neighbour is still there: at the MAC that it knows, which is
		 * ours. */
		if (skb->vlan_present || skb->pkt_type != PACKET_HOST || !is_in_network(target, FAMILY_V6))
			return GO_ON;
		return answer_ndp(skb, &flow->src, &target, mac, host_mac);
	}
	pod = lookup_pod(&flow->src);
	if (!is_pod_here(skb, pod, mac))
		return MERINO_SPOOFED_ARP;
	if (skb->vlan_present || !addr_equal(&target, &pod->gateway))
		return GO_ON;
	mac_copy(host_mac, pod->host_mac);
	return answer_ndp(skb, &flow->src, &target, mac, host_mac);
}

#endif
