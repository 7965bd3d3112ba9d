#include "cni/json_fields.h"

#include <nlohmann/json.hpp>

namespace merino::cni {
namespace {

tl::unexpected<Error> wrong_type(const char* key, const char* expected, const Json& found) {
  return fail(ErrorKind::invalid, "key \"{}\" must be {}, it is {}", key, expected, found.type_name());
}

}  // namespace

Result<Json> parse_object(const std::string& text, const std::string& what) {
  try {
    Json json = Json::parse(text);
    if (!json.is_object()) return fail(ErrorKind::decode, "{} is not a JSON object but {}", what, json.type_name());
    return json;
  } catch (const Json::exception& error) {
    return fail(ErrorKind::decode, "{} is not JSON: {}", what, error.what());
  }
}

const Json* find_field(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Result<const Json*> find_object(const Json& object, const char* key) {
  const Json* field = find_field(object, key);
  if (field != nullptr && !field->is_object()) return wrong_type(key, "an object", *field);
  return field;
}

Result<const Json*> find_array(const Json& object, const char* key) {
  const Json* field = find_field(object, key);
  if (field != nullptr && !field->is_array()) return wrong_type(key, "an array", *field);
  return field;
}

Result<std::string> string_field(const Json& object, const char* key) {
  const Json* field = find_field(object, key);
  if (field == nullptr) return std::string();
  if (!field->is_string()) return wrong_type(key, "a string", *field);
  return field->get<std::string>();
}

Result<std::vector<std::string>> strings_field(const Json& object, const char* key) {
  std::vector<std::string> strings;
  const Json* field = TRY(find_array(object, key));
  if (field == nullptr) return strings;
  for (const Json& element : *field) {
    if (!element.is_string()) return wrong_type(key, "an array of strings", element);
    strings.push_back(element.get<std::string>());
  }
  return strings;
}

Result<std::optional<int64_t>> integer_field(const Json& object, const char* key) {
  const Json* field = find_field(object, key);
  if (field == nullptr) return std::nullopt;
  if (!field->is_number_integer()) return wrong_type(key, "an integer", *field);
  return field->get<int64_t>();
}

Result<std::optional<IpAddress>> address_field(const Json& object, const char* key) {
  const std::string text = TRY(string_field(object, key));
  if (text.empty()) return std::nullopt;
  auto address = IpAddress::parse(text);
  if (!address) return in_context(std::move(address.error()), key);
  return *address;
}

Result<std::optional<Prefix>> prefix_field(const Json& object, const char* key) {
  const std::string text = TRY(string_field(object, key));
  if (text.empty()) return std::nullopt;
  auto prefix = Prefix::parse(text);
  if (!prefix) return in_context(std::move(prefix.error()), key);
  return *prefix;
}

}  // namespace merino::cni
