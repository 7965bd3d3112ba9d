// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/* merino's programs. Each is parse → judge → look up → act, gives a packet one reason and counts it once; a miss or a doubt goes to the
 * stack, which has working routes for everything.
 *
 *   from_pod     ingress of the host side of every pod's veth; where that is a port of flannel's bridge, before the bridge sees the packet
 *   from_wire    ingress of the uplink
 *   from_tunnel  ingress of merino0: what the VXLAN driver decapsulated, because from_wire left it to the stack
 *   from_host    egress of merino0: what the host's stack routes to the pod network
 */
#include "arp.h"
#include "conntrack.h"
#include "deliver.h"
#include "direct.h"
#include "lookup.h"
#include "packet.h"
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

/* A pod that reached a node's tunnel port would have its packets taken for those of its own node: they leave it masqueraded. */
static __always_inline int is_to_tunnel_port(const struct flow *flow)
{
	const struct merino_addr underlay = addr_from_v4(addr_v4(&merino_config.v4.underlay));

	if (!merino_config.tunnel_port || !flow->ports || flow->protocol != IPPROTO_UDP || flow->dport != merino_config.tunnel_port)
		return 0;
	return addr_equal(&flow->dst, &underlay) || lookup_node(&flow->dst);
}

static __always_inline enum merino_reason send_to_peer(struct __sk_buff *skb, const struct flow *flow, const struct merino_peer *peer)
{
	enum merino_reason reason;
	struct iphdr *ip;

	if (wire_len(skb, ETH_HLEN, flow) > merino_config.pod_mtu)
		return MERINO_MTU;
	/* The answers could not be told from forgeries and go through the stack, so the flow must as a whole. */
	if (is_direct(peer) && !is_neighbour_known(peer))
		return MERINO_NEIGHBOUR;
	if (is_translated(skb, flow))
		return MERINO_TRANSLATED;
	if (is_direct(peer)) {
		ip = packet_at(skb, ETH_HLEN, sizeof(*ip));
		if (!ip || !direct_send(peer))
			return MERINO_HELPER;
		decrease_ttl(ip);
		return MERINO_DIRECT;
	}
	reason = vxlan_send(skb, flow, peer);
	if (reason != GO_ON)
		return reason;
	ip = packet_at(skb, ETH_HLEN + VXLAN_OVERHEAD, sizeof(*ip));
	if (ip)
		decrease_ttl(ip);
	return MERINO_ENCAP;
}

static __always_inline enum merino_reason judge_from_pod(struct __sk_buff *skb)
{
	const struct merino_pod *pod, *target;
	const struct merino_peer *peer;
	const struct ethhdr *eth;
	struct flow flow = {};
	enum merino_reason reason;

	if (hides_behind_tags(skb))
		return MERINO_SPOOFED;
	if (skb->protocol == bpf_htons(ETH_P_ARP))
		return answer_arp(skb);
	if (skb->protocol != bpf_htons(ETH_P_IP))
		return MERINO_NOT_IP;
	if (!parse_v4(skb, ETH_HLEN, &flow))
		return MERINO_MALFORMED;

	pod = lookup_pod(&flow.src);
	eth = packet_at(skb, 0, sizeof(*eth));
	if (!eth || !pod || pod->ifindex != skb->ifindex || !mac_equal(eth->h_source, pod->pod_mac))
		return MERINO_SPOOFED;
	if (is_to_tunnel_port(&flow))
		return MERINO_TUNNEL_PORT;
	if (is_vlan_tagged(skb))
		return MERINO_NOT_IP;
	/* Addressed to the interface, or, where that is a bridge's port, to the bridge: the pod's gateway in both cases. */
	if (skb->pkt_type != PACKET_HOST && !mac_equal(eth->h_dest, pod->host_mac))
		return MERINO_NOT_FOR_US;

	reason = judge_shape(&flow);
	if (reason != GO_ON)
		return reason;
	target = lookup_pod(&flow.dst);
	if (target) {
		if (is_translated(skb, &flow))
			return MERINO_TRANSLATED;
		return deliver(skb, target) ? MERINO_LOCAL : MERINO_HELPER;
	}
	peer = lookup_peer(&flow.dst, flow.family);
	if (peer)
		return send_to_peer(skb, &flow, peer);
	return MERINO_NO_ROUTE;
}

