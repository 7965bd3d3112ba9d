#include "cluster/etcd_json.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/printable.h"

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

}  // namespace

Status walk_json(const std::string& text, const JsonSink& sink) {
  Walk walk(sink);
  if (nlohmann::json::sax_parse(text, &walk)) return ok();
  if (walk.result) return fail(ErrorKind::decode, "not valid JSON");
  return walk.result;
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
