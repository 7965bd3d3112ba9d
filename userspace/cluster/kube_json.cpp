#include "cluster/kube_json.h"

#include <algorithm>
#include <utility>

#include "base/printable.h"

namespace merino {
namespace {

constexpr uint32_t kReplacement = 0xfffd;  // what Go's encoding/json makes of half a surrogate pair

bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Status JsonPush::feed(std::string_view bytes) {
  size_t at = 0;
  while (at < bytes.size()) {
    if (state_ == State::string) {
      const size_t next = take_string(bytes, at);
      offset_ += next - at;
      at = next;
      if (at == bytes.size()) break;
    }
    TRY(take(bytes[at]));
    ++offset_;
    ++at;
  }
  return ok();
}

tl::unexpected<Error> JsonPush::unexpected(char c, std::string_view wanted) const {
  return fail(ErrorKind::decode, "not valid JSON: byte {}: expected {}, found '{}'", offset_, wanted, printable({&c, 1}));
}

Status JsonPush::take(char c) {
  switch (state_) {
    case State::string:
      if (c == '"') return end_string();
      if (c != '\\') return unexpected(c, "no control character in a string");
      state_ = State::escape;
      return ok();
    case State::escape:
      return take_escape(c);
    case State::unicode:
      return take_unicode(c);
    case State::number:
      return take_number(c);
    case State::literal:
      return take_literal(c);
    default:
      break;
  }
  if (is_space(c)) return ok();
  switch (state_) {
    case State::key_or_end:
      if (c == '}') return close(c);
      [[fallthrough]];
    case State::key:
      if (c != '"') return unexpected(c, "a key");
      begin_string(true);
      return ok();
    case State::colon:
      if (c != ':') return unexpected(c, "':'");
      state_ = State::value;
      return ok();
    case State::comma_or_end:
      if (c == '}' || c == ']') return close(c);
      if (c != ',') return unexpected(c, "',' or the end");
      state_ = open_.back() == Container::object ? State::key : State::value;
      return ok();
    case State::value_or_end:
      if (c == ']') return close(c);
      [[fallthrough]];
    default:
      return begin_value(c);
  }
}

// Whether the value that begins is wanted; if it is not, it is passed over from here on.
bool JsonPush::ask() {
  if (passing_over()) return false;
  if (listener_.wants(path())) return true;
  passed_over_at_ = open_.size();
  return false;
}

Status JsonPush::begin_value(char c) {
  if (!open_.empty() && open_.back() == Container::array) {
    path_[open_.size() - 1] = "[]";
    ask();
  } else if (open_.empty()) {
    if (c != '{') return unexpected(c, "an object");
    ask();
  }
  if (c == '{') return open(Container::object);
  if (c == '[') return open(Container::array);
  if (c == '"') {
    begin_string(false);
    return ok();
  }
  text_.assign(1, c);
  whole_ = true;
  if (c == '-' || is_digit(c)) {
    state_ = State::number;
    return ok();
  }
  state_ = State::literal;
  literal_rest_ = c == 't' ? "rue" : c == 'f' ? "alse" : c == 'n' ? "ull" : nullptr;
  return literal_rest_ == nullptr ? Status(unexpected(c, "a value")) : ok();
}

Status JsonPush::open(Container container) {
  if (open_.size() == kDeepest) return fail(ErrorKind::decode, "byte {}: nested deeper than {} levels", offset_, kDeepest);
  open_.push_back(container);
  if (path_.size() < open_.size()) path_.emplace_back();
  state_ = container == Container::object ? State::key_or_end : State::value_or_end;
  return ok();
}

Status JsonPush::close(char c) {
  if ((c == '}') != (open_.back() == Container::object)) return unexpected(c, c == '}' ? "']'" : "'}'");
  open_.pop_back();
  if (!passing_over()) TRY(listener_.closed(path()));
  end_value();
  return ok();
}

void JsonPush::end_value() {
  if (passed_over_at_ == open_.size()) passed_over_at_ = kNowhere;
  state_ = open_.empty() ? State::value : State::comma_or_end;
}

void JsonPush::begin_string(bool is_key) {
  text_.clear();
  whole_ = true;
  is_key_ = is_key;
  state_ = State::string;
}

void JsonPush::keep(char c) {
  if (passing_over()) return;
  if (text_.size() < kLongestKept) {
    text_ += c;
  } else {
    whole_ = false;
  }
}

void JsonPush::keep_code_point(uint32_t code) {
  const auto byte = [this](uint32_t value) { keep(static_cast<char>(value)); };
  if (code < 0x80) return byte(code);
  if (code < 0x800) {
    byte(0xc0U | (code >> 6U));
  } else {
    if (code < 0x10000) {
      byte(0xe0U | (code >> 12U));
    } else {
      byte(0xf0U | (code >> 18U));
      byte(0x80U | ((code >> 12U) & 0x3fU));
    }
    byte(0x80U | ((code >> 6U) & 0x3fU));
  }
  byte(0x80U | (code & 0x3fU));
}

void JsonPush::flush_surrogate() {
  if (std::exchange(high_surrogate_, 0) != 0) keep_code_point(kReplacement);
}

// Takes what stands in a string for itself; returns where something else does.
size_t JsonPush::take_string(std::string_view bytes, size_t at) {
  const size_t begin = at;
  while (at < bytes.size() && bytes[at] != '"' && bytes[at] != '\\' && static_cast<unsigned char>(bytes[at]) >= ' ') ++at;
  if (at == begin) return at;
  flush_surrogate();
  if (passing_over()) return at;
  const size_t room = kLongestKept - text_.size();
  if (at - begin > room) whole_ = false;
  text_.append(bytes.substr(begin, std::min(at - begin, room)));
  return at;
}

Status JsonPush::take_escape(char c) {
  state_ = State::string;
  constexpr std::string_view kLetters = "\"\\/bfnrt";
  constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
  if (c == 'u') {
    state_ = State::unicode;
    unicode_ = 0;
    unicode_digits_ = 0;
    return ok();
  }
  const size_t index = kLetters.find(c);
  if (index == std::string_view::npos) return unexpected(c, "an escape");
  flush_surrogate();
  keep(kMeanings[index]);
  return ok();
}

Status JsonPush::take_unicode(char c) {
  const int digit = hex_digit(c);
  if (digit < 0) return unexpected(c, "a hexadecimal digit");
  unicode_ = (unicode_ << 4U) | static_cast<uint32_t>(digit);
  if (++unicode_digits_ < 4) return ok();
  state_ = State::string;
  const bool is_high = unicode_ >= 0xd800 && unicode_ < 0xdc00;
  const bool is_low = unicode_ >= 0xdc00 && unicode_ < 0xe000;
  if (is_low && high_surrogate_ != 0) {
    keep_code_point(0x10000 + ((std::exchange(high_surrogate_, 0) - 0xd800) << 10U) + (unicode_ - 0xdc00));
    return ok();
  }
  flush_surrogate();
  if (is_high) {
    high_surrogate_ = unicode_;
  } else {
    keep_code_point(is_low ? kReplacement : unicode_);
  }
  return ok();
}

Status JsonPush::end_string() {
  flush_surrogate();
  if (!is_key_) return end_scalar(JsonScalar::Kind::string);
  state_ = State::colon;
  if (passing_over()) return ok();
  if (whole_) {
    path_[open_.size() - 1] = text_;
    ask();
  } else {
    passed_over_at_ = open_.size();
  }
  return ok();
}

Status JsonPush::take_number(char c) {
  if (is_digit(c) || c == '.' || c == 'e' || c == 'E' || c == '+' || c == '-') {
    keep(c);
    return ok();
  }
  TRY(end_scalar(JsonScalar::Kind::number));
  return take(c);  // it belongs to what follows
}

Status JsonPush::take_literal(char c) {
  if (c != *literal_rest_) return unexpected(c, "true, false or null");
  keep(c);
  if (*++literal_rest_ == '\0') return end_scalar(JsonScalar::Kind::literal);
  return ok();
}

Status JsonPush::end_scalar(JsonScalar::Kind kind) {
  if (!passing_over()) listener_.value(path(), {.kind = kind, .text = text_, .whole = whole_});
  end_value();
  return ok();
}

}  // namespace merino
