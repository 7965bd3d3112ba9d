// Fields of a JSON object with the types that they must have. As in Go, null is the same as absent. Errors (invalid) name the key.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace merino::cni {

using Json = nlohmann::json;

// An object, or a decode error that says what could not be parsed.
Result<Json> parse_object(const std::string& text, const std::string& what);

// nullptr when the key is absent.
const Json* find_field(const Json& object, const char* key);
Result<const Json*> find_object(const Json& object, const char* key);
Result<const Json*> find_array(const Json& object, const char* key);

// Empty when the key is absent.
Result<std::string> string_field(const Json& object, const char* key);
Result<std::vector<std::string>> strings_field(const Json& object, const char* key);
Result<std::optional<int64_t>> integer_field(const Json& object, const char* key);
Result<std::optional<IpAddress>> address_field(const Json& object, const char* key);
Result<std::optional<Prefix>> prefix_field(const Json& object, const char* key);

}  // namespace merino::cni
