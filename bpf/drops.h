/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What is dropped, and the last packet that was for each reason. */
#ifndef MERINO_DROPS_H
#define MERINO_DROPS_H

#include "config.h"

/* Under a flood that is dropped, a packet in a millisecond is enough. */
#define DROP_INTERVAL_NS 1000000

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, MERINO_MAX_REASONS);
	__type(key, __u32);
	__type(value, struct merino_drop);
} drops SEC(".maps");

/* How much of a frame is kept, 1 to `room` bytes. From a comparison with 0 the verifier of Linux 6.1 does not learn that a length is not 0,
 * from an addition it does. Of a frame of no bytes this becomes `room`, which then cannot be loaded.
 */
static __always_inline __u64 captured_len(__u32 len, __u32 room)
{
	__u64 last = (__u64)len - 1;

	if (last >= room)
		last = room - 1;
	asm volatile("" : "+r"(last));
	return last + 1;
}

/* Where the packet that is dropped now is to be described; NULL if one has just been. */
static __always_inline struct merino_drop *drop_to_write(__u32 reason, __u64 now)
{
	struct merino_drop *drop = bpf_map_lookup_elem(&drops, &reason);

	return drop && now - drop->seen.time_ns >= DROP_INTERVAL_NS ? drop : NULL;
}

static __always_inline void describe(struct merino_sighting *seen, __u32 ifindex, __u32 len, __u32 program, __u32 reason, __u64 now)
{
	seen->time_ns = now;
	seen->ifindex = ifindex;
	seen->len = len;
	seen->program = program;
	seen->reason = reason;
	seen->reserved = 0;
}

#endif
