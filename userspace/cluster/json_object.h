// A JSON object as Go's encoding/json reads it into a struct, because that is how flannel reads net-conf and leases.
//
// Keys match in any case, the last of several in the document wins, unknown keys do no harm, null is as good as absent, and a
// number with a fraction or an exponent is not an integer. Errors name the source, the key's path, what was expected and what was found:
//   /etc/kube-flannel/net-conf.json: Backend.VNI must be a whole number, found the string "1"
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace merino {

// The text as a JSON string, with quotes; what is no UTF-8 is replaced by U+FFFD.
std::string quote_json(const std::string& text);

class JsonObject {
 public:
  // `source` names the text in errors. Anything but one JSON object (or null, which is an empty one) is a decode error.
  static Result<JsonObject> parse(const std::string& text, const std::string& source);

  // nullopt: absent. A value of another type is a decode error.
  [[nodiscard]] Result<std::optional<std::string>> string(std::string_view key) const;
  [[nodiscard]] Result<std::optional<bool>> boolean(std::string_view key) const;
  [[nodiscard]] Result<std::optional<JsonObject>> object(std::string_view key) const;
  // Outside of low..high is an invalid error.
  [[nodiscard]] Result<std::optional<int64_t>> integer(std::string_view key, int64_t low, int64_t high) const;

  // "source: Backend.VNI", for errors about a value.
  [[nodiscard]] std::string where(std::string_view key) const;

 private:
  struct Node;
  struct Builder;
  JsonObject(std::shared_ptr<const Node> root, const Node* node, std::string prefix);
  [[nodiscard]] const Node* find(std::string_view key) const;
  [[nodiscard]] tl::unexpected<Error> wrong_type(std::string_view key, std::string_view expected, const Node& found) const;

  std::shared_ptr<const Node> root_;
  const Node* node_;
  std::string prefix_;  // "source: " or "source: Backend."
};

}  // namespace merino
