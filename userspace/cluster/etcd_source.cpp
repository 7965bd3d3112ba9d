#include "cluster/etcd_source.h"

#include <fmt/format.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <optional>
#include <random>
#include <utility>

#include "base/clocks.h"
#include "cluster/allocate.h"
#include "cluster/etcd_api.h"
#include "cluster/etcd_gateway.h"
#include "cluster/etcd_leases.h"

namespace merino {
namespace {

constexpr std::chrono::minutes kClockStep{1};
constexpr std::chrono::seconds kFresh{10};
constexpr int kRestFactor = 3;

// path.Join() of flannel: without a slash at the end or a double one.
std::string clean_prefix(const std::string& prefix) {
  std::string out;
  for (const char c : prefix) {
    if (c != '/' || !out.ends_with('/')) out += c;
  }
  while (out.ends_with('/')) out.pop_back();
  return out;
}

class EtcdSource final : public LeaseSource {
 public:
  EtcdSource(const std::string& prefix, EtcdApi follower, EtcdApi writer, const StopSignal& stop)
      : stop_(stop),
        config_key_(prefix + "/config"),
        keys_{prefix + "/subnets/", end_of_prefix(prefix + "/subnets/")},
        follower_(std::move(follower)),
        writer_(std::move(writer)),
        name_(writer_.name()),
        followed_(keys_.key),
        random_(std::random_device{}()) {}

  [[nodiscard]] std::string name() const override { return name_; }
  Result<NetConf> load_conf(const std::string& path) override;
  Result<NodeHints> hints() override { return NodeHints{}; }
  Result<Lease> acquire(const NetConf& conf, const LeaseRequest& request) override;
  Result<Lease> renew(const Lease& lease) override;
  Status mark_ready() override { return ok(); }
  Status follow(const std::function<void(LeaseSet)>& changed) override;

 private:
  void rest(std::chrono::nanoseconds time) const;
  LeaseSet make_set(EtcdLeases& leases);
  Result<EtcdLeases> read_leases();
  Result<int64_t> read_followed();
  Result<std::optional<Lease>> write(EtcdLeases& leases, const Subnets& subnets, const LeaseAttributes& attributes);
  Result<EtcdLease> hold_lease();
  Result<bool> counts(EtcdLeases& leases, const Lease& lease);
  Status give_back(EtcdLeases& leases, const std::vector<Subnets>& unfit);
  [[nodiscard]] bool is_own(const Lease& found, const Lease& lease) const;
  void remember(const NetConf& conf);
  void remember(const EtcdLease& lease);
  EtcdLease own_lease();

  const StopSignal& stop_;
  const std::string config_key_;
  const EtcdKeys keys_;
  EtcdApi follower_;  // of the thread that follows
  EtcdApi writer_;    // of the other one
  const std::string name_;
  EtcdLeases followed_;
  std::optional<Lease> own_;  // as it was written last
  std::mt19937_64 random_;

