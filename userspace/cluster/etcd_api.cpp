#include "cluster/etcd_api.h"

#include <iterator>

#include "base/printable.h"

namespace merino {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr size_t kKeysPerPage = 50000;
constexpr size_t kMostKeys = 1U << 20U;
constexpr milliseconds kRangeTimeout{20000};
// etcd says something at least every 10 to 11 minutes (progress_notify).
constexpr minutes kLongestSilence{15};

template <class T, class Decode>
EtcdReader into(T& out, Decode decode) {
  return [&out, decode](const std::string& body) -> Status {
    out = TRY(decode(body));
    return ok();
  };
}

}  // namespace

Result<EtcdRange> EtcdApi::range_page(const EtcdKeys& keys, int64_t revision) {
  EtcdRange page;
  TRY(gateway_.call({"/v3/kv/range", encode_range(keys, kKeysPerPage, revision), kRangeTimeout}, into(page, decode_range)));
  return page;
}

Result<EtcdRange> EtcdApi::range(const EtcdKeys& keys) {
  EtcdRange all = TRY(range_page(keys, 0));
  while (all.more) {
    const std::string last = all.kvs.back().key;
    EtcdRange page = TRY(range_page({last + '\0', keys.end}, all.revision));
    if (page.kvs.empty() || page.kvs.front().key <= last || page.kvs.back().key <= last) {
      return fail(ErrorKind::decode, "{}: the keys after {} do not come after it", name(), printable(last));
    }
    if (all.kvs.size() + page.kvs.size() > kMostKeys) {
      return fail(ErrorKind::exhausted, "{}: more than {} keys begin with {}", name(), kMostKeys, keys.key);
    }
    all.more = page.more;
    all.kvs.insert(all.kvs.end(), std::make_move_iterator(page.kvs.begin()), std::make_move_iterator(page.kvs.end()));
  }
  return all;
}

Result<EtcdTxn> EtcdApi::transact(std::string body) {
  EtcdTxn txn;
  TRY(gateway_.call({"/v3/kv/txn", std::move(body)}, into(txn, decode_txn)));
  return txn;
}

Result<EtcdTxn> EtcdApi::put_if(const EtcdPut& put, int64_t mod_revision) { return transact(encode_put_if(put, mod_revision)); }

Result<EtcdTxn> EtcdApi::delete_if(const std::string& key, int64_t mod_revision) { return transact(encode_delete_if(key, mod_revision)); }

Result<int64_t> EtcdApi::grant(seconds ttl) {
  int64_t id = 0;
  TRY(gateway_.call({"/v3/lease/grant", encode_grant(ttl)}, into(id, decode_grant)));
  return id;
}

Result<seconds> EtcdApi::keep_alive(int64_t lease) {
  EtcdLeaseState state;
  TRY(gateway_.call({"/v3/lease/keepalive", encode_lease(lease)}, into(state, decode_keep_alive)));
  if (state.ttl <= seconds(0)) return fail(ErrorKind::not_found, "{}: there is no lease {} any more", name(), lease);
  return state.ttl;
}

Status EtcdApi::revoke_if_unused(int64_t lease) {
  EtcdLeaseState state;
  TRY(gateway_.call({"/v3/lease/timetolive", encode_time_to_live(lease)}, into(state, decode_time_to_live)));
  if (state.ttl <= seconds(0) || !state.keys.empty()) return ok();
  return gateway_.call({"/v3/lease/revoke", encode_lease(lease)}, [](const std::string&) { return ok(); });
}

Status EtcdApi::watch(const EtcdKeys& keys, int64_t start_revision, const std::function<Status(const EtcdWatchAnswer&)>& changed,
                      const std::function<Status()>& settled) {
  const auto read = [&](const std::string& line) -> Status {
    const auto answer = decode_watch(line);
    if (!answer) {
      gateway_.next_member();
      const auto error = decode_error(line);
      if (error) return fail(ErrorKind::unavailable, "/v3/watch: {}", error->message);
      return in_context(answer.error(), "/v3/watch: not an answer of etcd's");
    }
    if (answer->compact_revision > 0) return fail(ErrorKind::not_found, "/v3/watch: revision {} has been compacted", start_revision);
    if (answer->canceled) {
      gateway_.next_member();
      return fail(ErrorKind::unavailable, "/v3/watch: canceled: {}", answer->cancel_reason);
    }
    return changed(*answer);
  };
  return gateway_.stream({"/v3/watch", encode_watch(keys, start_revision), kLongestSilence}, read, settled);
}

}  // namespace merino
