// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* merino's programs. Each is parse → judge → look up → act, gives a packet one reason and counts it once; a miss or a doubt goes to the
 * stack, which has working routes for everything.
 *
 *   from_pod     ingress of the host side of every pod's veth; where that is a port of flannel's bridge, before the bridge sees the packet
 *   from_wire    ingress of the uplink
 *   from_tunnel  ingress of merino0: what the VXLAN driver decapsulated, because from_wire left it to the stack
 *   from_host    egress of merino0: what the host's stack routes to the pod network
 *
 * wire_xdp (wire_xdp.bpf.c) is before from_wire where the operator wants it.
 */
#include "arp.h"
#include "conntrack.h"
#include "deliver.h"
#include "direct.h"
#include "lookup.h"
#include "ndp.h"
#include "packet.h"
#include "udp.h"
#include "verdict.h"
#include "vxlan.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* May the stack be bypassed at all? */
static __always_inline enum merino_reason judge_shape(const struct flow *flow)
{
	if (!merino_config.fast_path)
		return MERINO_FAST_PATH_OFF;
	if (flow->options)
		return MERINO_IP_OPTIONS;
	if (flow->fragment)
		return MERINO_FRAGMENT;
	if (!flow->ports)
		return MERINO_PROTOCOL;
	if (flow->ttl <= 1)
		return MERINO_TTL;
	return GO_ON;
}

/* Both directions of such a pod's flows take the stack: its conntrack sees them whole. */
static __always_inline int is_by_stack(const struct merino_pod *pod)
{
	return pod && pod->delivery == MERINO_DELIVER_STACK;
}

static __always_inline int is_vlan_tagged(const struct __sk_buff *skb)
{
	return skb->vlan_present;
}

/* The stack takes tags of VLAN 0 off, however many there are, and goes on as if there were none. So the packet behind one tag is judged
 * like any other before the stack gets it; behind a second one (in the frame, the first is in the skb) it cannot be.
 */
static __always_inline int hides_behind_tags(const struct __sk_buff *skb)
{
	return is_vlan_tagged(skb) && (skb->protocol == bpf_htons(ETH_P_8021Q) || skb->protocol == bpf_htons(ETH_P_8021AD));
}

/* A pod that reached a node's tunnel port would have its packets taken for those of its own node: they leave it masqueraded. What hides its
 * ports behind IPv6 extension headers may be meant for it.
 */
static __always_inline int is_to_tunnel_port(const struct flow *flow)
{
	const int is_hidden = flow->family == FAMILY_V6 && flow->options;

	if (!merino_config.tunnel_port)
		return 0;
	if (!is_hidden && (!flow->ports || flow->protocol != IPPROTO_UDP ||
			   (flow->dport != merino_config.tunnel_port && flow->dport != merino_config.device_port)))
		return 0;
	return addr_equal(&flow->dst, &own(flow->family)->underlay) || lookup_node(&flow->dst);
}

static __always_inline enum merino_reason send_to_peer(struct __sk_buff *skb, const struct flow *flow, const struct merino_peer *peer)
{
	enum merino_reason reason;

	if (wire_len(skb, ETH_HLEN, flow) > merino_config.pod_mtu)
		return MERINO_MTU;
	/* The answers could not be told from forgeries and go through the stack, so the flow must as a whole. */
	if (is_direct(peer) && !is_neighbour_known(peer))
		return MERINO_NEIGHBOUR;
	if (is_translated(skb, flow))
		return MERINO_TRANSLATED;
	if (is_direct(peer))
		return direct_send(peer) && count_hop(skb, ETH_HLEN, flow->family) ? MERINO_DIRECT : MERINO_HELPER;
	if (is_udp(peer)) {
		reason = udp_send(skb, flow, peer);
		if (reason == GO_ON)
			count_hop(skb, ETH_HLEN + UDP_OVERHEAD, FAMILY_V4);
	} else if (needs_driver(flow, peer)) {
		if (!count_hop(skb, ETH_HLEN, flow->family))
			return MERINO_HELPER;
		bpf_redirect(merino_config.device_ifindex, 0); /* to from_host */
		return MERINO_ENCAP_DRIVER;
	} else {
		reason = vxlan_send(skb, flow, peer);
		if (reason == GO_ON)
			count_hop(skb, ETH_HLEN + VXLAN_OVERHEAD, FAMILY_V4);
	}
	return reason == GO_ON ? MERINO_ENCAP : reason;
}

