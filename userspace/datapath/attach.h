// Programs on interfaces: tcx links where the kernel has them (6.6 and later), a clsact filter below. Both are idempotent: what is
// attached already with the pinned program is left alone, another version's program is replaced atomically.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "datapath/programs.h"

namespace merino {

enum class Direction { ingress, egress };
// Without tcx a program needs a qdisc on the interface. anothers: one that somebody else makes, who would find the place taken; nothing is
// attached before.
enum class Qdisc { own, anothers };

struct AttachPoint {
  std::string link_name;  // the pin below pins::kLinks, e.g. "uplink"; also when clsact is used, where no pin is made
  unsigned ifindex = 0;
  Direction direction = Direction::ingress;
  Qdisc qdisc = Qdisc::own;
};

// The link's pin name for the host side of a pod's veth.
std::string pod_link_name(const std::string& host_ifname);

// Attaches the pinned `program`. not_found (with the remedy) when it is not pinned. Returns true if anything had to be changed.
Result<bool> attach(Program program, const AttachPoint& point);

// True if the pinned program (this very one) is attached there.
Result<bool> is_attached(Program program, const AttachPoint& point);

// Detaches and unpins; success when nothing is there (also when the interface or bpffs is gone).
Status detach(const AttachPoint& point);

// Unpins links whose interface is gone.
Status remove_dead_links();

// Detaches merino's programs from everything: all pinned links, and below clsact those of the given interfaces.
Status detach_all(const std::vector<unsigned>& ifindexes);

}  // namespace merino
