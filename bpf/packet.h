/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Parsing: bounds before bytes. What is read here is copied into struct flow, so that no packet pointer outlives a helper that
 * moves the packet.
 */
#ifndef MERINO_PACKET_H
#define MERINO_PACKET_H

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>

#include "config.h"

#define IP_FRAGMENT_MASK 0x3fff /* more-fragments bit and offset */
#define IP_OFFSET_MASK 0x1fff
#define ECN_MASK 3
#define ECN_CE 3

#define IPV6_OFFSET_MASK 0xfff8
/* Of <linux/in6.h> and the registry of IPv6 extension header types, those that merino knows a name for. */
#define NEXTHDR_MOBILITY 135
#define NEXTHDR_HIP 139
#define NEXTHDR_SHIM6 140

struct ipv6_fragment {
	__u8 next_header;
	__u8 reserved;
	__be16 offset; /* in units of 8 bytes, and three flags */
	__be32 id;
};

/* One packet as it is judged. */
struct flow {
	struct merino_addr src;
	struct merino_addr dst;
	__u32 len; /* of the IP packet, as its header says */
	__u32 header_len;
	__be16 sport; /* TCP and UDP only, and not in later fragments */
	__be16 dport;
	__u8 family; /* enum family */
	__u8 protocol;
	__u8 ttl;
	__u8 tos;
	__u8 fragment;
	__u8 options; /* of IPv4; IPv6 extension headers other than the fragment header */
	__u8 ports;   /* sport and dport are there */
	__u8 tcp_flags;
};

#define TCP_FIN 1
#define TCP_SYN 2
#define TCP_RST 4
#define TCP_ACK 16
#define TCP_FLAGS_OFFSET 13

/* In assembly, so that clang does not copy the 32-bit context fields through a 32-bit register, which the verifier takes for a number, and
 * does not add the offset to the pointer first, which the verifier refuses.
 */
static __always_inline void *packet_data(const struct __sk_buff *skb)
{
	void *data;

	asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(data) : "r"(skb), "i"(__builtin_offsetof(struct __sk_buff, data)));
	return data;
}

static __always_inline void *packet_end(const struct __sk_buff *skb)
{
	void *end;

	asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(end) : "r"(skb), "i"(__builtin_offsetof(struct __sk_buff, data_end)));
	return end;
}

static __always_inline __u32 interface_of(const struct __sk_buff *skb)
{
	__u32 ifindex;

	asm volatile("%0 = *(u32 *)(%1 + %2)" : "=r"(ifindex) : "r"(skb), "i"(__builtin_offsetof(struct __sk_buff, ifindex)));
	return ifindex;
}

/* `size` bytes at `offset`, or NULL. Pulls them into the linear part if they are not: every packet pointer from before is invalid
 * afterwards. `offset` and `size` are constants or bounded by the caller.
 */
static __always_inline void *packet_at(struct __sk_buff *skb, __u32 offset, __u32 size)
{
	void *data = packet_data(skb);

	if (data + offset + size <= packet_end(skb))
		return data + offset;
	if (skb->len < offset + size || bpf_skb_pull_data(skb, offset + size))
		return NULL;
	data = packet_data(skb);
	return data + offset + size <= packet_end(skb) ? data + offset : NULL;
}

static __always_inline __be32 *addr_words(struct merino_addr *addr)
{
	return (__be32 *)addr->bytes;
}

static __always_inline __be32 addr_word(const volatile struct merino_addr *addr, int word)
{
	return ((const volatile __be32 *)addr->bytes)[word];
}

#define V4_MAPPED_BITS 96 /* in front of an IPv4 address */

static __always_inline struct merino_addr addr_from_v4(__be32 v4)
{
	struct merino_addr addr = {};

	addr_words(&addr)[2] = bpf_htonl(0xffff);
	addr_words(&addr)[3] = v4;
	return addr;
}

static __always_inline __be32 addr_v4(const volatile struct merino_addr *addr)
{
	return addr_word(addr, 3);
}

static __always_inline int is_v4(const struct merino_addr *addr)
{
	return !addr_word(addr, 0) && !addr_word(addr, 1) && addr_word(addr, 2) == bpf_htonl(0xffff);
}

/* ::, of a host that has no address yet. */
static __always_inline int is_unspecified(const struct merino_addr *addr)
{
	return !addr_word(addr, 0) && !addr_word(addr, 1) && !addr_word(addr, 2) && !addr_word(addr, 3);
}

