// The keys under <prefix>/subnets/ as they change, and the set of leases that they make.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/boot_time.h"
#include "base/result.h"
#include "cluster/etcd_messages.h"
#include "cluster/lease_directory.h"

namespace merino {

// An etcd lease of this process' own. Its end is known; those of other leases are not, and nobody needs them: etcd removes what has ended.
struct EtcdLease {
  int64_t id = 0;                    // 0: none
  std::chrono::nanoseconds ends{0};  // of boot_time()
};

// The same moment on the clock that leases tell.
SystemTime expiry_of(const EtcdLease& lease);

class EtcdLeases {
 public:
  // `directory` is "<prefix>/subnets/".
  explicit EtcdLeases(std::string directory) : directory_(std::move(directory)) {}

  // All keys at one revision.
  void reset(const std::vector<EtcdKeyValue>& kvs);

  // True if it made a difference. decode: an event that is older than one before it; everything must be read again.
  Result<bool> apply(const EtcdEvent& event);

  // What stands at one key now; nothing if `found` is empty.
  void update(const Subnets& subnets, const std::vector<EtcdKeyValue>& found);

  // What stands at the key of `subnets`, as etcd gave it; nullptr if there is nothing.
  [[nodiscard]] const EtcdKeyValue* find(const Subnets& subnets) const;

  // Leases and rejected keys, by the rules in etcd_source.h. `conf` is nullptr while it is not known.
  [[nodiscard]] LeaseSet set(const NetConf* conf, const EtcdLease& own);

  [[nodiscard]] std::string key_of(const Subnets& subnets) const { return directory_ + format_subnet_key(subnets); }

 private:
  struct Record {
    EtcdKeyValue kv;
    LeaseFile parsed;
  };
  void put(const EtcdKeyValue& kv);
  [[nodiscard]] std::string name_of(const std::string& key) const;

  std::string directory_;
  std::unordered_map<std::string, Record> records_;  // by name: the key without the directory
  int64_t revision_ = 0;                             // of the newest change that is known
};

// The subnets that rejected keys name: not to be leased to others.
std::vector<Subnets> blocked_subnets(const std::vector<RejectedLease>& rejected);

}  // namespace merino