/* Is the source the pod's own? IPv6 hosts also speak from their link-local address, and from none at first: not to leave the link. */
static __always_inline enum merino_reason judge_source(struct __sk_buff *skb, const struct flow *flow, const struct merino_pod **pod)
{
	const struct ethhdr *eth;
	enum merino_reason reason;

	if (is_ndp_hop_limit(flow)) {
		reason = judge_ndp(skb, flow);
		if (reason != GO_ON)
			return reason;
	}
	if (flow->family == FAMILY_V6 && (is_link_local(&flow->src) || is_unspecified(&flow->src)))
		return is_to_tunnel_port(flow) ? MERINO_TUNNEL_PORT : MERINO_LINK_LOCAL;
	*pod = lookup_pod(&flow->src);
	eth = packet_at(skb, 0, sizeof(*eth));
	return eth && is_pod_here(skb, *pod, eth->h_source) ? GO_ON : MERINO_SPOOFED;
}

static __always_inline enum merino_reason judge_from_pod(struct __sk_buff *skb)
{
	const struct merino_pod *pod = NULL, *target;
	struct merino_peer peer = {};
	const struct ethhdr *eth;
	struct flow flow = {};
	enum merino_reason reason;

	if (hides_behind_tags(skb))
		return MERINO_SPOOFED;
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return answer_arp(skb);
	if (!is_ip(skb->protocol) || !own(skb->protocol == bpf_htons(ETH_P_IPV6) ? FAMILY_V6 : FAMILY_V4)->network_len)
		return MERINO_NOT_IP;
	if (!parse_ip(skb, ETH_HLEN, skb->protocol, &flow))
		return MERINO_MALFORMED;

	reason = judge_source(skb, &flow, &pod);
	if (reason != GO_ON)
		return reason;
	if (is_to_tunnel_port(&flow))
		return MERINO_TUNNEL_PORT;
	if (is_vlan_tagged(skb))
		return MERINO_NOT_IP;
	/* Addressed to the interface, or, where that is a bridge's port, to the bridge: the pod's gateway in both cases. */
	eth = packet_at(skb, 0, sizeof(*eth));
	if (skb->pkt_type != PACKET_HOST && !(eth && pod && mac_equal(eth->h_dest, pod->host_mac)))
		return MERINO_NOT_FOR_US;

	reason = judge_shape(&flow);
	if (reason != GO_ON)
		return reason;
	target = lookup_pod(&flow.dst);
	if (is_by_stack(pod) || is_by_stack(target))
		return MERINO_BY_STACK;
	if (target) {
		if (is_translated(skb, &flow))
			return MERINO_TRANSLATED;
		return deliver(skb, target, flow.family) ? MERINO_LOCAL : MERINO_HELPER;
	}
	if (lookup_peer(&flow.dst, flow.family, &peer))
		return send_to_peer(skb, &flow, &peer);
	return MERINO_NO_ROUTE;
}

/* A packet from the tunnel that has its sender's right: to a pod? */
static __always_inline enum merino_reason judge_target(const struct flow *flow, const struct merino_pod **pod)
{
	const enum merino_reason reason = judge_shape(flow);

	if (reason != GO_ON)
		return reason;
	*pod = lookup_pod(&flow->dst);
	if (!*pod)
		return MERINO_NOT_POD;
	return is_by_stack(*pod) ? MERINO_BY_STACK : GO_ON;
}

/* The frame that came out of the tunnel, whoever took it off: it is at `offset`, the sender is at `underlay`. */
static __always_inline enum merino_reason judge_inner(struct __sk_buff *skb, __u32 offset, const struct merino_addr *underlay,
						      struct flow *flow, const struct merino_pod **pod)
{
	const struct ethhdr *inner = packet_at(skb, offset, sizeof(*inner));
	int addressed_to_us;
	enum merino_reason reason;
	__be16 protocol;

	if (!inner)
		return MERINO_MALFORMED;
	addressed_to_us = mac_equal(inner->h_dest, own(is_v4(underlay) ? FAMILY_V4 : FAMILY_V6)->vtep_mac);
	protocol = inner->h_proto;
	if (!is_ip(protocol)) {
		if (!lookup_node(underlay))
			return MERINO_UNKNOWN_SENDER;
		return hides_behind_tags(skb) ? MERINO_FORGED : MERINO_NOT_IP;
	}
	if (!parse_ip(skb, offset + sizeof(*inner), protocol, flow))
		return MERINO_MALFORMED;
	reason = judge_sender(underlay, flow);
	if (reason != GO_ON)
		return reason;
	if (is_vlan_tagged(skb))
		return MERINO_NOT_IP;
	if (!addressed_to_us)
		return MERINO_INNER_MAC;
	/* Each family's endpoint may have a MAC address of its own, merino0 has but one. */
	if (skb->pkt_type != PACKET_HOST)
		bpf_skb_change_type(skb, PACKET_HOST);
	return judge_target(flow, pod);
}

