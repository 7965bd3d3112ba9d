#include "cluster/json_object.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/printable.h"

namespace merino {

struct JsonObject::Node {
  enum class Kind { null, boolean, integer, fraction, string, array, object };

  std::string key = {};  // in the object that it stands in
  Kind kind = Kind::null;
  bool truth = false;
  int64_t number = 0;              // saturated: what does not fit is out of every range that is asked for
  std::string text = {};           // a string's value, a fraction as it was written
  std::vector<Node> members = {};  // in the document's order

  [[nodiscard]] std::string describe() const {
    switch (kind) {
      case Kind::null:
        return "null";
      case Kind::boolean:
        return truth ? "true" : "false";
      case Kind::integer:
        return fmt::format("the number {}", number);
      case Kind::fraction:
        return fmt::format("the number {}", printable(text));
      case Kind::string:
        return fmt::format("the string \"{}\"", printable(text));
      case Kind::array:
        return "an array";
      case Kind::object:
        return "an object";
    }
    return "nothing";
  }
};

// Builds the tree from the parser's events; nlohmann's own tree forgets the order of keys. What is inside arrays is let pass: no key that
// is read here has one.
struct JsonObject::Builder : nlohmann::json_sax<nlohmann::json> {
  using Kind = Node::Kind;
  static constexpr size_t kDeepest = 64;  // the tree is destroyed recursively

  Node root;
  std::string error;

  bool null() override { return add({}); }
  bool boolean(bool value) override { return add({.kind = Kind::boolean, .truth = value}); }
  bool number_integer(number_integer_t value) override { return add({.kind = Kind::integer, .number = value}); }
  bool number_unsigned(number_unsigned_t value) override {
    const uint64_t largest = std::numeric_limits<int64_t>::max();
    return add({.kind = Kind::integer, .number = static_cast<int64_t>(std::min<uint64_t>(value, largest))});
  }
  bool number_float(number_float_t, const string_t& literal) override { return add({.kind = Kind::fraction, .text = literal}); }
  bool string(string_t& value) override { return add({.kind = Kind::string, .text = value}); }
  bool binary(binary_t&) override { return false; }

  bool key(string_t& value) override {
    if (skipped_ == 0) key_ = value;
    return true;
  }
  bool start_object(size_t) override {
    if (skipped_ > 0) return skip();
    if (open_.size() == kDeepest) {
      error = fmt::format("objects are nested deeper than {} levels", kDeepest);
      return false;
    }
    open_.push_back({.key = std::move(key_), .kind = Kind::object});
    return true;
  }
  bool end_object() override {
    if (skipped_ > 0) return unskip();
    Node done = std::move(open_.back());
    open_.pop_back();
    key_ = std::move(done.key);
    return add(std::move(done));
  }
  bool start_array(size_t) override { return skip(); }
  bool end_array() override {
    unskip();
    return add({.kind = Kind::array});
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception& failure) override {
    const std::string_view text = failure.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: ..."
    const size_t bracket = text.find("] ");
    error = text.substr(bracket == std::string_view::npos ? 0 : bracket + 2);
    return false;
  }

 private:
  bool add(Node node) {
    if (skipped_ > 0) return true;
    node.key = std::move(key_);
    if (open_.empty()) {
      root = std::move(node);
    } else {
      open_.back().members.push_back(std::move(node));
    }
    return true;
  }
  bool skip() {
    ++skipped_;
    return true;
  }
  bool unskip() {
    --skipped_;
    return true;
  }

  std::string key_;
  std::vector<Node> open_;
  size_t skipped_ = 0;  // containers that are open inside an array, the array among them
};

namespace {

bool same_key(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace

JsonObject::JsonObject(std::shared_ptr<const Node> root, const Node* node, std::string prefix)
    : root_(std::move(root)), node_(node), prefix_(std::move(prefix)) {}

std::string quote_json(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<JsonObject> JsonObject::parse(const std::string& text, const std::string& source) {
  Builder builder;
  if (!nlohmann::json::sax_parse(text, &builder)) {
    constexpr size_t kLongestText = 300;  // it quotes what the parser stumbled over, which may be anything
    return fail(ErrorKind::decode, "{}: not valid JSON: {}", source, printable(builder.error, kLongestText));
  }
  if (builder.root.kind != Node::Kind::object && builder.root.kind != Node::Kind::null) {
    return fail(ErrorKind::decode, "{}: must be a JSON object, found {}", source, builder.root.describe());
  }
  auto root = std::make_shared<const Node>(std::move(builder.root));
  const Node* node = root.get();
  return JsonObject(std::move(root), node, source + ": ");
}

const JsonObject::Node* JsonObject::find(std::string_view key) const {
  const auto& members = node_->members;
  const auto last = std::find_if(members.rbegin(), members.rend(), [&](const Node& node) { return same_key(node.key, key); });
  return last == members.rend() || last->kind == Node::Kind::null ? nullptr : &*last;
}

std::string JsonObject::where(std::string_view key) const { return fmt::format("{}{}", prefix_, key); }

tl::unexpected<Error> JsonObject::wrong_type(std::string_view key, std::string_view expected, const Node& found) const {
  return fail(ErrorKind::decode, "{} must be {}, found {}", where(key), expected, found.describe());
}

Result<std::optional<std::string>> JsonObject::string(std::string_view key) const {
  const Node* node = find(key);
  if (node == nullptr) return std::nullopt;
  if (node->kind != Node::Kind::string) return wrong_type(key, "a string", *node);
  return node->text;
}

Result<std::optional<bool>> JsonObject::boolean(std::string_view key) const {
  const Node* node = find(key);
  if (node == nullptr) return std::nullopt;
  if (node->kind != Node::Kind::boolean) return wrong_type(key, "true or false", *node);
  return node->truth;
}

Result<std::optional<JsonObject>> JsonObject::object(std::string_view key) const {
  const Node* node = find(key);
  if (node == nullptr) return std::nullopt;
  if (node->kind != Node::Kind::object) return wrong_type(key, "an object", *node);
  return JsonObject(root_, node, fmt::format("{}{}.", prefix_, key));
}

Result<std::optional<int64_t>> JsonObject::integer(std::string_view key, int64_t low, int64_t high) const {
  const Node* node = find(key);
  if (node == nullptr) return std::nullopt;
  if (node->kind != Node::Kind::integer) return wrong_type(key, "a whole number", *node);
  if (node->number < low || node->number > high) {
    return fail(ErrorKind::invalid, "{} must be from {} to {}, found {}", where(key), low, high, node->number);
  }
  return node->number;
}

}  // namespace merino
