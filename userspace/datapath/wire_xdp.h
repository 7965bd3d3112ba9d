// The program wire_xdp on the uplink: a pinned link of its own, which lives without any process and whose program is replaced atomically.
// The programs of programs.h must be loaded: their pinned maps are its maps.
#pragma once

#include <optional>

#include "abi.h"
#include "base/address.h"
#include "base/result.h"

namespace merino {

enum class XdpMode {
  native,   // in the driver, before there is an skb
  generic,  // in the stack, on any interface
};
const char* xdp_mode_name(XdpMode mode);

struct WireXdpPlace {
  unsigned ifindex = 0;
  XdpMode mode = XdpMode::native;
  MacAddress mac;  // the interface's: what is sent to another one passes
};

// Attaches this build's program with `config` (program_id is filled in, flow_seed means nothing to it) there and nowhere else. True if
// anything had to be changed. exists: another XDP program is there; unsupported: the driver has no native XDP. After an error nothing of
// merino's is attached with an older configuration.
Result<bool> ensure_wire_xdp(merino_config config, const WireXdpPlace& place);

// Detaches it, wherever it is. True if it was attached.
Result<bool> remove_wire_xdp();

struct WireXdpState {
  unsigned ifindex = 0;
  XdpMode mode = XdpMode::native;
};
// nullopt: it is not attached.
Result<std::optional<WireXdpState>> read_wire_xdp();

}  // namespace merino
