/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* What the programs of stage.bpf.c share with the tests. */
#ifndef MERINO_TESTS_STAGE_H
#define MERINO_TESTS_STAGE_H

#include <linux/types.h>

/* What a packet has besides its bytes, and BPF_PROG_TEST_RUN cannot set by itself. */
struct stage {
  __u32 program; /* index into the array of programs that the packet is passed on to */
  __u32 has_vlan;
  __u32 vlan_tci;
  __u32 has_tunnel;
  __u32 tunnel_vni;
  __u32 tunnel_v6;     /* which of the addresses stand */
  __u32 tunnel_remote; /* host order, as in struct bpf_tunnel_key */
  __u32 tunnel_local;
  __u8 tunnel_remote6[16];
  __u8 tunnel_local6[16];
};

#endif
