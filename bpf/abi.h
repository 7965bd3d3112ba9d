/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* The one header that the BPF programs (C) and userspace (C++) share: what stands in the pinned maps, under which names, and
 * why a packet took its way. Every struct is free of hidden padding (userspace asserts it), so that a key compares by its bytes.
 *
 * A change of any layout here, or of what a value means, is a change of MERINO_ABI_VERSION: merinod makes an older version's maps anew.
 */
#ifndef MERINO_ABI_H
#define MERINO_ABI_H

#include <linux/types.h>

#define MERINO_ABI_VERSION 2
#define MERINO_PIN_ROOT "/sys/fs/bpf/merino"

#define MERINO_ETH_ALEN 6

/* Sizes of the maps. counters has room for reasons to come, so that another reason is not another layout. */
#define MERINO_MAX_PODS 4096
#define MERINO_MAX_PEERS 131072
#define MERINO_MAX_REASONS 64

/* An address of either family, network byte order: IPv6 as it is, IPv4 as ::ffff:a.b.c.d (RFC 4291, 2.5.5.2). Bytes, so that bpftool
 * shows it readably.
 */
struct merino_addr {
	__u8 bytes[16];
} __attribute__((aligned(4)));

/* pods: the pods of this node, by address. Written by the CNI plugin, mended by the agent. */
struct merino_pod_key {
	struct merino_addr addr;
};

struct merino_pod {
	struct merino_addr gateway; /* the address whose ARP questions are answered; all zero for none */
	__u32 ifindex;		    /* host side of the pod's veth */
	__u8 pod_mac[MERINO_ETH_ALEN];
	__u8 host_mac[MERINO_ETH_ALEN]; /* the gateway's: of ifindex, or of the bridge whose port that is */
	__u32 delivery;			/* enum merino_delivery */
};

enum merino_delivery {
	MERINO_DELIVER_PEER = 0,     /* straight into the pod (bpf_redirect_peer): skips the host side's qdisc and taps */
	MERINO_DELIVER_REDIRECT = 1, /* through the host side of the veth: for pods with a qdisc or programs on it */
	MERINO_DELIVER_STACK = 2,    /* not by the programs: all that the pod sends and gets goes through the stack */
};

/* peers: node subnets, by prefix. prefix_len counts bits of the 128-bit address: an IPv4 /24 is 120. */
struct merino_peer_key {
	struct merino_addr subnet; /* host bits zero */
	__u32 prefix_len;
};

struct merino_peer {
	struct merino_addr underlay;	/* the node's tunnel endpoint; DIRECT: the next hop on the uplink's segment */
	__u8 vtep_mac[MERINO_ETH_ALEN]; /* DIRECT: that neighbour's MAC; all zero as long as it is not known */
	__u8 kind;			/* enum merino_peer_kind */
	__u8 reserved;
};

enum merino_peer_kind {
	MERINO_PEER_VXLAN = 1,
	MERINO_PEER_DIRECT = 2, /* on the uplink's own segment, without a tunnel */
	MERINO_PEER_UDP = 3,	/* flannel's udp backend: the bare IPv4 packet in UDP */
};

/* nodes: every peer's tunnel endpoint, by address: who may send tunnel packets at all, and whose tunnel port pods must not reach. */
struct merino_node_key {
	struct merino_addr underlay;
};

struct merino_node {
	__u32 subnets; /* how many entries of peers point here */
};

/* network: one entry, what changes while the programs run. */
#define MERINO_MAX_PREFIX_LENS 28

struct merino_prefix_lens {
	__u32 count;
	__u8 lens[MERINO_MAX_PREFIX_LENS]; /* longest first, bits of the 128-bit address */
};

struct merino_network {
	__u32 abi_version;
	__u32 reserved;
	struct merino_prefix_lens peers_v4; /* the lengths that occur among the keys of peers */
	struct merino_prefix_lens peers_v6;
};

/* What this node has of one address family. */
struct merino_family {
	struct merino_addr underlay; /* this node's tunnel endpoint; all zero: none */
	struct merino_addr network;  /* the pod network, host bits zero */
	__u32 network_len;	     /* bits of the 128-bit address; 0: the node has no network of this family */
	__u8 vtep_mac[MERINO_ETH_ALEN];
	__u8 on_link_len; /* bits of the 128-bit address: who shares them with `underlay` is the uplink's neighbour; 0: ask the routes */
	__u8 reserved;
};

