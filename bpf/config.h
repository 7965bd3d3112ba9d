/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the programs know: their frozen configuration and the pinned maps. */
#ifndef MERINO_CONFIG_H
#define MERINO_CONFIG_H

#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "abi.h"

#define GO_ON MERINO_REASON_COUNT /* no reason yet: the packet is judged further */

/* Frozen before the programs are loaded: the verifier sees constants and deletes what they make unreachable. */
const volatile struct merino_config merino_config SEC(".rodata.config") = {};

enum family { FAMILY_V4, FAMILY_V6 };

static __always_inline const volatile struct merino_family *own(__u8 family)
{
	return family == FAMILY_V6 ? &merino_config.v6 : &merino_config.v4;
}

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MERINO_MAX_PODS);
	__type(key, struct merino_pod_key);
	__type(value, struct merino_pod);
} pods SEC(".maps");

/* Not preallocated: 131,072 entries would cost 10 MiB on every node, a small cluster needs a few hundred bytes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MERINO_MAX_PEERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct merino_peer_key);
	__type(value, struct merino_peer);
} peers SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MERINO_MAX_PEERS);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct merino_node_key);
	__type(value, struct merino_node);
} nodes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct merino_network);
} network SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MERINO_MAX_REASONS);
	__type(key, __u32);
	__type(value, struct merino_counter);
} counters SEC(".maps");

#endif
