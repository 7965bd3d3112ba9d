// Bytes as text: etcd's JSON, certificates in kubeconfigs.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace merino {

std::string encode_base64(std::string_view bytes);
// The standard alphabet with padding, nothing else; decode error.
Result<std::string> decode_base64(std::string_view text);

}  // namespace merino
