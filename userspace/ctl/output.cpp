#include "ctl/output.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace merino::ctl {

namespace {

using Json = nlohmann::ordered_json;

// A double-quoted string of JSON is one of YAML too, so only plain words are written without quotes.
std::string scalar(const Json& value) { return value.dump(-1, ' ', false, Json::error_handler_t::replace); }

// YAML 1.1 takes some words for something else than strings, in keys too.
std::string key_text(const std::string& key) {
  constexpr std::array kWords = {"on", "off", "yes", "no", "y", "n", "true", "false", "null"};
  return std::find(kWords.begin(), kWords.end(), key) == kWords.end() ? key : scalar(Json(key));
}

bool is_leaf(const Json& value) { return !value.is_structured() || value.empty(); }

void write(const Json& value, size_t depth, std::string& out);

void write_entry(const std::string& head, const Json& value, size_t depth, std::string& out) {
  out += std::string(2 * depth, ' ') + head;
  if (is_leaf(value)) {
    out += " " + scalar(value) + "\n";
    return;
  }
  if (head == "-") {
    // The first member of an element stands on the line of its dash.
    std::string inner;
    write(value, depth + 1, inner);
    out += " " + inner.substr(2 * (depth + 1));
    return;
  }
  out += "\n";
  write(value, depth + (value.is_array() ? 0 : 1), out);
}

// NOLINTNEXTLINE(misc-no-recursion): as deep as the document, which is merinoctl's own
void write(const Json& value, size_t depth, std::string& out) {
  if (value.is_array()) {
    for (const Json& element : value) write_entry("-", element, depth, out);
    return;
  }
  for (const auto& [key, member] : value.items()) write_entry(key_text(key) + ":", member, depth, out);
}

}  // namespace

Width width_for(Format format) { return format == Format::wide ? Width::wide : Width::narrow; }

std::string yaml_of(const std::string& json) {
  const Json document = Json::parse(json);
  if (is_leaf(document)) return scalar(document) + "\n";
  std::string out;
  write(document, 0, out);
  return out;
}

}  // namespace merino::ctl
