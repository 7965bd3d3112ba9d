// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* wire_xdp: before from_wire on the uplink, where the operator wants it. It drops those tunnel packets that from_wire would drop, by the
 * same rules, before the kernel has made an skb of them; everything else passes, uncounted, to from_wire. An object of its own: the maps
 * are merino.bpf.c's by their pins, the configuration is frozen into both.
 *
 * It sees less than from_wire does. A packet may be an aggregate without a sign of it (generic mode, and veths, hand over what GRO or GSO
 * made): its lengths are those of the whole up to 64 KiB, and what is larger passes. A network card may have taken a VLAN tag out: such a
 * packet is judged as if there were none, which is how from_tunnel judges it when the stack has decapsulated it.
 */
#include "drops.h"
#include "lookup.h"
#include "outer.h"
#include "udp.h"
#include "vxlan.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Of the uplink; the last two bytes mean nothing. What is sent to another MAC address is none of this node's. */
const volatile __u8 uplink_mac[8] SEC(".rodata.config") __attribute__((aligned(8))) = {};

/* The largest packet whose length fits into its header. */
#define LARGEST_PACKET 0xffff

/* `size` bytes at `offset`, or NULL: the frame ends before that, or they are not in its first buffer. In assembly for the reasons that
 * packet_data() has.
 */
static __always_inline void *bytes_at(const struct xdp_md *xdp, __u32 offset, __u32 size)
{
	void *data, *end;

	asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(data) : "r"(xdp), "i"(__builtin_offsetof(struct xdp_md, data)));
	asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(end) : "r"(xdp), "i"(__builtin_offsetof(struct xdp_md, data_end)));
	return data + offset + size <= end ? data + offset : NULL;
}

static __always_inline int find_outer(const struct xdp_md *xdp, struct outer *outer)
{
	const struct ethhdr *eth = bytes_at(xdp, 0, sizeof(*eth));
	const struct outer_v4 *v4;
	const struct outer_v6 *v6;

	if (!merino_config.tunnel_port || !eth || !mac_equal(eth->h_dest, uplink_mac))
		return 0;
	if (eth->h_proto == bpf_htons(ETH_P_IP)) {
		v4 = bytes_at(xdp, ETH_HLEN, sizeof(*v4));
		return v4 && read_outer_v4(v4, outer);
	}
	if (eth->h_proto != bpf_htons(ETH_P_IPV6) || merino_config.tunnel != MERINO_PEER_VXLAN)
		return 0;
	v6 = bytes_at(xdp, ETH_HLEN, sizeof(*v6));
	return v6 && read_outer_v6(v6, outer);
}

/* The packet in the tunnel, at `offset`: has its sender a right to its source? */
static __always_inline enum merino_reason judge_source(const struct xdp_md *xdp, __u32 frame_len, __u32 offset, __be16 protocol,
						       const struct merino_addr *sender)
{
	const __u32 size = protocol == bpf_htons(ETH_P_IPV6) ? sizeof(struct ipv6hdr) : sizeof(struct iphdr);
	const __u32 room = frame_len - offset;
	const struct ipv6hdr *v6;
	const struct iphdr *v4;
	struct flow flow = {};

	if (frame_len < offset + size)
		return MERINO_MALFORMED;
	if (protocol == bpf_htons(ETH_P_IPV6)) {
		v6 = bytes_at(xdp, offset, sizeof(*v6));
		if (!v6)
			return GO_ON;
		if (!read_v6(v6, room, 0, &flow))
			return MERINO_MALFORMED;
	} else {
		v4 = bytes_at(xdp, offset, sizeof(*v4));
		if (!v4)
			return GO_ON;
		if (!read_v4(v4, room, 0, &flow))
			return MERINO_MALFORMED;
	}
	return judge_sender(sender, &flow);
}

static __always_inline enum merino_reason judge_wire_vxlan(const struct xdp_md *xdp, __u32 frame_len, const struct outer *outer)
{
	const struct vxlan_payload *payload = bytes_at(xdp, outer->payload, sizeof(*payload));
	enum merino_reason reason;
	__be16 protocol;

	if (!payload && frame_len >= outer->payload + sizeof(*payload))
		return GO_ON;
	reason = judge_vxlan(payload, frame_len, 0, outer);
	if (reason != GO_ON)
		return reason;
	protocol = payload->inner.h_proto;
	if (!is_ip(protocol))
		return lookup_node(&outer->sender) ? GO_ON : MERINO_UNKNOWN_SENDER;
	return judge_source(xdp, frame_len, outer->payload + sizeof(*payload), protocol, &outer->sender);
}

static __always_inline enum merino_reason judge_wire_udp(const struct xdp_md *xdp, __u32 frame_len, const struct outer *outer)
{
	const struct iphdr *inner = bytes_at(xdp, outer->payload, sizeof(*inner));
	enum merino_reason reason;

	if (!inner && frame_len >= outer->payload + sizeof(*inner))
		return GO_ON;
	reason = judge_udp(inner, frame_len, 0, outer);
	if (reason != GO_ON)
		return reason;
	return judge_source(xdp, frame_len, outer->payload, bpf_htons(ETH_P_IP), &outer->sender);
}

static __always_inline enum merino_reason judge_wire(const struct xdp_md *xdp, __u32 frame_len)
{
	struct outer outer = {};

	if (frame_len > ETH_HLEN + LARGEST_PACKET || !find_outer(xdp, &outer))
		return GO_ON;
	return merino_config.tunnel == MERINO_PEER_UDP ? judge_wire_udp(xdp, frame_len, &outer) : judge_wire_vxlan(xdp, frame_len, &outer);
}

static __always_inline int is_drop(enum merino_reason reason)
{
	enum { FAST, STACK, DROP };

	switch (reason) {
#define X(name, action, meaning, remedy)                                                                                                   \
	case MERINO_##name:                                                                                                                \
		return action == DROP;
		MERINO_REASONS(X)
#undef X
	default:
		return 0;
	}
}

static __noinline int remember(struct xdp_md *xdp, __u32 frame_len, __u32 reason)
{
	const __u64 now = bpf_ktime_get_ns();
	struct merino_drop *drop = drop_to_write(reason, now);
	const __u64 captured = captured_len(frame_len, sizeof(drop->frame));

	if (!drop)
		return 0;
	describe(&drop->seen, xdp->ingress_ifindex, frame_len, MERINO_WIRE_XDP, reason, now);
	drop->seen.captured = bpf_xdp_load_bytes(xdp, 0, drop->frame, captured) ? 0 : captured;
	return 0;
}

static __always_inline int refuse(struct xdp_md *xdp, __u32 frame_len, __u32 reason)
{
	struct merino_counter *counter = bpf_map_lookup_elem(&counters, &reason);

	if (counter) {
		counter->packets++;
		counter->bytes += frame_len;
	}
	remember(xdp, frame_len, reason);
	return XDP_DROP;
}

/* In native mode it is loaded as one that takes packets of several buffers (datapath/wire_xdp.cpp). */
SEC("xdp")
int wire_xdp(struct xdp_md *xdp)
{
	const __u32 frame_len = bpf_xdp_get_buff_len(xdp);
	const enum merino_reason reason = judge_wire(xdp, frame_len);

	return is_drop(reason) ? refuse(xdp, frame_len, reason) : XDP_PASS;
}