/* Does the node at `underlay` have a right to this inner source? Its own address is right too: the node's host processes. */
static __always_inline enum merino_reason judge_sender(const struct merino_addr *underlay, const struct flow *flow)
{
	const struct merino_peer *peer = lookup_peer(&flow->src, flow->family);

	if (peer && addr_equal(&peer->underlay, underlay))
		return GO_ON;
	if (!lookup_node(underlay))
		return MERINO_UNKNOWN_SENDER;
	return addr_equal(&flow->src, underlay) ? GO_ON : MERINO_FORGED;
}

/* What came out of the tunnel, whoever took it off: the inner frame is at `offset`, the sender is at `underlay`. */
static __always_inline enum merino_reason judge_inner(struct __sk_buff *skb, __u32 offset, const struct merino_addr *underlay,
						      struct flow *flow, const struct merino_pod **pod)
{
	const struct ethhdr *inner = packet_at(skb, offset, sizeof(*inner));
	int addressed_to_us;
	enum merino_reason reason;

	if (!inner)
		return MERINO_MALFORMED;
	addressed_to_us = mac_equal(inner->h_dest, merino_config.v4.vtep_mac);
	if (inner->h_proto != bpf_htons(ETH_P_IP)) {
		if (!lookup_node(underlay))
			return MERINO_UNKNOWN_SENDER;
		return hides_behind_tags(skb) ? MERINO_FORGED : MERINO_NOT_IP;
	}
	if (!parse_v4(skb, offset + sizeof(*inner), flow))
		return MERINO_MALFORMED;
	reason = judge_sender(underlay, flow);
	if (reason != GO_ON)
		return reason;
	if (is_vlan_tagged(skb))
		return MERINO_NOT_IP;
	if (!addressed_to_us)
		return MERINO_INNER_MAC;
	reason = judge_shape(flow);
	if (reason != GO_ON)
		return reason;
	*pod = lookup_pod(&flow->dst);
	return *pod ? GO_ON : MERINO_NOT_POD;
}

/* The tunnel's outer headers, if this is a tunnel packet to this node. `underlay`: its sender. */
static __always_inline enum merino_reason judge_outer(struct __sk_buff *skb, struct merino_addr *underlay, __u8 *tos)
{
	const struct vxlan_encap *outer;
	const struct iphdr *ip;
	const struct udphdr *udp;
	__u32 len;

	if (!merino_config.tunnel_port || is_vlan_tagged(skb) || skb->protocol != bpf_htons(ETH_P_IP) || skb->pkt_type != PACKET_HOST)
		return MERINO_NOT_TUNNEL;
	ip = packet_at(skb, ETH_HLEN, sizeof(*ip) + sizeof(*udp));
	if (!ip || ip->version != 4 || ip->ihl != sizeof(*ip) / 4 || ip->protocol != IPPROTO_UDP ||
	    ip->daddr != addr_v4(&merino_config.v4.underlay) || ip->frag_off & bpf_htons(IP_FRAGMENT_MASK))
		return MERINO_NOT_TUNNEL;
	udp = (const struct udphdr *)(ip + 1);
	if (udp->dest != merino_config.tunnel_port)
		return MERINO_NOT_TUNNEL;

	outer = packet_at(skb, ETH_HLEN, sizeof(*outer));
	if (!outer)
		return MERINO_MALFORMED;
	if (!skb->gso_size) {
		len = bpf_ntohs(outer->ip.tot_len);
		if (len < sizeof(*outer) || len > skb->len - ETH_HLEN)
			return MERINO_MALFORMED;
		/* The stack cuts off what lies behind the packet; here it would be taken for a part of the inner one. */
		if (len < skb->len - ETH_HLEN || bpf_ntohs(outer->udp.len) != len - sizeof(*ip))
			return MERINO_NOT_TUNNEL;
	}
	if (outer->vxlan.flags != bpf_htonl(VXLAN_FLAG_VNI) || outer->vxlan.vni != bpf_htonl(merino_config.vni << 8))
		return MERINO_WRONG_VNI;
	*underlay = addr_from_v4(outer->ip.saddr);
	*tos = outer->ip.tos;
	return GO_ON;
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
	if (!parse_v4(skb, ETH_HLEN, &flow))
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
	if (is_translated(skb, &flow))
		return MERINO_TRANSLATED;
	return deliver(skb, pod) ? MERINO_DIRECT_IN : MERINO_HELPER;
}

