#include "cluster/etcd_json.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "cluster/printable.h"

namespace merino {
namespace {

constexpr size_t kDeepest = 32;
constexpr size_t kLongestKey = 64;  // no key of etcd's is as long; of a longer one the beginning is as unknown as the whole

class Walk final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Walk(const JsonSink& sink) : sink_(sink) {}

  Status result = ok();

  bool null() override { return !ends_.empty() || refuse("null"); }
  bool boolean(bool value) override { return scalar(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return scalar(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override { return scalar(std::to_string(value)); }
  bool number_float(number_float_t, const string_t& literal) override { return scalar(literal); }
  bool string(string_t& value) override { return scalar(std::move(value)); }
  bool binary(binary_t&) override { return false; }

  bool key(string_t& value) override {
    path_.resize(ends_.back());
    if (!path_.empty()) path_ += '.';
    path_ += std::string_view(value).substr(0, kLongestKey);
    return true;
  }
  bool start_object(size_t) override { return open(); }
  bool end_object() override {
    path_.resize(ends_.back());
    ends_.pop_back();
    std::string none;
    return keep(sink_(JsonPart::end_of_object, path_, none));
  }
  bool start_array(size_t) override { return ends_.empty() ? refuse("an array") : open(); }
  bool end_array() override {
    path_.resize(ends_.back());
    ends_.pop_back();
    return true;
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    result = fail(ErrorKind::decode, "not valid JSON at byte {}", position);
    return false;
  }

 private:
  bool open() {
    if (ends_.size() == kDeepest) {
      result = fail(ErrorKind::decode, "JSON is nested deeper than {} levels", kDeepest);
      return false;
    }
    ends_.push_back(path_.size());
    return true;
  }
  bool scalar(std::string text) {
    if (ends_.empty()) return refuse("a single value");
    return keep(sink_(JsonPart::scalar, path_, text));
  }
  bool refuse(std::string_view found) {
    result = fail(ErrorKind::decode, "not a JSON object but {}", found);
    return false;
  }
  bool keep(Status status) {
    result = std::move(status);
    return result.has_value();
  }

  const JsonSink& sink_;
  std::string path_;
  std::vector<size_t> ends_;  // how long the path of each open container is
};

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> make_values() {
  std::array<int8_t, 256> values{};
  for (auto& value : values) value = -1;
  for (size_t i = 0; i < kAlphabet.size(); ++i) values[static_cast<uint8_t>(kAlphabet[i])] = static_cast<int8_t>(i);
  return values;
}
constexpr std::array<int8_t, 256> kValues = make_values();

}  // namespace

Status walk_json(const std::string& text, const JsonSink& sink) {
  Walk walk(sink);
  if (nlohmann::json::sax_parse(text, &walk)) return ok();
  if (walk.result) return fail(ErrorKind::decode, "not valid JSON");
  return walk.result;
}

std::string quote_json(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string encode_base64(std::string_view bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](size_t n) { return i + n < bytes.size() ? static_cast<uint32_t>(static_cast<uint8_t>(bytes[i + n])) : 0U; };
    const uint32_t group = byte(0) << 16U | byte(1) << 8U | byte(2);
    out += kAlphabet[group >> 18U & 63U];
    out += kAlphabet[group >> 12U & 63U];
    out += i + 1 < bytes.size() ? kAlphabet[group >> 6U & 63U] : '=';
    out += i + 2 < bytes.size() ? kAlphabet[group & 63U] : '=';
  }
  return out;
}

Result<std::string> decode_base64(std::string_view text) {
  const auto bad = [&] { return fail(ErrorKind::decode, "\"{}\" is not base64", printable(text)); };
  if (text.size() % 4 != 0) return bad();
  size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  std::string out;
  out.reserve(text.size() / 4 * 3);
  for (size_t i = 0; i < text.size(); i += 4) {
    uint32_t group = 0;
    for (size_t n = 0; n < 4; ++n) {
      const bool is_padding = i + n >= text.size() - padding;
      const int value = is_padding ? 0 : kValues[static_cast<uint8_t>(text[i + n])];
      if (value < 0) return bad();
      group = group << 6U | static_cast<uint32_t>(value);
    }
    out += static_cast<char>(group >> 16U & 255U);
    out += static_cast<char>(group >> 8U & 255U);
    out += static_cast<char>(group & 255U);
  }
  out.resize(out.size() - padding);
  return out;
}

Result<int64_t> decode_int64(std::string_view path, std::string_view text) {
  int64_t value = 0;
  const auto number = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || number.ec != std::errc() || number.ptr != text.data() + text.size()) {
    return fail(ErrorKind::decode, "{} must be a whole number, found \"{}\"", path, printable(text));
  }
  return value;
}

}  // namespace merino
