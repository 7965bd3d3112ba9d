#include "cluster/etcd_messages.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/printable.h"
#include "cluster/etcd_json.h"
#include "cluster/json_object.h"

namespace merino {
namespace {

constexpr size_t kLongestReason = 200;

std::string in_base64(std::string_view bytes) { return fmt::format("\"{}\"", encode_base64(bytes)); }

std::string encode_keys(const EtcdKeys& keys) {
  std::string out = fmt::format(R"("key":{})", in_base64(keys.key));
  if (!keys.end.empty()) out += fmt::format(R"(,"range_end":{})", in_base64(keys.end));
  return out;
}

std::string encode_txn(const std::string& key, int64_t mod_revision, const std::string& success) {
  return fmt::format(
      R"({{"compare":[{{"key":{0},"target":"MOD","result":"EQUAL","mod_revision":"{1}"}}],"success":[{2}],"failure":[{{"request_range":{{"key":{0}}}}}]}})",
      in_base64(key), mod_revision, success);
}

// Where containers stand in answers: a single value in such a place is not to be taken for an empty one.
constexpr std::array<std::string_view, 10> kContainers{
    "header", "kvs",           "responses",     "responses.response_range", "responses.response_range.kvs",
    "result", "result.header", "result.events", "result.events.kv",         "responses.response_put"};

// walk_json() of an answer: scalars and ends go to `sink`.
Status walk_answer(const std::string& body, const JsonSink& sink) {
  return walk_json(body, [&](JsonPart part, std::string_view path, std::string& text) -> Status {
    if (part == JsonPart::scalar && std::find(kContainers.begin(), kContainers.end(), path) != kContainers.end()) {
      return fail(ErrorKind::decode, "{} must not be a single value, found \"{}\"", path, printable(text));
    }
    return sink(part, path, text);
  });
}

Status read_number(std::string_view path, std::string_view text, int64_t& number) {
  number = TRY(decode_int64(path, text));
  if (number < 0) return fail(ErrorKind::decode, "{} must not be negative, found {}", path, number);
  return ok();
}

// Collects the objects at one path into key-value pairs.
class KeyValueReader {
 public:
  explicit KeyValueReader(std::string_view path) : path_(path) {}

  Status take(std::string_view path, std::string& text) {
    if (path.size() <= path_.size() + 1 || !path.starts_with(path_) || path[path_.size()] != '.') return ok();
    const std::string_view name = path.substr(path_.size() + 1);
    if (name == "key") return take_bytes(path, text, kv_.key);
    if (name == "value") return take_bytes(path, text, kv_.value);
    if (name == "create_revision") return read_number(path, text, kv_.create_revision);
    if (name == "mod_revision") return read_number(path, text, kv_.mod_revision);
    if (name == "lease") return take_lease(path, text);
    return ok();
  }

  Result<EtcdKeyValue> finish() {
    EtcdKeyValue done = std::exchange(kv_, {});
    if (done.key.empty()) return fail(ErrorKind::decode, "{}.key is missing", path_);
    if (done.mod_revision == 0) return fail(ErrorKind::decode, "{}.mod_revision is missing", path_);
    return done;
  }

  [[nodiscard]] std::string_view path() const { return path_; }

 private:
  static Status take_bytes(std::string_view path, std::string_view text, std::string& bytes) {
    auto decoded = decode_base64(text);
    if (!decoded) return in_context(std::move(decoded).error(), path);
    bytes = *std::move(decoded);
    return ok();
  }
  Status take_lease(std::string_view path, std::string_view text) {  // of any sign: whoever asks for a lease may choose its number
    kv_.lease = TRY(decode_int64(path, text));
    return ok();
  }

