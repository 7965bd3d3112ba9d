// What an answer of etcd's JSON gateway is made of: values by their path, read in one pass, with no more memory than the text has; and the
// two ways in which the gateway writes what JSON cannot: bytes in base64, 64-bit numbers in strings.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "cluster/base64.h"

namespace merino {

enum class JsonPart { scalar, end_of_object };

// `path` is the keys from the root joined by dots; arrays add nothing to it: each "key" in {"kvs": [{"key": "x"}]} is a scalar at
// "kvs.key", and each end of the inner object comes with "kvs". `text` is a scalar's value (a string's content, a number as it is written,
// "true", "false"), and may be moved from.
using JsonSink = std::function<Status(JsonPart part, std::string_view path, std::string& text)>;

// Hostile input. decode: not one JSON object, or nested deeper than 32 levels; else the sink's first error. null counts as absent.
Status walk_json(const std::string& text, const JsonSink& sink);

// A whole number of 64 bits; decode error that names `path`.
Result<int64_t> decode_int64(std::string_view path, std::string_view text);

}  // namespace merino
