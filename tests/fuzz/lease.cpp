#include "cluster/lease.h"

#include "property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merino;
  using fuzz::require;
  const auto attributes = parse_lease_attributes(std::string(data, data + size));
  if (!attributes) {
    fuzz::require_good(attributes.error());
    return 0;
  }
  require(!attributes->public_ip.empty(), "a lease has a public address");
  for (const Family family : kFamilies) {
    const auto& address = attributes->public_ip[family];
    const auto& vxlan = attributes->vxlan[family];
    require(!address || (address->family() == family && is_node_address(*address)), "a public address is one of its family");
    require(!vxlan || (address && attributes->backend_type == "vxlan"), "vxlan data is a vxlan lease's, with an address");
    require(!vxlan || vxlan->vtep_mac.is_unicast(), "the VTEP MAC is unicast");
  }
  const bool is_vxlan_v4 = attributes->public_ip.v4 && attributes->backend_type == "vxlan";
  require(attributes->vxlan.v4.has_value() == is_vxlan_v4, "a vxlan lease of IPv4 has vxlan data");
  const auto again = parse_lease_attributes(format_lease_attributes(*attributes));
  require(again && *again == *attributes, "what is written is read again");
  return 0;
}
