#include "cluster/lease.h"
#include "property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merino;
  using fuzz::require;
  const std::string key(data, data + size);
  const auto subnets = parse_subnet_key(key);
  if (!subnets) {
    fuzz::require_good(subnets.error());
    return 0;
  }
  require(!subnets->empty(), "a key has a subnet");
  for (const Family family : kFamilies) {
    const auto& subnet = (*subnets)[family];
    require(!subnet || *subnet == subnet->masked(), "host bits are zero");
    require(!subnet || subnet->family() == family, "each is of its family");
  }
  require(format_subnet_key(*subnets) == key, "subnets have one key");
  return 0;
}
