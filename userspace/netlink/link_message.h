// Reading RTM_NEWLINK messages. Internal to netlink/.
#pragma once

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <string>

#include "base/result.h"
#include "netlink.h"
#include "netlink/request.h"

namespace merino {

Link parse_link(const ifinfomsg& header, const Attributes& attributes);

// Asks for one interface, by name, or by index when `name` is empty. `on_link` is not called if there is none.
Status get_link(nl_sock* socket, const std::string& name, unsigned index,
                const std::function<void(const ifinfomsg&, const Attributes&)>& on_link);

// Changes an existing interface: the flags in `mask` become those in `flags`; more attributes may be put.
Request change_link(unsigned index, unsigned flags = 0, unsigned mask = 0);

// invalid unless the kernel would take `name` literally ("eth%d" is a pattern to it).
Status check_link_name(const std::string& name);

}  // namespace merino