/* fe80::/10: never routed. */
static __always_inline int is_link_local(const struct merino_addr *addr)
{
	return (addr_word(addr, 0) & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

static __always_inline int is_multicast(const struct merino_addr *addr)
{
	return addr->bytes[0] == 0xff;
}

static __always_inline int addr_equal(const volatile struct merino_addr *a, const volatile struct merino_addr *b)
{
	return addr_word(a, 3) == addr_word(b, 3) && addr_word(a, 2) == addr_word(b, 2) && addr_word(a, 1) == addr_word(b, 1) &&
	       addr_word(a, 0) == addr_word(b, 0);
}

/* volatile: one of them may stand in the frozen configuration, whose value the compiler must not take for the zeros it sees. */
static __always_inline int mac_equal(const volatile void *a, const volatile void *b)
{
	const volatile __u16 *x = a, *y = b;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2];
}

static __always_inline void mac_copy(void *to, const volatile void *from)
{
	const volatile __u16 *source = from;
	__u16 *target = to;

	target[0] = source[0];
	target[1] = source[1];
	target[2] = source[2];
}

/* The ports of TCP and UDP at `offset`, and TCP's flags: a segment that is too short to have any is taken for its connection's end. False:
 * the packet is shorter than that.
 */
static __always_inline int parse_ports(struct __sk_buff *skb, __u32 offset, struct flow *flow)
{
	const __be16 *ports;
	const __u8 *flags;

	if (flow->protocol != IPPROTO_TCP && flow->protocol != IPPROTO_UDP)
		return 1;
	if (flow->fragment & 2)
		return 1;
	ports = packet_at(skb, offset, 4);
	if (!ports)
		return 0;
	flow->sport = ports[0];
	flow->dport = ports[1];
	flow->ports = 1;
	if (flow->protocol == IPPROTO_TCP) {
		flags = packet_at(skb, offset + TCP_FLAGS_OFFSET, 1);
		flow->tcp_flags = flags ? *flags : TCP_RST;
	}
	return 1;
}

/* What the IPv4 header says (RFC 791), of a packet for which the frame has `room` bytes. False: malformed. A GSO packet of over 64 KiB has
 * no length in its header (BIG TCP).
 */
static __always_inline int read_v4(const struct iphdr *ip, __u32 room, __u32 gso_size, struct flow *flow)
{
	__u32 header_len;
	__u16 frag;

	if (ip->version != 4)
		return 0;
	header_len = ip->ihl * 4;
	flow->len = bpf_ntohs(ip->tot_len);
	if (!flow->len && gso_size)
		flow->len = room;
	if (header_len < sizeof(*ip) || flow->len < header_len || room < flow->len)
		return 0;

	frag = bpf_ntohs(ip->frag_off);
	flow->src = addr_from_v4(ip->saddr);
	flow->dst = addr_from_v4(ip->daddr);
	flow->header_len = header_len;
	flow->family = FAMILY_V4;
	flow->protocol = ip->protocol;
	flow->ttl = ip->ttl;
	flow->tos = ip->tos;
	flow->options = header_len > sizeof(*ip);
	/* 1: a fragment; 2: not the first one, so there are no ports. */
	flow->fragment = frag & IP_OFFSET_MASK ? 3 : frag & IP_FRAGMENT_MASK ? 1 : 0;
	return flow->len - header_len >= 4 || flow->fragment || (flow->protocol != IPPROTO_TCP && flow->protocol != IPPROTO_UDP);
}

/* The IPv4 header at `offset`, and the ports behind it. False: malformed. */
static __always_inline int parse_v4(struct __sk_buff *skb, __u32 offset, struct flow *flow)
{
	const struct iphdr *ip = packet_at(skb, offset, sizeof(*ip));

	if (!ip || !read_v4(ip, skb->len - offset, skb->gso_size, flow))
		return 0;
	/* The usual length as a constant: a variable offset makes the verifier, not the packet, slow. */
	if (flow->header_len == sizeof(*ip))
		return parse_ports(skb, offset + sizeof(*ip), flow);
	return parse_ports(skb, offset + (flow->header_len & 0x3c), flow);
}

static __always_inline int is_extension_header(__u8 protocol)
{
	switch (protocol) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_FRAGMENT:
	case IPPROTO_DSTOPTS:
	case IPPROTO_AH:
	case NEXTHDR_MOBILITY:
	case NEXTHDR_HIP:
	case NEXTHDR_SHIM6:
		return 1;
	default:
		return 0;
	}
}

