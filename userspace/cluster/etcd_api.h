// The calls of etcd's that a lease store needs. Errors are those of EtcdGateway.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>

#include "base/result.h"
#include "cluster/etcd_gateway.h"
#include "cluster/etcd_messages.h"

namespace merino {

// One thread at a time. A request may be carried out twice, when its first answer was lost.
class EtcdApi {
 public:
  explicit EtcdApi(EtcdGateway gateway) : gateway_(std::move(gateway)) {}

  // All of them, as they were at one revision; one request unless there are more than 50,000.
  Result<EtcdRange> range(const EtcdKeys& keys);

  // Only if the key's mod_revision is still `mod_revision` (0: there is no such key).
  Result<EtcdTxn> put_if(const EtcdPut& put, int64_t mod_revision);
  Result<EtcdTxn> delete_if(const std::string& key, int64_t mod_revision);

  Result<int64_t> grant(std::chrono::seconds ttl);
  // Its time begins anew. What it has now; not_found if there is no such lease (any more).
  Result<std::chrono::seconds> keep_alive(int64_t lease);
  // Ends a lease if no key hangs on it.
  Status revoke_if_unused(int64_t lease);

  // Every change from `start_revision` on goes to `changed`; when all that have arrived were given to it, `settled` is called. An error of
  // either ends the watch. Returns when the stream ends: not_found if it cannot be had because the history from `start_revision` on is
  // gone.
  Status watch(const EtcdKeys& keys, int64_t start_revision, const std::function<Status(const EtcdWatchAnswer&)>& changed,
               const std::function<Status()>& settled);

  [[nodiscard]] std::string name() const { return gateway_.name(); }

 private:
  Result<EtcdTxn> transact(std::string body);
  Result<EtcdRange> range_page(const EtcdKeys& keys, int64_t revision);

  EtcdGateway gateway_;
};

}  // namespace merino
