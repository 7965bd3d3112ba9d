// The BPF programs of this build: loaded with a configuration, pinned, and compared with what is pinned.
//
// The agent owns the pins below MERINO_PIN_ROOT. Maps live as long as their pins; programs are replaced whole (a new object with
// another frozen configuration that reuses the pinned maps), and the links are then swapped to them one by one, each atomically.
#pragma once

#include <optional>
#include <string>

#include "abi.h"
#include "base/result.h"

namespace merino {

// All but wire_xdp are attached by attach.h; that one, which not every node has, is wire_xdp.h's.
enum class Program { from_pod, from_wire, from_tunnel, from_host, wire_xdp };
const char* program_name(Program program);

// Mounts bpffs at /sys/fs/bpf if nothing is mounted there. Needs CAP_SYS_ADMIN.
Status ensure_bpffs();

// The configuration of the pinned programs, read back from their frozen .rodata; nullopt if there are none (or half of them, or the pinned
// maps are not those that they use).
Result<std::optional<merino_config>> loaded_config();

// program_id of this build: a hash of the BPF object that is built in.
uint64_t program_id();

// Loads the programs with `config` (program_id and flow_seed are filled in), reusing or making the pinned maps, and replaces the program
// pins. Does not touch links: call the attach functions afterwards. Maps of an older ABI are replaced by empty ones, which the programs in
// the links do not see: fill them before those are replaced. Pinned maps of a newer ABI are `unsupported`.
Status load_programs(merino_config config);

// Removes every pin of merino's, links too; success when there is none. What is attached by a link is detached thereby.
Status remove_pins();

}  // namespace merino
