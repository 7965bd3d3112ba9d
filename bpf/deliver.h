/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Into a pod of this node. */
#ifndef MERINO_DELIVER_H
#define MERINO_DELIVER_H

#include "lookup.h"

/* The packet lies at the usual place (Ethernet, then IP); the caller has judged it and does not touch it afterwards. bpf_redirect_peer
 * skips the host side of the veth and the backlog queue, and with them the qdisc and the taps there.
 * False: out of memory while making the headers writable; nothing was changed.
 */
static __always_inline int deliver(struct __sk_buff *skb, const struct merino_pod *pod, __u8 family)
{
	struct ethhdr *eth;

	if (!count_hop(skb, ETH_HLEN, family))
		return 0;
	eth = packet_at(skb, 0, sizeof(*eth));
	if (!eth)
		return 0;
	mac_copy(eth->h_dest, pod->pod_mac);
	mac_copy(eth->h_source, pod->host_mac);
	if (pod->delivery == MERINO_DELIVER_PEER)
		bpf_redirect_peer(pod->ifindex, 0);
	else
		bpf_redirect(pod->ifindex, 0);
	return 1;
}

#endif
