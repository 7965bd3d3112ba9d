#include "cluster/allocate.h"

#include <algorithm>

namespace merino {
namespace {

// Answers "is it free" for subnets of one family that are asked in ascending order, in one sweep over what is taken.
class FreeSweep {
 public:
  explicit FreeSweep(std::vector<Prefix> taken) : taken_(std::move(taken)) { std::sort(taken_.begin(), taken_.end()); }

  bool is_free(const Prefix& subnet) {
    for (; next_ < taken_.size() && taken_[next_].address() <= subnet.last(); ++next_) {
      taken_until_ = std::max(taken_until_, taken_[next_].last());
    }
    return taken_until_ < subnet.address();
  }

  // The last address of all that is in the way of the subnet that was asked last.
  [[nodiscard]] const IpAddress& taken_until() const { return taken_until_; }

 private:
  std::vector<Prefix> taken_;
  size_t next_ = 0;
  IpAddress taken_until_;  // the last address of everything taken so far
};

bool is_unfit(const NetConf& conf, const Lease& lease, const PerFamily<IpAddress>& public_ip) {
  return is_same_node(lease.attributes.public_ip, public_ip) && !fits(conf, lease.subnet) && lease.expires != kNeverExpires;
}

const Lease* own_lease(const NetConf& conf, const LeaseList& leases, const PerFamily<IpAddress>& public_ip, const Subnets& previous) {
  const Lease* own = nullptr;
  for (const Lease& lease : leases) {
    if (!is_same_node(lease.attributes.public_ip, public_ip) || !fits(conf, lease.subnet)) continue;
    if (lease.subnet == previous) return &lease;
    if (own == nullptr || (lease.expires == kNeverExpires && own->expires != kNeverExpires)) own = &lease;
  }
  return own;
}

Result<Prefix> choose_free(const SubnetPool& pool, const std::vector<Prefix>& taken, const std::optional<Prefix>& previous,
                           const Pick& pick) {
  if (previous && fits(pool, *previous) && FreeSweep(taken).is_free(*previous)) return *previous;
  FreeSweep sweep(taken);
  std::vector<Prefix> free;
  for (Prefix subnet(pool.subnet_min, pool.subnet_len); free.size() < kFreeSubnetChoices;) {
    IpAddress end = subnet.last();
    if (sweep.is_free(subnet)) {
      free.push_back(subnet);
    } else {
      // At once behind what is taken: a single IPv6 lease can be as large as billions of subnets.
      end = std::max(end, Prefix(sweep.taken_until(), pool.subnet_len).last());
    }
    if (end >= Prefix(pool.subnet_max, pool.subnet_len).last()) break;
    subnet = Prefix(end.plus(1), pool.subnet_len);
  }
  if (free.empty()) {
    return with_remedy(fail(ErrorKind::exhausted, "out of subnets: every /{} from {} to {} is leased", pool.subnet_len,
                            pool.subnet_min.to_string(), pool.subnet_max.to_string()),
                       "remove the leases of nodes that are gone, or configure a larger Network or SubnetLen");
  }
  return free[pick(free.size())];
}

}  // namespace

bool fits(const SubnetPool& pool, const Prefix& subnet) {
  return subnet.length() == pool.subnet_len && subnet.family() == pool.network.family() && subnet == subnet.masked() &&
         subnet.address() >= pool.subnet_min && subnet.address() <= pool.subnet_max;
}

bool fits(const NetConf& conf, const Subnets& subnets) {
  return std::all_of(kFamilies.begin(), kFamilies.end(), [&](Family family) {
    const auto& pool = conf.pools[family];
    const auto& subnet = subnets[family];
    return pool.has_value() == subnet.has_value() && (!pool || fits(*pool, *subnet));
  });
}

Result<SubnetChoice> choose_subnets(const NetConf& conf, const LeaseList& leases, const std::vector<Subnets>& blocked,
                                    const PerFamily<IpAddress>& public_ip, const Subnets& previous, const Pick& pick) {
  if (const Lease* own = own_lease(conf, leases, public_ip, previous)) return SubnetChoice{.subnets = own->subnet, .held = true};
  SubnetChoice choice;
  for (const Family family : kFamilies) {
    const auto& pool = conf.pools[family];
    if (!pool) continue;
    std::vector<Prefix> taken;
    for (const Lease& lease : leases) {
      if (lease.subnet[family] && !is_unfit(conf, lease, public_ip)) taken.push_back(*lease.subnet[family]);
    }
    // Of another length is another name, which is in nobody's way.
    for (const Subnets& subnets : blocked) {
      if (subnets[family] && fits(*pool, *subnets[family])) taken.push_back(*subnets[family]);
    }
    choice.subnets[family] = TRY(choose_free(*pool, taken, previous[family], pick));
  }
  return choice;
}

std::vector<Subnets> passed_over_leases(const LeaseSet& set, const PerFamily<IpAddress>& public_ip) {
  std::vector<Subnets> own;
  for (const RejectedLease& rejected : set.rejected) {
    const auto& lease = rejected.lease;
    if (lease && is_same_node(lease->attributes.public_ip, public_ip) && lease->expires != kNeverExpires) own.push_back(lease->subnet);
  }
  return own;
}

std::vector<Subnets> unfit_leases(const NetConf& conf, const LeaseList& leases, const PerFamily<IpAddress>& public_ip) {
  std::vector<Subnets> unfit;
  for (const Lease& lease : leases) {
    if (is_unfit(conf, lease, public_ip)) unfit.push_back(lease.subnet);
  }
  return unfit;
}

}  // namespace merino
