// Requests to etcd v3 and its answers, as its JSON gateway writes them (3.4 and newer). Answers are hostile input: what misses a part that
// is needed, or has another type, is a decode error that names it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace merino {

struct EtcdKeyValue {
  std::string key;
  std::string value;
  int64_t create_revision = 0;
  int64_t mod_revision = 0;
  int64_t lease = 0;  // 0: none, the key stays for ever
  bool operator==(const EtcdKeyValue&) const = default;
};

struct EtcdRange {
  int64_t revision = 0;  // of the store
  std::vector<EtcdKeyValue> kvs;
  bool more = false;
};

struct EtcdTxn {
  bool succeeded = false;
  std::vector<EtcdKeyValue> found;  // what stands there instead, if it did not succeed
};

struct EtcdEvent {
  enum class Type { put, removed };
  Type type = Type::put;
  EtcdKeyValue kv;  // of a removed one: key and mod_revision
};

struct EtcdWatchAnswer {
  int64_t revision = 0;  // of the store; 0: not said
  bool created = false;
  bool canceled = false;
  int64_t compact_revision = 0;  // canceled because the history before it is gone
  std::string cancel_reason;
  std::vector<EtcdEvent> events;
};

struct EtcdLeaseState {
  std::chrono::seconds ttl{0};  // 0 or less: there is no such lease
  std::vector<std::string> keys;
};

// `code` is that of gRPC.
struct EtcdError {
  int64_t code = -1;
  std::string message;
};

// Which keys: from `key` to before `end`; an empty `end`: `key` alone. All that begin with P: from P to end_of_prefix(P).
struct EtcdKeys {
  std::string key;
  std::string end;
};
std::string end_of_prefix(std::string prefix);

struct EtcdPut {
  std::string key;
  std::string value;
  int64_t lease = 0;
};

std::string encode_range(const EtcdKeys& keys, size_t limit, int64_t revision);  // revision 0: now
// If the key's mod_revision is still `mod_revision` (0: there is no such key).
std::string encode_put_if(const EtcdPut& put, int64_t mod_revision);
std::string encode_delete_if(const std::string& key, int64_t mod_revision);
std::string encode_grant(std::chrono::seconds ttl);
std::string encode_lease(int64_t id);  // for keepalive and revoke
std::string encode_time_to_live(int64_t id);
std::string encode_watch(const EtcdKeys& keys, int64_t start_revision);
std::string encode_authenticate(const std::string& name, const std::string& password);

Result<EtcdRange> decode_range(const std::string& body);
Result<EtcdTxn> decode_txn(const std::string& body);
Result<int64_t> decode_grant(const std::string& body);
Result<EtcdLeaseState> decode_keep_alive(const std::string& body);
Result<EtcdLeaseState> decode_time_to_live(const std::string& body);
Result<EtcdWatchAnswer> decode_watch(const std::string& line);
Result<std::string> decode_token(const std::string& body);
// decode: not an error that etcd wrote.
Result<EtcdError> decode_error(const std::string& body);

}  // namespace merino
