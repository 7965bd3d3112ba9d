#include "cluster/etcd_leases.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace merino {
namespace {

constexpr std::chrono::seconds kSameMoment{1};  // two readings of two clocks

// Key and value as flannel's; of overlapping leases the one that was created first is older.
LeaseClaim parse_claim(const std::string& name, const EtcdKeyValue& kv, SystemTime now) {
  LeaseClaim claim;
  claim.born = kv.create_revision;
  const auto subnets = parse_subnet_key(name);
  auto attributes = parse_lease_attributes(kv.value);
  if (!subnets) {
    claim.reason = subnets.error().message();
  } else if (!attributes) {
    claim.reason = attributes.error().message();
  } else {
    const SystemTime expires = kv.lease == 0 ? kNeverExpires : now + kLeaseTtl;
    claim.lease = std::make_shared<const Lease>(Lease{.subnet = *subnets, .attributes = *std::move(attributes), .expires = expires});
  }
  return claim;
}

}  // namespace

SystemTime expiry_of(const EtcdLease& lease) {
  return std::chrono::system_clock::now() + std::chrono::duration_cast<SystemTime::duration>(lease.ends - boot_time());
}

std::string EtcdLeases::name_of(const std::string& key) const { return key.starts_with(directory_) ? key.substr(directory_.size()) : key; }

void EtcdLeases::put(const EtcdKeyValue& kv) {
  const std::string name = name_of(kv.key);
  remove(name);
  const auto added = records_.emplace(name, Record{.standing = {.mod_revision = kv.mod_revision, .lease = kv.lease},
                                                   .text_hash = std::hash<std::string>()(kv.value),
                                                   .claim = parse_claim(name, kv, std::chrono::system_clock::now())});
  contest_.add(name, added.first->second.claim);
  if (kv.lease != 0 && kv.lease == own_id_) own_names_.push_back(name);
  revision_ = std::max(revision_, kv.mod_revision);
}

bool EtcdLeases::remove(const std::string& name) {
  const auto known = records_.find(name);
  if (known == records_.end()) return false;
  contest_.remove(known->second.claim);
  records_.erase(known);
  std::erase(own_names_, name);
  return true;
}

void EtcdLeases::reset(const std::vector<EtcdKeyValue>& kvs) {
  // What was known and has not changed keeps its estimated end, so that a set that is read again is the same set.
  Records before;
  before.swap(records_);
  contest_ = LeaseContest(contest_.rules());
  own_names_.clear();
  own_id_ = 0;
  revision_ = 0;
  records_.reserve(kvs.size());
  for (const EtcdKeyValue& kv : kvs) {
    const std::string name = name_of(kv.key);
    const auto known = before.find(name);
    const bool same = known != before.end() && known->second.standing == EtcdStanding{kv.mod_revision, kv.lease} &&
                      known->second.claim.born == kv.create_revision && known->second.text_hash == std::hash<std::string>()(kv.value);
    if (!same) {
      put(kv);
      continue;
    }
    remove(name);
    const auto kept = records_.insert(before.extract(known));
    contest_.add(name, kept.position->second.claim);
    revision_ = std::max(revision_, kv.mod_revision);
  }
}

Result<bool> EtcdLeases::apply(const EtcdEvent& event) {
  if (event.kv.mod_revision < revision_) {
    return fail(ErrorKind::decode, "a change of revision {} came after one of revision {}", event.kv.mod_revision, revision_);
  }
  revision_ = event.kv.mod_revision;
  if (event.type == EtcdEvent::Type::removed) return remove(name_of(event.kv.key));
  put(event.kv);
  return true;
}

void EtcdLeases::update(const Subnets& subnets, const std::vector<EtcdKeyValue>& found) {
  remove(format_subnet_key(subnets));
  for (const EtcdKeyValue& kv : found) put(kv);
}

const EtcdStanding* EtcdLeases::find(const Subnets& subnets) const {
  const auto record = records_.find(format_subnet_key(subnets));
  return record == records_.end() ? nullptr : &record->second.standing;
}

void EtcdLeases::set_expiry(Records::value_type& entry, SystemTime expires) {
  LeaseClaim& claim = entry.second.claim;
  if (!claim.lease) return;
  contest_.remove(claim);
  Lease lease = *claim.lease;
  lease.expires = expires;
  claim.lease = std::make_shared<const Lease>(std::move(lease));
  contest_.add(entry.first, claim);
}

// Which keys hang on the own etcd lease; and what has come to its estimated end, and stands there all the same, gets another one.
void EtcdLeases::look_through(SystemTime now, int64_t own_id) {
  own_id_ = own_id;
  own_names_.clear();
  next_look_ = now + kLeaseTtl;
  for (auto& entry : records_) {
    const auto& [standing, hash, claim] = entry.second;
    if (own_id != 0 && standing.lease == own_id) own_names_.push_back(entry.first);
    if (claim.lease && claim.lease->expires <= now) set_expiry(entry, now + kLeaseTtl);
    if (claim.lease) next_look_ = std::min(next_look_, claim.lease->expires);
  }
}

void EtcdLeases::weigh_anew(const LeaseRules& rules) {
  contest_ = LeaseContest(rules);
  for (const auto& [name, record] : records_) contest_.add(name, record.claim);
}

LeaseSet EtcdLeases::set(const NetConf* conf, const EtcdLease& own) {
  const SystemTime now = std::chrono::system_clock::now();
  if (const LeaseRules rules = lease_rules(conf); rules != contest_.rules()) weigh_anew(rules);
  if (now >= next_look_ || own.id != own_id_) look_through(now, own.id);
  for (const std::string& name : own_names_) {
    auto& entry = *records_.find(name);
    SystemTime expires = expiry_of(own);
    if (expires <= now) expires = now + kLeaseTtl;  // it stands there, so it has not ended
    const auto& lease = entry.second.claim.lease;
    if (lease && std::chrono::abs(lease->expires - expires) > kSameMoment) set_expiry(entry, expires);
  }
  return contest_.set();
}

std::vector<Subnets> blocked_subnets(const std::vector<RejectedLease>& rejected) {
  std::vector<Subnets> blocked;
  for (const RejectedLease& lease : rejected) {
    auto subnets = parse_subnet_key(lease.key);
    // Of a name that only begins like a lease's of both families.
    if (!subnets) subnets = parse_subnet_key(lease.key.substr(0, lease.key.find('&')));
    if (subnets) blocked.push_back(*subnets);
  }
  return blocked;
}

}  // namespace merino