/* The programs' frozen configuration (.rodata); another value means loading the programs again and swapping them in the links. */
struct merino_config {
	struct merino_family v4, v6;
	__u32 uplink_ifindex;
	__u32 device_ifindex; /* merino0 */
	__u32 vni;
	__u32 pod_mtu;	    /* the largest IP packet that may be encapsulated */
	__be16 tunnel_port; /* 0: no tunnel packet is taken */
	__u8 tunnel;	    /* enum merino_peer_kind: what is spoken on tunnel_port, VXLAN or UDP */
	__u8 fast_path;	    /* 0: everything goes through the stack, the programs only encapsulate and decapsulate */
	__u8 direct;	    /* 1: there may be DIRECT peers, whose packets are looked for on the uplink */
	__u8 reserved;
	__be16 device_port; /* merino0's VXLAN socket: tunnel_port, or with UDP another, which must not be 0 */
	__u64 program_id;   /* which build's programs these are; another build's are replaced */
	__u64 flow_seed;    /* of the hash by which connections are remembered; random */
};

struct merino_counter {
	__u64 packets;
	__u64 bytes; /* length of the frame as the program saw it first */
};

/* A packet as a program left it. Userspace reads the frame; the numbers are those of the moment when the program had decided. */
struct merino_sighting {
	__u64 time_ns;	/* CLOCK_MONOTONIC */
	__u32 ifindex;	/* where the program runs */
	__u32 len;	/* of the frame */
	__u16 captured; /* bytes of it that are in `frame` */
	__u8 program;	/* enum merino_program */
	__u8 reason;	/* enum merino_reason */
	__u32 reserved;
};

enum merino_program {
	MERINO_FROM_POD = 0,
	MERINO_FROM_WIRE = 1,
	MERINO_FROM_TUNNEL = 2,
	MERINO_FROM_HOST = 3,
	MERINO_WIRE_XDP = 4,
};

/* drops: the last packet that was dropped for each reason, on each CPU. */
#define MERINO_DROP_BYTES 104

struct merino_drop {
	struct merino_sighting seen;
	__u8 frame[MERINO_DROP_BYTES];
};

/* trace: a ring buffer of these, while somebody watches. */
#define MERINO_TRACE_BYTES 232
#define MERINO_TRACE_RING (256 * 1024)

struct merino_trace_event {
	struct merino_sighting seen;
	__u8 frame[MERINO_TRACE_BYTES];
};

/* trace_filter: one entry, written by who watches. What is zero fits every packet. */
struct merino_trace_filter {
	__u64 until_ns;			 /* CLOCK_MONOTONIC: nobody watches after that, however he ended; 0: nobody does */
	__u64 reasons;			 /* a bit for each */
	__u64 lost;			 /* packets for which the ring buffer had no room */
	struct merino_addr addresses[2]; /* either end of the packet, or of the tunnel that it is in, is one of these */
	__be16 port;			 /* source or destination */
	__u8 protocol;
	__u8 reserved[5];
};

/* Why a packet took its way. One list: it is the return value inside the programs, the index into counters, the label in tools
 * and metrics, and what tests assert. X(name, action, meaning, remedy); action is FAST, STACK or DROP.
 * A program counts each packet that it sees once. A packet that meets two programs (from_wire leaves it to the stack, from_tunnel
 * sees it again behind merino0) is counted by each.
 */