/* What the fixed IPv6 header says (RFC 8200), as read_v4(). The stack knows jumbograms. */
static __always_inline int read_v6(const struct ipv6hdr *ip, __u32 room, __u32 gso_size, struct flow *flow)
{
	if (ip->version != 6)
		return 0;
	flow->len = sizeof(*ip) + bpf_ntohs(ip->payload_len);
	if (!ip->payload_len && gso_size)
		flow->len = room;
	if (room < flow->len)
		return 0;
	__builtin_memcpy(flow->src.bytes, &ip->saddr, sizeof(flow->src.bytes));
	__builtin_memcpy(flow->dst.bytes, &ip->daddr, sizeof(flow->dst.bytes));
	flow->header_len = sizeof(*ip);
	flow->family = FAMILY_V6;
	flow->protocol = ip->nexthdr;
	flow->ttl = ip->hop_limit;
	flow->tos = ip->priority << 4 | ip->flow_lbl[0] >> 4;
	return 1;
}

/* The IPv6 header at `offset`, and the ports behind it. False: malformed. What lies behind extension headers is not looked at, but for the
 * fragment header directly behind the fixed one.
 */
static __always_inline int parse_v6(struct __sk_buff *skb, __u32 offset, struct flow *flow)
{
	const struct ipv6hdr *ip = packet_at(skb, offset, sizeof(*ip));
	const struct ipv6_fragment *fragment;
	__u32 header_len = sizeof(*ip);

	if (!ip || !read_v6(ip, skb->len - offset, skb->gso_size, flow))
		return 0;
	if (flow->protocol == IPPROTO_FRAGMENT) {
		header_len += sizeof(*fragment);
		fragment = packet_at(skb, offset + sizeof(*ip), sizeof(*fragment));
		if (!fragment || flow->len < header_len)
			return 0;
		flow->fragment = fragment->offset & bpf_htons(IPV6_OFFSET_MASK) ? 3 : 1;
		flow->protocol = fragment->next_header;
	}
	flow->options = is_extension_header(flow->protocol);
	if (flow->len - header_len < 4 && !(flow->fragment & 2) && (flow->protocol == IPPROTO_TCP || flow->protocol == IPPROTO_UDP))
		return 0;
	return parse_ports(skb, offset + header_len, flow);
}

static __always_inline int is_ip(__be16 protocol)
{
	return protocol == bpf_htons(ETH_P_IP) || protocol == bpf_htons(ETH_P_IPV6);
}

/* The packet at `offset` behind an Ethernet header of `protocol`, which is_ip(). False: malformed. */
static __always_inline int parse_ip(struct __sk_buff *skb, __u32 offset, __be16 protocol, struct flow *flow)
{
	return protocol == bpf_htons(ETH_P_IPV6) ? parse_v6(skb, offset, flow) : parse_v4(skb, offset, flow);
}

/* The length of the largest packet that this one becomes on the wire: GSO packets are cut later. */
static __always_inline __u32 wire_len(struct __sk_buff *skb, __u32 offset, const struct flow *flow)
{
	const struct tcphdr *tcp;

	if (!skb->gso_size)
		return skb->len - offset; /* with whatever lies behind the packet */
	if (flow->protocol == IPPROTO_UDP)
		return flow->header_len + sizeof(struct udphdr) + skb->gso_size;
	tcp = packet_at(skb, offset + (flow->family == FAMILY_V6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr)), sizeof(*tcp));
	if (!tcp)
		return flow->len;
	return flow->header_len + tcp->doff * 4 + skb->gso_size;
}

/* One hop less, checksum updated (RFC 1624, eqn. 3; the sum of TTL and protocol changes by -0x0100). */
static __always_inline void decrease_ttl(struct iphdr *ip)
{
	__u32 check = ip->check;

	check += bpf_htons(0x0100);
	ip->check = check + (check >= 0xffff);
	ip->ttl--;
}

/* IPv6 has no checksum that would make up for it in the sum that a network card may have taken of the whole packet. */
static __always_inline void decrease_hop_limit(struct __sk_buff *skb, struct ipv6hdr *ip)
{
	ip->hop_limit--;
	bpf_csum_update(skb, ~(__u32)bpf_htons(1));
}

/* One hop less for the packet at `offset`. False: out of memory while making the header writable. */
static __always_inline int count_hop(struct __sk_buff *skb, __u32 offset, __u8 family)
{
	void *ip = packet_at(skb, offset, family == FAMILY_V6 ? sizeof(struct ipv6hdr) : sizeof(struct iphdr));

	if (!ip)
		return 0;
	if (family == FAMILY_V6)
		decrease_hop_limit(skb, ip);
	else
		decrease_ttl(ip);
	return 1;
}

#endif
