#include "cluster/lease.h"
#include "property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merino;
  using fuzz::require;
  const std::string key(data, data + size);
  const auto subnet = parse_subnet_key(key);
  if (!subnet) {
    fuzz::require_good(subnet.error());
    return 0;
  }
  require(*subnet == subnet->masked(), "host bits are zero");
  require(format_subnet_key(*subnet) == key, "a subnet has one key");
  return 0;
}
