// The delegate's configuration, as flannel's plugin renders it from a configuration of its type: merino attaches pods by it as the bridge
// plugin would be told to, and keeps it where flannel's plugin looks for it.
#pragma once

#include <string>

#include "base/subnet_env.h"
#include "cni/protocol.h"

namespace merino::cni {

struct DelegateConf {
  std::string type;  // "bridge" unless the configuration names another
  std::string text;  // byte for byte as flannel's plugin writes it: keys in alphabetical order, no spaces
};

// `text` is a configuration of type "flannel" (or "merino", which has no "delegate"). Failures (invalid_config): "delegate" with a name,
// an ipam or a type that is no text, routes in "ipam" that are no array.
Outcome<DelegateConf> render_delegate(const std::string& text, const SubnetEnv& env);

// The rendered configuration read back. Failures: decoding_failure, invalid_config (no type).
Outcome<DelegateConf> parse_delegate(const std::string& text);

}  // namespace merino::cni
