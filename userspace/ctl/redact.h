// What must not leave the host in a report.
#pragma once

#include <string>

namespace merino::ctl {

// The same text with the values of passwords, tokens, keys and the like replaced by "<removed>": in JSON ("psk": "x"), in flags and
// variables (--etcd-password=x, --etcd-password x, FLANNELD_ETCD_PASSWORD=x), in YAML (token: x), in URLs (https://user:x@host), and PEM
// blocks.
std::string redact(const std::string& text);

}  // namespace merino::ctl