/* clang-format off */
#define MERINO_REASONS(X)                                                                                                          \
	X(LOCAL, FAST, "from a pod, delivered to a pod of this node", "")                                                          \
	X(ENCAP, FAST, "from a pod, encapsulated and sent to the destination's node", "")                                          \
	X(ENCAP_DRIVER, FAST, "from a pod, sent to the destination's node by the VXLAN driver: the underlay is IPv6", "")          \
	X(DECAP, FAST, "from the wire, decapsulated and delivered to a pod", "")                                                   \
	X(TUNNEL, FAST, "decapsulated by the VXLAN driver (see aggregate), delivered to a pod", "")                                \
	X(HOST_ENCAP, FAST, "routed by the stack, encapsulated and sent to the destination's node", "")                            \
	X(HOST_DRIVER, STACK, "routed by the stack, encapsulated by the VXLAN driver: IPv6 underlay, or encapsulated before", "")  \
	X(DIRECT, FAST, "from a pod, sent without a tunnel to the destination's node", "")                                         \
	X(DIRECT_IN, FAST, "from the wire without a tunnel, delivered to a pod", "")                                               \
	X(HOST_DIRECT, FAST, "routed by the stack, sent without a tunnel to the destination's node", "")                           \
	X(ARP_REPLY, FAST, "a pod asked for its gateway's MAC address (ARP or IPv6) and was answered", "")                         \
	X(NOT_IP, STACK, "neither IP nor an ARP question that is answered here, VLAN-tagged, or a family without a network", "")   \
	X(NOT_FOR_US, STACK, "the frame is not addressed to this interface (broadcast, multicast, another MAC)", "")               \
	X(LINK_LOCAL, STACK, "IPv6 that stays on its link: neighbour discovery, MLD", "")                                          \
	X(NOT_TUNNEL, STACK, "on the uplink, but not a tunnel packet to this node", "")                                            \
	X(INNER_MAC, STACK, "the inner frame is addressed to another VTEP", "the sender holds a stale lease of this node")         \
	X(FAST_PATH_OFF, STACK, "the fast path is switched off", "set FastPath, or load nf_conntrack and restart merinod")         \
	X(BY_STACK, STACK, "from or to a pod all of whose packets go through the stack", "its egress bandwidth is limited")         \
	X(NO_ROUTE, STACK, "the destination is neither a pod of this node nor a peer's: services, hosts, the outside", "")         \
	X(NOT_POD, STACK, "from a peer, to an address of this node that is not a pod", "")                                         \
	X(TRANSLATED, STACK, "conntrack translates this flow (a service, a host port, masquerade)", "")                            \
	X(PROTOCOL, STACK, "neither TCP nor UDP (ICMP): translations of it are known to the stack only", "")                       \
	X(FRAGMENT, STACK, "an IP fragment", "large UDP, or an MTU that is too small on the way")                                  \
	X(IP_OPTIONS, STACK, "an IPv4 header with options, or IPv6 extension headers", "")                                         \
	X(TTL, STACK, "the hop limit ends here: the stack answers with time exceeded", "")                                         \
	X(MTU, STACK, "larger than the network's MTU: the stack answers with fragmentation needed", "the pod's MTU is wrong")      \
	X(ECN, STACK, "the underlay marked congestion: the stack carries the mark inward", "")                                     \
	X(AGGREGATE, STACK, "a GRO aggregate: the VXLAN driver decapsulates it, from_tunnel delivers it", "")                      \
	X(MIXED_FAMILY, STACK, "one address family in a tunnel over the other: the VXLAN driver decapsulates it", "")              \
	X(PLAIN, STACK, "on the uplink without a tunnel, to the pod network, from no node of this segment", "")                    \
	X(NEIGHBOUR, STACK, "a node of this segment whose MAC address is not known yet", "does it answer ARP? ip neigh")           \
	X(HELPER, STACK, "a kernel helper refused: already encapsulated, or out of memory", "")                                    \
	X(SPOOFED, DROP, "the source is not the pod's own address or MAC", "the pod forges, or has an address CNI did not give")   \
	X(SPOOFED_ARP, DROP, "an ARP or IPv6 neighbour message that claims an address the pod does not have", "the pod forges")    \
	X(ROGUE_ROUTER, DROP, "a pod sends a router advertisement or redirect, or hides what it could be", "the pod forges")       \
	X(TUNNEL_PORT, DROP, "a pod sends to the tunnel port of a node", "the pod forges tunnel packets")                          \
	X(WRONG_VNI, DROP, "a tunnel packet with another VNI or unknown VXLAN flags", "compare Backend.VNI of the nodes")          \
	X(WRONG_ENDPOINT, DROP, "a tunnel packet to another address of this node than its tunnel endpoint", "compare public-ip")   \
	X(UNKNOWN_SENDER, DROP, "a tunnel packet from a host that is no peer", "compare merinoctl peers with the sender's lease")  \
	X(FORGED, DROP, "the inner source does not belong to the node that sent it", "two nodes claim one subnet, or forgery")     \
	X(WRONG_NEIGHBOUR, DROP, "the source is a peer's, but another MAC address sent the frame", "ip neigh; forgery, or a bond") \
	X(MALFORMED, DROP, "shorter than its headers say", "a broken sender or network card")                                      \
	X(NO_PEER, DROP, "from the host to the pod network, but no node has that subnet", "merinoctl peers; is that node up?")

enum merino_reason {
#define X(name, action, meaning, remedy) MERINO_##name,
	MERINO_REASONS(X)
#undef X
	MERINO_REASON_COUNT,
};
/* clang-format on */

#endif
