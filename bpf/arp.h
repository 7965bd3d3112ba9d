/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* ARP from pods. They have a permanent neighbour entry for their gateway; a pod that lost it is answered here. */
#ifndef MERINO_ARP_H
#define MERINO_ARP_H

#include "lookup.h"

/* Of <linux/if_arp.h>, which would draw in the C library's headers for a 32-bit target. */
#define ARPHRD_ETHER 1
#define ARPHRD_IEEE802 6
#define ARPOP_REQUEST 1
#define ARPOP_REPLY 2

/* Ethernet and IPv4 (RFC 826). */
struct arp_packet {
	struct ethhdr eth;
	__be16 hardware;
	__be16 protocol;
	__u8 hardware_len;
	__u8 protocol_len;
	__be16 operation;
	__u8 sender_mac[MERINO_ETH_ALEN];
	__u8 sender_ip[4];
	__u8 target_mac[MERINO_ETH_ALEN];
	__u8 target_ip[4];
} __attribute__((packed));

static __always_inline __be32 arp_ip(const __u8 *bytes)
{
	__be32 ip;

	__builtin_memcpy(&ip, bytes, sizeof(ip));
	return ip;
}

static __always_inline enum merino_reason answer_arp(struct __sk_buff *skb)
{
	struct arp_packet *arp = packet_at(skb, 0, sizeof(*arp));
	struct merino_addr sender, target;
	const struct merino_pod *pod;

	if (!arp)
		return MERINO_MALFORMED;
	/* The kernel takes both types of hardware on Ethernet devices (arp_process). */
	if ((arp->hardware != bpf_htons(ARPHRD_ETHER) && arp->hardware != bpf_htons(ARPHRD_IEEE802)) ||
	    arp->protocol != bpf_htons(ETH_P_IP) || arp->hardware_len != MERINO_ETH_ALEN || arp->protocol_len != 4)
		return MERINO_NOT_IP;
	if (!arp_ip(arp->sender_ip)) /* a probe (RFC 5227): claims nothing */
		return MERINO_NOT_IP;

	sender = addr_from_v4(arp_ip(arp->sender_ip));
	target = addr_from_v4(arp_ip(arp->target_ip));
	pod = lookup_pod(&sender);
	if (!pod || pod->ifindex != skb->ifindex || !mac_equal(arp->sender_mac, pod->pod_mac) ||
	    !mac_equal(arp->eth.h_source, pod->pod_mac))
		return MERINO_SPOOFED_ARP;
	if (skb->vlan_present || arp->operation != bpf_htons(ARPOP_REQUEST) || !addr_equal(&target, &pod->gateway))
		return MERINO_NOT_IP;

	arp->operation = bpf_htons(ARPOP_REPLY);
	mac_copy(arp->target_mac, arp->sender_mac);
	mac_copy(arp->sender_mac, pod->host_mac);
	__builtin_memcpy(arp->target_ip, &sender.bytes[12], 4);
	__builtin_memcpy(arp->sender_ip, &target.bytes[12], 4);
	mac_copy(arp->eth.h_dest, pod->pod_mac);
	mac_copy(arp->eth.h_source, pod->host_mac);
	bpf_redirect(skb->ifindex, 0);
	return MERINO_ARP_REPLY;
}

#endif