/* What is not in a tunnel, on the uplink of a node that has peers on its segment. */
static __always_inline enum merino_reason judge_direct(struct __sk_buff *skb)
{
	const struct merino_pod *pod;
	struct flow flow = {};
	enum merino_reason reason;

	reason = judge_plain(skb);
	if (reason != GO_ON)
		return reason;
	if (!parse_ip(skb, ETH_HLEN, skb->protocol, &flow))
		return MERINO_MALFORMED;
	reason = judge_neighbour(skb, &flow);
	if (reason != GO_ON)
		return reason;
	if (is_vlan_tagged(skb))
		return MERINO_NOT_IP;
	reason = judge_shape(&flow);
	if (reason != GO_ON)
		return reason;
	if (wire_len(skb, ETH_HLEN, &flow) > merino_config.pod_mtu)
		return MERINO_MTU;
	pod = lookup_pod(&flow.dst);
	if (!pod)
		return MERINO_NOT_POD;
	if (is_by_stack(pod))
		return MERINO_BY_STACK;
	if (is_translated(skb, &flow))
		return MERINO_TRANSLATED;
	return deliver(skb, pod, flow.family) ? MERINO_DIRECT_IN : MERINO_HELPER;
}

/* A judged packet behind its outer headers: can it go straight into the pod? */
static __always_inline enum merino_reason judge_shortcut(struct __sk_buff *skb, const struct outer *outer, const struct flow *flow)
{
	if ((outer->tos & ECN_MASK) == ECN_CE)
		return MERINO_ECN;
	/* bpf_skb_adjust_room() would leave the skb marked as encapsulated, and whoever sends it on (a network card, a tunnel in the pod)
	 * would misread it. The driver takes the mark off; from_tunnel then delivers the whole aggregate.
	 */
	if (skb->gso_size)
		return MERINO_AGGREGATE;
	/* Nor can it make the skb one of the other family. */
	if (flow->family != outer->family)
		return MERINO_MIXED_FAMILY;
	return is_translated(skb, flow) ? MERINO_TRANSLATED : GO_ON;
}

static __always_inline enum merino_reason judge_from_vxlan(struct __sk_buff *skb, const struct outer *outer)
{
	const struct merino_pod *pod = NULL;
	struct flow flow = {};
	enum merino_reason reason;

	reason = judge_inner(skb, outer->payload + sizeof(struct vxlan_hdr), &outer->sender, &flow, &pod);
	if (reason == GO_ON)
		reason = judge_shortcut(skb, outer, &flow);
	if (reason != GO_ON)
		return reason;
	if (!pod || !vxlan_decapsulate(skb, outer->family))
		return MERINO_HELPER;
	/* Without its tunnel headers the packet must not go on to the uplink's stack. */
	return deliver(skb, pod, outer->family) ? MERINO_DECAP : MERINO_MALFORMED;
}

static __always_inline enum merino_reason judge_from_udp(struct __sk_buff *skb, const struct outer *outer)
{
	const struct merino_pod *pod = NULL;
	struct flow flow = {};
	enum merino_reason reason;

	if (!parse_v4(skb, ETH_HLEN + UDP_OVERHEAD, &flow))
		return MERINO_MALFORMED;
	reason = judge_sender(&outer->sender, &flow);
	if (reason == GO_ON)
		reason = judge_target(&flow, &pod);
	if (reason == GO_ON)
		reason = judge_shortcut(skb, outer, &flow);
	if (reason != GO_ON)
		return is_for_stack(reason) && !udp_to_vxlan(skb) ? MERINO_HELPER : reason;
	if (!pod || !udp_decapsulate(skb))
		return MERINO_HELPER;
	return deliver(skb, pod, FAMILY_V4) ? MERINO_DECAP : MERINO_MALFORMED;
}

static __always_inline enum merino_reason judge_from_wire(struct __sk_buff *skb)
{
	const int is_udp_tunnel = merino_config.tunnel == MERINO_PEER_UDP;
	enum merino_reason reason = MERINO_NOT_TUNNEL;
	struct outer outer = {};

	if (parse_outer(skb, &outer))
		reason = is_udp_tunnel
			     ? judge_udp(packet_at(skb, outer.payload, sizeof(struct iphdr)), skb->len, skb->gso_size, &outer)
			     : judge_vxlan(packet_at(skb, outer.payload, sizeof(struct vxlan_payload)), skb->len, skb->gso_size, &outer);
	if (reason == MERINO_NOT_TUNNEL && merino_config.direct)
		return judge_direct(skb);
	if (reason != GO_ON)
		return reason;
	return is_udp_tunnel ? judge_from_udp(skb, &outer) : judge_from_vxlan(skb, &outer);
}

