/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* From a reason to what becomes of the packet. */
#ifndef MERINO_VERDICT_H
#define MERINO_VERDICT_H

#include <linux/pkt_cls.h>

#include "config.h"

/* "Next", not "OK": programs after this one on the same hook go on to see what merino leaves to the stack. TC_ACT_UNSPEC is TCX_NEXT
 * for tcx links and "no verdict, next filter" for a direct-action classifier below clsact.
 */
#define ACTION_STACK TC_ACT_UNSPEC
#define ACTION_DROP TC_ACT_SHOT
#define ACTION_FAST TC_ACT_REDIRECT /* the redirect helper was called before the reason was returned */

static __always_inline int action_of(enum merino_reason reason)
{
	switch (reason) {
#define X(name, action, meaning, remedy)                                                                                                   \
	case MERINO_##name:                                                                                                                \
		return ACTION_##action;
		MERINO_REASONS(X)
#undef X
	default:
		return ACTION_STACK;
	}
}

static __always_inline int is_for_stack(enum merino_reason reason)
{
	return action_of(reason) == ACTION_STACK;
}

/* Counts the packet once, under its reason, with the length that the frame had when the program saw it. */
static __always_inline int finish(enum merino_reason reason, __u32 frame_len)
{
	__u32 index = reason;
	struct merino_counter *counter = bpf_map_lookup_elem(&counters, &index);

	if (counter) {
		counter->packets++;
		counter->bytes += frame_len;
	}
	return action_of(reason);
}

#endif
