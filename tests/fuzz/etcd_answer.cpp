#include "cluster/etcd_json.h"
#include "cluster/etcd_messages.h"
#include "property.h"

namespace merino::fuzz {
namespace {

template <class T>
bool read(const Result<T>& answer) {
  if (!answer) require_good(answer.error());
  return answer.has_value();
}

void require_keys(const std::vector<EtcdKeyValue>& kvs) {
  for (const EtcdKeyValue& kv : kvs) require(!kv.key.empty() && kv.mod_revision > 0, "what stands in etcd has a key and a revision");
}

}  // namespace
}  // namespace merino::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merino;
  using namespace merino::fuzz;
  const std::string text(data, data + size);
  if (const auto range = decode_range(text); read(range)) {
    require(range->revision > 0, "a range is of a revision");
    require(!range->more || !range->kvs.empty(), "more comes after some");
    require_keys(range->kvs);
  }
  if (const auto txn = decode_txn(text); read(txn)) require_keys(txn->found);
  if (const auto watch = decode_watch(text); read(watch)) {
    for (const EtcdEvent& event : watch->events) require_keys({event.kv});
  }
  if (const auto token = decode_token(text); read(token)) require(token->find_first_of("\r\n") == std::string::npos, "a token is one word");
  if (const auto error = decode_error(text); read(error)) require(error->message.size() < 300, "a message has bearable length");
  read(decode_grant(text));
  read(decode_keep_alive(text));
  read(decode_time_to_live(text));
  if (const auto bytes = decode_base64(text); read(bytes)) require(decode_base64(encode_base64(*bytes)) == *bytes, "base64 is undone");
  return 0;
}
