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
  require(attributes->public_ip.is_v4() && !attributes->public_ip.is_none(), "a lease has a public IPv4 address");
  require(attributes->vxlan.has_value() == (attributes->backend_type == "vxlan"), "a vxlan lease has vxlan data");
  require(!attributes->vxlan || attributes->vxlan->vtep_mac.is_unicast(), "the VTEP MAC is unicast");
  const auto again = parse_lease_attributes(format_lease_attributes(*attributes));
  require(again && *again == *attributes, "what is written is read again");
  return 0;
}
