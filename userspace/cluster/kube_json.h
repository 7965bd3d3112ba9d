// JSON that is read while it arrives, and mostly thrown away: a Node of Kubernetes may have a megabyte of images, conditions and managed
// fields, of which a dozen short strings count. Memory is bounded by the depth and by kLongestKept, whatever comes.
//
//   struct Names : JsonListener {
//     bool wants(JsonPath path) override { return path.empty() || path[0] == "items" ...; }
//     ...
//   } names;
//   JsonPush json(names);
//   TRY(json.feed(R"({"items":[{"na)"));  // cut anywhere
//   TRY(json.feed(R"(me":"a"}]})"));      // names.value({"items", "[]", "name"}, "a"), then closed() for each object and array
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace merino {

// The keys that lead to a value, from the outermost object in; "[]" for an element of an array. Empty for a document itself.
using JsonPath = std::span<const std::string>;

struct JsonScalar {
  enum class Kind { string, number, literal };  // literal: true, false, null
  Kind kind = Kind::literal;
  std::string_view text;  // a string's value in UTF-8, else as it was written
  bool whole = true;      // false: the string was longer, and its first kLongestKept bytes are here
};

// Gets what is wanted of one or more JSON documents, one after the other.
class JsonListener {
 public:
  virtual ~JsonListener() = default;
  // A value begins. False: it is passed over, with everything in it.
  virtual bool wants(JsonPath path) = 0;
  virtual void value(JsonPath path, const JsonScalar& scalar) = 0;
  // A wanted object or array has ended. An error ends the reading and is its result.
  virtual Status closed(JsonPath path) = 0;
};

class JsonPush {
 public:
  static constexpr size_t kLongestKept = 1024;  // bytes of a string; a longer key is wanted by nobody
  static constexpr size_t kDeepest = 64;

  // `listener` must outlive the reader.
  explicit JsonPush(JsonListener& listener) : listener_(listener) {}

  // Documents are objects, with nothing but white space between them. A decode error names the byte; nothing may be fed after it.
  Status feed(std::string_view bytes);

  // Between documents: all that began has ended.
  [[nodiscard]] bool at_rest() const { return state_ == State::value && open_.empty(); }

 private:
  enum class State {
    value,         // a value must begin
    value_or_end,  // after '['
    key,           // after ',' in an object
    key_or_end,    // after '{'
    colon,         // after a key
    comma_or_end,  // after a value in an object or array
    string,
    escape,
    unicode,  // within a string
    number,
    literal,
  };
  enum class Container : uint8_t { object, array };

  Status take(char c);
  Status begin_value(char c);
  Status open(Container container);
  Status close(char c);
  void begin_string(bool is_key);
  size_t take_string(std::string_view bytes, size_t at);
  Status take_escape(char c);
  Status take_unicode(char c);
  Status end_string();
  Status take_number(char c);
  Status take_literal(char c);
  Status end_scalar(JsonScalar::Kind kind);
  void end_value();
  void keep(char c);
  void keep_code_point(uint32_t code);
  void flush_surrogate();
  bool ask();
  [[nodiscard]] bool passing_over() const { return passed_over_at_ <= open_.size(); }
  [[nodiscard]] JsonPath path() const { return JsonPath(path_).first(open_.size()); }
  [[nodiscard]] tl::unexpected<Error> unexpected(char c, std::string_view wanted) const;

  static constexpr size_t kNowhere = SIZE_MAX;

  JsonListener& listener_;
  State state_ = State::value;
  std::vector<Container> open_;
  std::vector<std::string> path_;     // as many as have ever been open, so that they keep their memory
  size_t passed_over_at_ = kNowhere;  // how many were open where the value that is passed over began
  std::string text_;                  // of the string, number or literal that is being read
  bool whole_ = true;
  bool is_key_ = false;
  uint32_t unicode_ = 0;  // of \uXXXX
  int unicode_digits_ = 0;
  uint32_t high_surrogate_ = 0;         // one that waits for its low one
  const char* literal_rest_ = nullptr;  // what must follow of true, false or null
  uint64_t offset_ = 0;                 // bytes taken, for errors
};

}  // namespace merino
