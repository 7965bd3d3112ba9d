#include "agent/withdraw.h"

#include <spdlog/spdlog.h>

#include <filesystem>

#include "agent/node.h"
#include "datapath/attach.h"
#include "datapath/pins.h"
#include "datapath/programs.h"

namespace merino {

Result<bool> withdraw_datapath(Netlink& netlink) {
  const auto device = TRY(netlink.link_by_name(kDeviceName));
  const bool has_device = device && device->kind == "vxlan";
  std::error_code unknown;
  const bool has_pins = std::filesystem::exists(pins::kRoot, unknown);
  if (!has_device && !has_pins) return false;
  std::vector<unsigned> indexes;
  for (const Link& link : TRY(netlink.links())) indexes.push_back(link.index);
  TRY(detach_all(indexes));
  if (has_device) {
    TRY(netlink.delete_link(device->index));
    spdlog::info("device {} removed", kDeviceName);
  }
  TRY(remove_pins());
  spdlog::info("BPF programs and maps removed");
  return true;
}

Result<bool> withdraw_endpoint_routes(Netlink& netlink) {
  std::error_code no_ipv6;
  if (!std::filesystem::exists("/proc/net/if_inet6", no_ipv6)) return false;
  TRY(netlink.remove_rule(kEndpointRule, kEndpointTable));
  return netlink.ensure_locked_routes(kEndpointTable, {});
}

}  // namespace merino