static __always_inline enum merino_reason judge_from_wire(struct __sk_buff *skb)
{
	const struct merino_pod *pod = NULL;
	struct merino_addr underlay;
	struct flow flow = {};
	enum merino_reason reason;
	__u8 tos;

	reason = judge_outer(skb, &underlay, &tos);
	if (reason == MERINO_NOT_TUNNEL && merino_config.direct)
		return judge_direct(skb);
	if (reason != GO_ON)
		return reason;
	reason = judge_inner(skb, INNER_OFFSET, &underlay, &flow, &pod);
	if (reason != GO_ON)
		return reason;
	if ((tos & ECN_MASK) == ECN_CE)
		return MERINO_ECN;
	/* bpf_skb_adjust_room() would leave the skb marked as encapsulated, and whoever sends it on (a network card, a tunnel in the pod)
	 * would misread it. The driver takes the mark off; from_tunnel then delivers the whole aggregate.
	 */
	if (skb->gso_size)
		return MERINO_AGGREGATE;
	if (is_translated(skb, &flow))
		return MERINO_TRANSLATED;
	if (!pod || !vxlan_decapsulate(skb))
		return MERINO_HELPER;
	/* Without its tunnel headers the packet must not go on to the uplink's stack. */
	return deliver(skb, pod) ? MERINO_DECAP : MERINO_MALFORMED;
}

static __always_inline enum merino_reason judge_from_tunnel(struct __sk_buff *skb)
{
	const struct merino_pod *pod = NULL;
	struct bpf_tunnel_key key = {};
	struct merino_addr underlay;
	struct flow flow = {};
	enum merino_reason reason;

	if (bpf_skb_get_tunnel_key(skb, &key, sizeof(key), 0))
		return MERINO_UNKNOWN_SENDER;
	if (!merino_config.tunnel_port || key.tunnel_id != merino_config.vni)
		return MERINO_WRONG_VNI;
	if (key.local_ipv4 != bpf_ntohl(addr_v4(&merino_config.v4.underlay)))
		return MERINO_WRONG_ENDPOINT;
	underlay = addr_from_v4(bpf_htonl(key.remote_ipv4));
	reason = judge_inner(skb, 0, &underlay, &flow, &pod);
	if (reason != GO_ON)
		return reason;
	if (is_translated(skb, &flow))
		return MERINO_TRANSLATED;
	return pod && deliver(skb, pod) ? MERINO_TUNNEL : MERINO_HELPER;
}

static __always_inline enum merino_reason judge_from_host(struct __sk_buff *skb)
{
	const struct merino_peer *peer;
	struct flow flow = {};
	enum merino_reason reason;

	if (is_vlan_tagged(skb) || skb->protocol != bpf_htons(ETH_P_IP))
		return MERINO_NOT_IP;
	if (!parse_v4(skb, ETH_HLEN, &flow))
		return MERINO_MALFORMED;
	peer = lookup_peer(&flow.dst, flow.family);
	if (!peer)
		return MERINO_NO_PEER;
	if (is_direct(peer))
		return direct_send(peer) ? MERINO_HOST_DIRECT : MERINO_HELPER;
	reason = vxlan_send(skb, &flow, peer);
	if (reason == GO_ON)
		return MERINO_HOST_ENCAP;
	if (reason != MERINO_HELPER)
		return reason;
	return vxlan_hand_to_driver(skb, &flow, peer) ? MERINO_HOST_DRIVER : MERINO_HELPER;
}

SEC("tc")
int from_pod(struct __sk_buff *skb)
{
	const __u32 frame_len = skb->len;

	return finish(judge_from_pod(skb), frame_len);
}

SEC("tc")
int from_wire(struct __sk_buff *skb)
{
	const __u32 frame_len = skb->len;

	return finish(judge_from_wire(skb), frame_len);
}

SEC("tc")
int from_tunnel(struct __sk_buff *skb)
{
	const __u32 frame_len = skb->len;

	return finish(judge_from_tunnel(skb), frame_len);
}

SEC("tc")
int from_host(struct __sk_buff *skb)
{
	const __u32 frame_len = skb->len;

	return finish(judge_from_host(skb), frame_len);
}
