#include "base/subnet_env.h"

#include "property.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merino;
  using fuzz::require;
  const auto env = parse_subnet_env(std::string(data, data + size), "/run/flannel/subnet.env");
  if (!env) {
    fuzz::require_good(env.error());
    return 0;
  }
  require(env->mtu > 0, "an MTU is positive");
  const auto again = parse_subnet_env(format_subnet_env(*env), "again");
  require(again && *again == *env, "what is written is read again");
  return 0;
}
