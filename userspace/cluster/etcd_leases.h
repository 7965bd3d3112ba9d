// The keys under <prefix>/subnets/ as they change, and the set of leases that they make.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/clocks.h"
#include "base/result.h"
#include "cluster/etcd_messages.h"
#include "cluster/lease_contest.h"
#include "cluster/lease_directory.h"

namespace merino {

// An etcd lease of this process' own. Its end is known; those of other leases are not, and nobody needs them: etcd removes what has ended.
struct EtcdLease {
  int64_t id = 0;                    // 0: none
  std::chrono::nanoseconds ends{0};  // of boot_time()
};

// The same moment on the clock that leases tell.
SystemTime expiry_of(const EtcdLease& lease);

// How a key stands in etcd.
struct EtcdStanding {
  int64_t mod_revision = 0;
  int64_t lease = 0;  // 0: none, the key stays for ever
  bool operator==(const EtcdStanding&) const = default;
};

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

  // What stands at the key of `subnets`; nullptr if there is nothing.
  [[nodiscard]] const EtcdStanding* find(const Subnets& subnets) const;

  // Leases and rejected keys, by the rules in etcd_source.h. `conf` is nullptr while it is not known.
  [[nodiscard]] LeaseSet set(const NetConf* conf, const EtcdLease& own);

  [[nodiscard]] std::string key_of(const Subnets& subnets) const { return directory_ + format_subnet_key(subnets); }

 private:
  // What the text said is all that is kept of it.
  struct Record {
    EtcdStanding standing;
    size_t text_hash = 0;
    LeaseClaim claim;
  };
  using Records = std::unordered_map<std::string, Record>;  // by name: the key without the directory

  void put(const EtcdKeyValue& kv);
  bool remove(const std::string& name);
  void set_expiry(Records::value_type& entry, SystemTime expires);
  void look_through(SystemTime now, int64_t own_id);
  void weigh_anew(const LeaseRules& rules);
  [[nodiscard]] std::string name_of(const std::string& key) const;

  std::string directory_;
  Records records_;
  LeaseContest contest_;  // of the records' claims
  int64_t revision_ = 0;  // of the newest change that is known
  int64_t own_id_ = 0;    // of the own etcd lease, and what hangs on it
  std::vector<std::string> own_names_;
  SystemTime next_look_;  // when the first of the others' estimated ends has come
};

// The subnets that rejected keys name: not to be leased to others.
std::vector<Subnets> blocked_subnets(const std::vector<RejectedLease>& rejected);

}  // namespace merino