  std::mutex mutex_;  // of what both threads use:
  std::optional<NetConf> conf_;
  EtcdLease lease_;
};

void EtcdSource::remember(const NetConf& conf) {
  const std::lock_guard lock(mutex_);
  conf_ = conf;
}

void EtcdSource::remember(const EtcdLease& lease) {
  const std::lock_guard lock(mutex_);
  lease_ = lease;
}

EtcdLease EtcdSource::own_lease() {
  const std::lock_guard lock(mutex_);
  return lease_;
}

LeaseSet EtcdSource::make_set(EtcdLeases& leases) {
  std::optional<NetConf> conf;
  EtcdLease own;
  {
    const std::lock_guard lock(mutex_);
    conf = conf_;
    own = lease_;
  }
  return leases.set(conf ? &*conf : nullptr, own);
}

Result<NetConf> EtcdSource::load_conf(const std::string&) {
  const std::string write_it =
      fmt::format(R"(etcdctl put {} '{{"Network": "10.244.0.0/16", "Backend": {{"Type": "vxlan"}}}}')", config_key_);
  const EtcdRange range = TRY(writer_.range({config_key_, ""}));
  if (range.kvs.empty()) {
    return with_remedy(fail(ErrorKind::unavailable, "{}: there is no key {}", name_, config_key_),
                       fmt::format("write it: {}; or name another by --etcd-prefix", write_it));
  }
  auto conf = parse_net_conf(range.kvs.front().value, "etcd key " + config_key_);
  if (!conf && conf.error().remedy.empty()) return with_remedy(tl::unexpected(std::move(conf).error()), "correct it: " + write_it);
  if (conf) remember(*conf);
  return conf;
}

Result<EtcdLeases> EtcdSource::read_leases() {
  EtcdLeases leases(keys_.key);
  leases.reset(TRY(writer_.range(keys_)).kvs);
  return leases;
}

Result<Lease> EtcdSource::acquire(const NetConf& conf, const LeaseRequest& request) {
  remember(conf);
  const auto& public_ip = request.attributes.public_ip;
  const Pick pick = [this](size_t bound) { return std::uniform_int_distribution<size_t>(0, bound - 1)(random_); };
  EtcdLeases leases = TRY(read_leases());
  TRY(give_back(leases, passed_over_leases(make_set(leases), public_ip)));
  for (int lost = 0; lost < kLostRaces; ++lost) {
    const LeaseSet set = make_set(leases);
    const auto choice = TRY(choose_subnets(conf, set.leases, blocked_subnets(set.rejected), public_ip, request.previous, pick));
    auto lease = TRY(write(leases, choice.subnets, request.attributes));
    if (!lease) continue;
    TRY(give_back(leases, unfit_leases(conf, set.leases, public_ip)));
    if (choice.held || TRY(counts(leases, *lease))) return *std::move(lease);
    TRY(give_back(leases, {choice.subnets}));
  }
  return fail(ErrorKind::unavailable, "{}: {} subnets in a row were taken by others meanwhile", name_, kLostRaces);
}

Result<Lease> EtcdSource::renew(const Lease& lease) {
  EtcdLeases leases = TRY(read_leases());
  for (int lost = 0; lost < kLostRaces; ++lost) {
    const LeaseSet set = make_set(leases);
    const auto found = std::find_if(set.leases.begin(), set.leases.end(),
                                    [&](const Lease& other) { return overlap(other.subnet, lease.subnet) && !is_own(other, lease); });
    if (found != set.leases.end()) {
      return with_remedy(fail(ErrorKind::exists, "lease of {}: {} holds {} now", to_string(lease.subnet),
                              to_string(found->attributes.public_ip), to_string(found->subnet)),
                         "restart merinod to lease another subnet");
    }
    // Deleted, ended or spoilt: nobody else takes a name with something in it that is no lease, so it is still this node's.
    const bool is_new = leases.find(lease.subnet) == nullptr;
    auto renewed = TRY(write(leases, lease.subnet, lease.attributes));
    if (!renewed) continue;
    if (!is_new || TRY(counts(leases, *renewed))) return *std::move(renewed);
    TRY(give_back(leases, {lease.subnet}));
  }
  return fail(ErrorKind::unavailable, "{}: the lease of {} is changed by somebody all the time", name_, to_string(lease.subnet));
}

bool EtcdSource::is_own(const Lease& found, const Lease& lease) const {
  if (found.subnet != lease.subnet) return false;
  // With another public IP it is still the own one if it is what was written last: the node's address changed.
  return is_same_node(found.attributes.public_ip, lease.attributes.public_ip) ||
         (own_ && own_->subnet == found.subnet && own_->attributes == found.attributes);
}

// An etcd lease that has all of its time before it: this process' own one, or a new one.
Result<EtcdLease> EtcdSource::hold_lease() {
  EtcdLease lease = own_lease();
  const auto asked = boot_time();
  if (lease.id != 0 && lease.ends - asked > kLeaseTtl - kFresh) return lease;  // the race before was lost, not the lease
  if (lease.id != 0) {
    const auto ttl = writer_.keep_alive(lease.id);
    if (!ttl && ttl.error().kind != ErrorKind::not_found) return tl::unexpected(ttl.error());
    lease = ttl ? EtcdLease{.id = lease.id, .ends = asked + *ttl} : EtcdLease{};
  }
  if (lease.id == 0) lease = {.id = TRY(writer_.grant(kLeaseTtl)), .ends = asked + kLeaseTtl};
  remember(lease);  // before a key hangs on it: the watch may be faster than the answer to the put
  return lease;
}

// Writes the key of `subnets` if it is still as `leases` has it. nullopt: it is not, and `leases` has it as it is now; or the etcd lease is
// gone, and the next attempt gets another.
Result<std::optional<Lease>> EtcdSource::write(EtcdLeases& leases, const Subnets& subnets, const LeaseAttributes& attributes) {
  const EtcdStanding* known = leases.find(subnets);
  const EtcdStanding before = known != nullptr ? *known : EtcdStanding{};
  const bool is_reservation = known != nullptr && before.lease == 0;
  EtcdPut put{.key = leases.key_of(subnets), .value = format_lease_attributes(attributes), .lease = 0};
  Lease lease{.subnet = subnets, .attributes = attributes, .expires = kNeverExpires};
  if (!is_reservation) {
    const EtcdLease held = TRY(hold_lease());
    put.lease = held.id;
    lease.expires = expiry_of(held);
  }
  const auto txn = writer_.put_if(put, before.mod_revision);
  if (!txn && txn.error().kind == ErrorKind::not_found) {  // somebody has revoked the etcd lease
    remember(EtcdLease{});
    return std::nullopt;
  }
  if (!txn) return tl::unexpected(txn.error());
  // The answer to the same request may have been lost on its way.
  const bool is_there = txn->found.size() == 1 && txn->found[0].value == put.value && txn->found[0].lease == put.lease;
  if (!txn->succeeded && !is_there) {
    leases.update(subnets, txn->found);
    return std::nullopt;
  }
  own_ = lease;
  if (before.lease != 0 && before.lease != put.lease) {
    (void)writer_.revoke_if_unused(before.lease);  // if that fails, it ends by itself within a day
  }
  return lease;
}

// With two subnets in a key, two nodes can create two keys that overlap. So each looks again when it has written: the younger key does not
// count, and its node takes other subnets.
Result<bool> EtcdSource::counts(EtcdLeases& leases, const Lease& lease) {
  const auto has_both = [](const Lease& each) { return each.subnet.v4 && each.subnet.v6; };
  const LeaseSet before = make_set(leases);
  if (!has_both(lease) && std::none_of(before.leases.begin(), before.leases.end(), has_both)) return true;
  leases.reset(TRY(writer_.range(keys_)).kvs);
  const LeaseSet set = make_set(leases);
  return std::any_of(set.leases.begin(), set.leases.end(), [&](const Lease& other) { return other.subnet == lease.subnet; });
}

Status EtcdSource::give_back(EtcdLeases& leases, const std::vector<Subnets>& unfit) {
  for (const Subnets& subnets : unfit) {
    const EtcdStanding* standing = leases.find(subnets);
    if (standing == nullptr) continue;
    TRY(writer_.delete_if(leases.key_of(subnets), standing->mod_revision));
    if (standing->lease != 0 && standing->lease != own_lease().id) (void)writer_.revoke_if_unused(standing->lease);
    leases.update(subnets, {});
  }
  return ok();
}

// As they are at one revision, which is returned. The text that they were read from is not kept.
Result<int64_t> EtcdSource::read_followed() {
  const EtcdRange range = TRY(follower_.range(keys_));
  followed_.reset(range.kvs);
  return range.revision;
}

Status EtcdSource::follow(const std::function<void(LeaseSet)>& changed) {
  const int64_t revision = TRY(read_followed());
  SystemTime told_expiry{};
  bool differs = false;
  const auto tell = [&]() -> Status {
    // When the wall clock is set, the own lease ends at another of its times.
    const EtcdLease own = own_lease();
    const SystemTime expiry = expiry_of(own);
    const bool clock_was_set = own.id != 0 && std::chrono::abs(expiry - told_expiry) > kClockStep;
    if (!differs && !clock_was_set) return ok();
    differs = false;
    told_expiry = expiry;
    const auto before = thread_cpu_time();
    changed(make_set(followed_));
    rest((thread_cpu_time() - before) * kRestFactor);
    return ok();
  };
  const auto apply = [&](const EtcdWatchAnswer& answer) -> Status {
    for (const EtcdEvent& event : answer.events) differs = TRY(followed_.apply(event)) || differs;
    // What was read is worth nothing until its changes are seen, too.
    if (!answer.created) return ok();
    differs = true;
    return tell();
  };
  // One set for all changes that have arrived.
  return follower_.watch(keys_, revision + 1, apply, tell);
}

// With many leases that change all the time, sets must not take all of it: what comes meanwhile waits, and is one set then.
void EtcdSource::rest(std::chrono::nanoseconds time) const {
  pollfd stop_fd{.fd = stop_.fd(), .events = POLLIN, .revents = 0};
  (void)::poll(&stop_fd, 1, static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count()));
}

}  // namespace

Result<std::unique_ptr<LeaseSource>> open_etcd_source(const EtcdOptions& options, const StopSignal& stop) {
  auto follower = TRY(EtcdGateway::open(options, stop));
  auto writer = TRY(EtcdGateway::open(options, stop));
  return std::make_unique<EtcdSource>(clean_prefix(options.prefix), EtcdApi(std::move(follower)), EtcdApi(std::move(writer)), stop);
}

}  // namespace merino