  std::string_view path_;
  EtcdKeyValue kv_;
};

Status read_seconds(std::string_view path, std::string_view text, std::chrono::seconds& seconds) {
  constexpr int64_t kLongest = 10L * 365 * 86400;  // what is longer is cut, so that it can be added to any time
  seconds = std::chrono::seconds(std::clamp<int64_t>(TRY(decode_int64(path, text)), -1, kLongest));
  return ok();
}

}  // namespace

std::string end_of_prefix(std::string prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (prefix.empty()) {
    prefix.assign(1, '\0');  // etcd's word for "to the end"
  } else {
    prefix.back() = static_cast<char>(static_cast<uint8_t>(prefix.back()) + 1);
  }
  return prefix;
}

std::string encode_range(const EtcdKeys& keys, size_t limit, int64_t revision) {
  return fmt::format(R"({{{},"limit":"{}","revision":"{}"}})", encode_keys(keys), limit, revision);
}

std::string encode_put_if(const EtcdPut& put, int64_t mod_revision) {
  return encode_txn(
      put.key, mod_revision,
      fmt::format(R"({{"request_put":{{"key":{},"value":{},"lease":"{}"}}}})", in_base64(put.key), in_base64(put.value), put.lease));
}

std::string encode_delete_if(const std::string& key, int64_t mod_revision) {
  return encode_txn(key, mod_revision, fmt::format(R"({{"request_delete_range":{{"key":{}}}}})", in_base64(key)));
}

std::string encode_grant(std::chrono::seconds ttl) { return fmt::format(R"({{"TTL":"{}"}})", ttl.count()); }

std::string encode_lease(int64_t id) { return fmt::format(R"({{"ID":"{}"}})", id); }

std::string encode_time_to_live(int64_t id) { return fmt::format(R"({{"ID":"{}","keys":true}})", id); }

std::string encode_watch(const EtcdKeys& keys, int64_t start_revision) {
  return fmt::format(R"({{"create_request":{{{},"start_revision":"{}","progress_notify":true}}}})", encode_keys(keys), start_revision);
}

std::string encode_authenticate(const std::string& name, const std::string& password) {
  return fmt::format(R"({{"name":{},"password":{}}})", quote_json(name), quote_json(password));
}

Result<EtcdRange> decode_range(const std::string& body) {
  EtcdRange range;
  int64_t count = 0;
  KeyValueReader reader("kvs");
  const JsonSink sink = [&](JsonPart part, std::string_view path, std::string& text) -> Status {
    if (part == JsonPart::end_of_object) {
      if (path == reader.path()) range.kvs.push_back(TRY(reader.finish()));
      return ok();
    }
    if (path == "header.revision") return read_number(path, text, range.revision);
    if (path == "count") return read_number(path, text, count);
    if (path == "more") range.more = text == "true";
    return reader.take(path, text);
  };
  TRY(walk_answer(body, sink));
  if (range.revision == 0) return fail(ErrorKind::decode, "header.revision is missing");
  const auto got = static_cast<int64_t>(range.kvs.size());
  if (range.more ? got == 0 || got >= count : got != count) {
    return fail(ErrorKind::decode, "count is {} and there are {} kvs", count, got);
  }
  return range;
}

Result<EtcdTxn> decode_txn(const std::string& body) {
  EtcdTxn txn;
  int64_t revision = 0;
  KeyValueReader reader("responses.response_range.kvs");
  const JsonSink sink = [&](JsonPart part, std::string_view path, std::string& text) -> Status {
    if (part == JsonPart::end_of_object) {
      if (path == reader.path()) txn.found.push_back(TRY(reader.finish()));
      return ok();
    }
    if (path == "header.revision") return read_number(path, text, revision);
    if (path == "succeeded") txn.succeeded = text == "true";
    return reader.take(path, text);
  };
  TRY(walk_answer(body, sink));
  if (revision == 0) return fail(ErrorKind::decode, "header.revision is missing");
  return txn;
}

Result<int64_t> decode_grant(const std::string& body) {
  int64_t id = 0;
  const JsonSink sink = [&](JsonPart part, std::string_view path, std::string& text) -> Status {
    if (part == JsonPart::scalar && path == "ID") id = TRY(decode_int64(path, text));
    return ok();
  };
  TRY(walk_answer(body, sink));
  if (id == 0) return fail(ErrorKind::decode, "ID is missing");
  return id;
}

Result<EtcdLeaseState> decode_keep_alive(const std::string& body) {
  EtcdLeaseState state;
  bool answered = false;
  const JsonSink sink = [&](JsonPart part, std::string_view path, std::string& text) -> Status {
    if (part != JsonPart::scalar) return ok();
    if (path == "result.ID") answered = true;
    if (path == "result.TTL") return read_seconds(path, text, state.ttl);
    return ok();
  };
  TRY(walk_answer(body, sink));
  if (!answered) return fail(ErrorKind::decode, "result.ID is missing");
  return state;
}

Result<EtcdLeaseState> decode_time_to_live(const std::string& body) {
  EtcdLeaseState state;
  bool answered = false;
  const JsonSink sink = [&](JsonPart part, std::string_view path, std::string& text) -> Status {
    if (part != JsonPart::scalar) return ok();
    if (path == "ID") answered = true;
    if (path == "TTL") return read_seconds(path, text, state.ttl);
    if (path == "keys") state.keys.push_back(TRY(decode_base64(text)));
    return ok();
  };
  TRY(walk_answer(body, sink));
  if (!answered) return fail(ErrorKind::decode, "ID is missing");
  return state;
}

Result<EtcdWatchAnswer> decode_watch(const std::string& line) {
  EtcdWatchAnswer answer;
  EtcdEvent::Type type = EtcdEvent::Type::put;
  bool has_result = false;
  bool has_kv = false;
  KeyValueReader reader("result.events.kv");
  const JsonSink sink = [&](JsonPart part, std::string_view path, std::string& text) -> Status {
    if (part == JsonPart::end_of_object) {
      has_result = has_result || path == "result";
      has_kv = has_kv || path == reader.path();
      if (path != "result.events") return ok();
      if (!std::exchange(has_kv, false)) return fail(ErrorKind::decode, "result.events.kv is missing");
      answer.events.push_back({std::exchange(type, EtcdEvent::Type::put), TRY(reader.finish())});
      return ok();
    }
    if (path == "result.header.revision") return read_number(path, text, answer.revision);
    if (path == "result.created") answer.created = text == "true";
    if (path == "result.canceled") answer.canceled = text == "true";
    if (path == "result.compact_revision") return read_number(path, text, answer.compact_revision);
    if (path == "result.cancel_reason") answer.cancel_reason = printable(text, kLongestReason);
    if (path == "result.events.type") {
      if (text != "PUT" && text != "DELETE") return fail(ErrorKind::decode, "{} is \"{}\"", path, printable(text));
      type = text == "DELETE" ? EtcdEvent::Type::removed : EtcdEvent::Type::put;
    }
    return reader.take(path, text);
  };
  TRY(walk_answer(line, sink));
  if (!has_result) return fail(ErrorKind::decode, "result is missing");
  return answer;
}

Result<std::string> decode_token(const std::string& body) {
  std::string token;
  const JsonSink sink = [&](JsonPart part, std::string_view path, std::string& text) -> Status {
    if (part == JsonPart::scalar && path == "token") token = std::move(text);
    return ok();
  };
  TRY(walk_answer(body, sink));
  const bool is_word = std::all_of(token.begin(), token.end(), [](char c) { return c > ' ' && c < 127; });
  if (token.empty() || !is_word) return fail(ErrorKind::decode, "token is missing, or no word");  // it becomes a header
  return token;
}

Result<EtcdError> decode_error(const std::string& body) {
  EtcdError error;
  const JsonSink sink = [&](JsonPart part, std::string_view path, std::string& text) -> Status {
    if (part != JsonPart::scalar) return ok();
    if (path == "code" || path == "error.grpc_code" || path == "error.code") error.code = TRY(decode_int64(path, text));
    if (path == "message" || path == "error.message" || (path == "error" && error.message.empty())) {
      error.message = printable(text, kLongestReason);
    }
    return ok();
  };
  TRY(walk_answer(body, sink));
  if (error.message.empty()) return fail(ErrorKind::decode, "message is missing");
  return error;
}

}  // namespace merino
