// What merino has in the kernel, taken back.
#pragma once

#include "base/result.h"
#include "netlink/netlink.h"

namespace merino {

// Programs, merino0 with its addresses and routes, and pins. What is gone already is passed over; the stack carries on with what it
// knows. True if there was anything.
Result<bool> withdraw_datapath(Netlink& netlink);

// The IPv6 tunnel's rule and the table of its own routes. True if there were routes. A kernel without IPv6 has neither.
Result<bool> withdraw_endpoint_routes(Netlink& netlink);

}  // namespace merino
