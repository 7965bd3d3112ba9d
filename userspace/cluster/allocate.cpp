#include "cluster/allocate.h"

#include <algorithm>
#include <iterator>

namespace merino {
namespace {

// Answers "is it free" for subnets that are asked in ascending order, in one sweep over what is taken.
class FreeSweep {
 public:
  FreeSweep(const NetConf& conf, const std::vector<Lease>& leases, const std::vector<Prefix>& blocked) {
    for (const Lease& lease : leases) taken_.push_back(lease.subnet);
    // Of another length is another name, which is in nobody's way.
    std::copy_if(blocked.begin(), blocked.end(), std::back_inserter(taken_), [&](const Prefix& subnet) { return fits(conf, subnet); });
    std::sort(taken_.begin(), taken_.end());
  }

  bool is_free(const Prefix& subnet) {
    for (; next_ < taken_.size() && taken_[next_].address() <= subnet.last(); ++next_) {
      taken_until_ = std::max(taken_until_, taken_[next_].last());
    }
    return taken_until_ < subnet.address();
  }

 private:
  std::vector<Prefix> taken_;
  size_t next_ = 0;
  IpAddress taken_until_;  // the last address of everything taken so far
};

const Lease* own_lease(const NetConf& conf, const std::vector<Lease>& leases, const IpAddress& public_ip,
                       const std::optional<Prefix>& previous) {
  const Lease* own = nullptr;
  for (const Lease& lease : leases) {
    if (lease.attributes.public_ip != public_ip || !fits(conf, lease.subnet)) continue;
    if (previous && lease.subnet == *previous) return &lease;
    if (own == nullptr || (lease.expires == kNeverExpires && own->expires != kNeverExpires)) own = &lease;
  }
  return own;
}

}  // namespace

bool fits(const NetConf& conf, const Prefix& subnet) {
  return subnet.length() == conf.subnet_len && subnet.family() == conf.network.family() && subnet == subnet.masked() &&
         subnet.address() >= conf.subnet_min && subnet.address() <= conf.subnet_max;
}

Result<SubnetChoice> choose_subnet(const NetConf& conf, const std::vector<Lease>& leases, const std::vector<Prefix>& blocked,
                                   const IpAddress& public_ip, const std::optional<Prefix>& previous, const Pick& pick) {
  if (const Lease* own = own_lease(conf, leases, public_ip, previous)) return SubnetChoice{.subnet = own->subnet, .held = true};
  if (previous && fits(conf, *previous) && FreeSweep(conf, leases, blocked).is_free(*previous)) return SubnetChoice{.subnet = *previous};

  FreeSweep sweep(conf, leases, blocked);
  std::vector<Prefix> free;
  for (Prefix subnet(conf.subnet_min, conf.subnet_len); subnet.address() <= conf.subnet_max && free.size() < kFreeSubnetChoices;
       subnet = Prefix(subnet.last().plus(1), conf.subnet_len)) {
    if (sweep.is_free(subnet)) free.push_back(subnet);
  }
  if (free.empty()) {
    return with_remedy(fail(ErrorKind::exhausted, "out of subnets: every /{} from {} to {} is leased", conf.subnet_len,
                            conf.subnet_min.to_string(), conf.subnet_max.to_string()),
                       "remove the leases of nodes that are gone, or configure a larger Network or SubnetLen");
  }
  return SubnetChoice{.subnet = free[pick(free.size())]};
}

std::vector<Prefix> unfit_leases(const NetConf& conf, const std::vector<Lease>& leases, const IpAddress& public_ip) {
  std::vector<Prefix> unfit;
  for (const Lease& lease : leases) {
    if (lease.attributes.public_ip == public_ip && !fits(conf, lease.subnet) && lease.expires != kNeverExpires)
      unfit.push_back(lease.subnet);
  }
  return unfit;
}

}  // namespace merino