static __always_inline enum merino_reason judge_from_host(struct __sk_buff *skb)
{
	struct merino_peer peer = {};
	struct flow flow = {};
	enum merino_reason reason;

	if (is_vlan_tagged(skb) || !is_ip(skb->protocol))
		return MERINO_NOT_IP;
	if (!parse_ip(skb, ETH_HLEN, skb->protocol, &flow))
		return MERINO_MALFORMED;
	if (flow.family == FAMILY_V6 && (is_link_local(&flow.src) || is_link_local(&flow.dst) || is_multicast(&flow.dst)))
		return MERINO_LINK_LOCAL;
	if (!lookup_peer(&flow.dst, flow.family, &peer))
		return MERINO_NO_PEER;
	if (is_direct(&peer))
		return forget_route(skb) && direct_send(&peer) ? MERINO_HOST_DIRECT : MERINO_HELPER;
	if (!is_udp(&peer) && needs_driver(&flow, &peer))
		return vxlan_hand_to_driver(skb, &flow, &peer) ? MERINO_HOST_DRIVER : MERINO_HELPER;
	if (is_on_link(&peer) && !forget_route(skb))
		return MERINO_HELPER;
	reason = is_udp(&peer) ? udp_send(skb, &flow, &peer) : vxlan_send(skb, &flow, &peer);
	if (reason == GO_ON)
		return MERINO_HOST_ENCAP;
	if (reason != MERINO_HELPER)
		return reason;
	if (is_udp(&peer))
		return vxlan_hand_to_ourselves(skb) ? MERINO_HOST_DRIVER : MERINO_HELPER;
	return vxlan_hand_to_driver(skb, &flow, &peer) ? MERINO_HOST_DRIVER : MERINO_HELPER;
}

static __always_inline enum merino_reason judge_from_tunnel(struct __sk_buff *skb)
{
	const struct merino_pod *pod = NULL;
	struct endpoints endpoints = {};
	struct flow flow = {};
	enum merino_reason reason;

	if (!endpoints_of(skb, &endpoints))
		return MERINO_UNKNOWN_SENDER;
	if (!merino_config.tunnel_port || endpoints.vni != merino_config.vni)
		return MERINO_WRONG_VNI;
	if (!addr_equal(&endpoints.local, &own(is_v4(&endpoints.local) ? FAMILY_V4 : FAMILY_V6)->underlay))
		return MERINO_WRONG_ENDPOINT;
	/* What from_host has sent to this node itself; nobody else can: the stack takes its own addresses from no wire. */
	if (merino_config.tunnel == MERINO_PEER_UDP && addr_equal(&endpoints.remote, &merino_config.v4.underlay))
		return judge_from_host(skb);
	reason = judge_inner(skb, 0, &endpoints.remote, &flow, &pod);
	if (reason != GO_ON)
		return reason;
	if (is_translated(skb, &flow))
		return MERINO_TRANSLATED;
	return pod && deliver(skb, pod, flow.family) ? MERINO_TUNNEL : MERINO_HELPER;
}

SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	const __u32 frame_len = skb->len;
	const int watched = watcher() && is_watched(skb, 0);

	return finish(skb, MERINO_FROM_POD, judge_from_pod(skb), frame_len, watched);
}

SEC("tc")
int from_wire(struct __sk_buff *skb)
{
	const __u32 frame_len = skb->len;
	const int watched = watcher() && is_watched(skb, 1);

	return finish(skb, MERINO_FROM_WIRE, judge_from_wire(skb), frame_len, watched);
}

SEC("tc")
int from_tunnel(struct __sk_buff *skb)
{
	const __u32 frame_len = skb->len;
	const int watched = watcher() && is_watched(skb, 0);

	return finish(skb, MERINO_FROM_TUNNEL, judge_from_tunnel(skb), frame_len, watched);
}

SEC("tc")
int from_host(struct __sk_buff *skb)
{
	const __u32 frame_len = skb->len;
	const int watched = watcher() && is_watched(skb, 0);

	return finish(skb, MERINO_FROM_HOST, judge_from_host(skb), frame_len, watched);
}
