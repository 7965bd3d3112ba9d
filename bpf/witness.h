/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Single packets, for people: the last one that was dropped for each reason, and those that somebody watches (merinoctl drops, trace).
 * While nobody watches, a packet that is not dropped pays one look into an array: a nanosecond or two.
 */
#ifndef MERINO_WITNESS_H
#define MERINO_WITNESS_H

#include "drops.h"
#include "outer.h"
#include "packet.h"
#include "vxlan.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct merino_trace_filter);
} trace_filter SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, MERINO_TRACE_RING);
} trace SEC(".maps");

static __always_inline struct merino_trace_filter *watcher(void)
{
	__u32 zero = 0;
	struct merino_trace_filter *filter = bpf_map_lookup_elem(&trace_filter, &zero);

	return filter && filter->until_ns ? filter : NULL;
}

static __always_inline int fits_address(const struct merino_trace_filter *filter, const struct merino_addr *addr)
{
	return addr_equal(addr, &filter->addresses[0]) ||
	       (!is_unspecified(&filter->addresses[1]) && addr_equal(addr, &filter->addresses[1]));
}

static __always_inline int fits(const struct merino_trace_filter *filter, const struct flow *flow, const struct merino_addr *sender)
{
	if (filter->protocol && flow->protocol != filter->protocol)
		return 0;
	if (filter->port && (!flow->ports || (flow->sport != filter->port && flow->dport != filter->port)))
		return 0;
	return is_unspecified(&filter->addresses[0]) || fits_address(filter, &flow->src) || fits_address(filter, &flow->dst) ||
	       fits_address(filter, sender);
}

/* The packet in a tunnel, if this is one; else the packet itself. */
static __always_inline int parse_innermost(struct __sk_buff *skb, int on_wire, struct flow *flow, struct merino_addr *sender)
{
	__be16 protocol = skb->protocol;
	const struct ethhdr *inner;
	__u32 offset = ETH_HLEN;
	struct outer outer = {};

	if (on_wire && parse_outer(skb, &outer)) {
		*sender = outer.sender;
		offset = outer.payload;
		protocol = bpf_htons(ETH_P_IP);
		if (merino_config.tunnel == MERINO_PEER_VXLAN) {
			offset += sizeof(struct vxlan_hdr);
			inner = packet_at(skb, offset, sizeof(*inner));
			if (!inner)
				return 0;
			protocol = inner->h_proto;
			offset += sizeof(*inner);
		}
	}
	return is_ip(protocol) && parse_ip(skb, offset, protocol, flow);
}

/* Before the packet is judged, which may change it: is it one that is watched for? A watcher whose time is over is forgotten. */
static __noinline int is_watched(struct __sk_buff *skb, int on_wire)
{
	struct merino_trace_filter *filter = watcher();
	struct merino_addr sender = {};
	struct flow flow = {};

	if (!filter)
		return 0;
	if (bpf_ktime_get_ns() > filter->until_ns) {
		filter->until_ns = 0;
		return 0;
	}
	if (!filter->protocol && !filter->port && is_unspecified(&filter->addresses[0]))
		return 1;
	return parse_innermost(skb, on_wire, &flow, &sender) && fits(filter, &flow, &sender);
}

/* The beginning of the frame as it is now; how much of it. */
static __always_inline __u32 copy_frame(const struct __sk_buff *skb, __u8 *to, __u32 room)
{
	const __u64 len = captured_len(skb->len, room);

	return bpf_skb_load_bytes(skb, 0, to, len) ? 0 : len;
}

static __noinline int report(struct __sk_buff *skb, __u32 program, __u32 reason)
{
	struct merino_trace_filter *filter = watcher();
	struct merino_trace_event *event;

	if (!filter || (filter->reasons && !(filter->reasons >> (reason & 63) & 1)))
		return 0;
	event = bpf_ringbuf_reserve(&trace, sizeof(*event), 0);
	if (!event) {
		__sync_fetch_and_add(&filter->lost, 1);
		return 0;
	}
	describe(&event->seen, skb->ifindex, skb->len, program, reason, bpf_ktime_get_ns());
	event->seen.captured = copy_frame(skb, event->frame, sizeof(event->frame));
	bpf_ringbuf_submit(event, 0);
	return 0;
}

static __noinline int remember_drop(struct __sk_buff *skb, __u32 program, __u32 reason)
{
	const __u64 now = bpf_ktime_get_ns();
	struct merino_drop *drop = drop_to_write(reason, now);

	if (!drop)
		return 0;
	describe(&drop->seen, skb->ifindex, skb->len, program, reason, now);
	drop->seen.captured = copy_frame(skb, drop->frame, sizeof(drop->frame));
	return 0;
}

#endif
