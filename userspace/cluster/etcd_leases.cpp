#include "cluster/etcd_leases.h"

#include <algorithm>

namespace merino {
namespace {

// Key and value as flannel's; `born` decides between overlapping leases.
LeaseFile parse_record(const std::string& name, const EtcdKeyValue& kv) {
  LeaseFile file;
  file.born_ns = kv.create_revision;
  const auto subnets = parse_subnet_key(name);
  auto attributes = parse_lease_attributes(kv.value);
  if (!subnets) {
    file.reason = subnets.error().message();
  } else if (!attributes) {
    file.reason = attributes.error().message();
  } else {
    file.lease = {.subnet = *subnets, .attributes = *std::move(attributes), .expires = {}};
  }
  return file;
}

}  // namespace

SystemTime expiry_of(const EtcdLease& lease) {
  return std::chrono::system_clock::now() + std::chrono::duration_cast<SystemTime::duration>(lease.ends - boot_time());
}

std::string EtcdLeases::name_of(const std::string& key) const { return key.starts_with(directory_) ? key.substr(directory_.size()) : key; }

void EtcdLeases::put(const EtcdKeyValue& kv) {
  const std::string name = name_of(kv.key);
  Record record{.kv = kv, .parsed = parse_record(name, kv)};
  record.parsed.lease.expires = std::chrono::system_clock::now() + kLeaseTtl;
  records_.insert_or_assign(name, std::move(record));
  revision_ = std::max(revision_, kv.mod_revision);
}

void EtcdLeases::reset(const std::vector<EtcdKeyValue>& kvs) {
  // What was known and has not changed keeps its estimated end, so that a set that is read again is the same set.
  std::unordered_map<std::string, Record> before;
  before.swap(records_);
  revision_ = 0;
  for (const EtcdKeyValue& kv : kvs) {
    const auto known = before.find(name_of(kv.key));
    if (known != before.end() && known->second.kv == kv) {
      revision_ = std::max(revision_, kv.mod_revision);
      records_.insert_or_assign(known->first, known->second);
    } else {
      put(kv);
    }
  }
}

Result<bool> EtcdLeases::apply(const EtcdEvent& event) {
  if (event.kv.mod_revision < revision_) {
    return fail(ErrorKind::decode, "a change of revision {} came after one of revision {}", event.kv.mod_revision, revision_);
  }
  revision_ = event.kv.mod_revision;
  if (event.type == EtcdEvent::Type::removed) return records_.erase(name_of(event.kv.key)) > 0;
  put(event.kv);
  return true;
}

void EtcdLeases::update(const Subnets& subnets, const std::vector<EtcdKeyValue>& found) {
  records_.erase(format_subnet_key(subnets));
  for (const EtcdKeyValue& kv : found) put(kv);
}

const EtcdKeyValue* EtcdLeases::find(const Subnets& subnets) const {
  const auto record = records_.find(format_subnet_key(subnets));
  return record == records_.end() ? nullptr : &record->second.kv;
}

LeaseSet EtcdLeases::set(const NetConf* conf, const EtcdLease& own) {
  const SystemTime now = std::chrono::system_clock::now();
  LeaseFiles files;
  files.reserve(records_.size());
  for (auto& [name, record] : records_) {
    SystemTime& expires = record.parsed.lease.expires;
    if (record.kv.lease == 0) {
      expires = kNeverExpires;
    } else if (record.kv.lease == own.id) {
      expires = expiry_of(own);
    }
    if (expires <= now) expires = now + kLeaseTtl;  // it stands there, so it has not ended
    files.emplace(name, record.parsed);
  }
  return make_lease_set(files, now, conf);
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
