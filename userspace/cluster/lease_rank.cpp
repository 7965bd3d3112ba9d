// Which of the files are leases that count, and which of overlapping ones does.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <vector>

#include "cluster/lease_directory.h"
#include "cluster/printable.h"

namespace merino {
namespace {

// Leases that have been let in: disjoint, so that a neighbour tells whether another one overlaps.
class DisjointLeases {
 public:
  // The lease that `subnet` overlaps; nullptr if none.
  [[nodiscard]] const Lease* overlapping(const Prefix& subnet) const {
    const auto next = by_address_.upper_bound(subnet.last());
    if (next == by_address_.begin()) return nullptr;
    const Lease* before = std::prev(next)->second;
    return before->subnet.overlaps(subnet) ? before : nullptr;
  }
  void add(const Lease& lease) { by_address_.emplace(lease.subnet.address(), &lease); }
  [[nodiscard]] const std::map<IpAddress, const Lease*>& in_order() const { return by_address_; }

 private:
  std::map<IpAddress, const Lease*> by_address_;
};

// The rules of directory_store.h: what compares less comes first.
auto rank(const LeaseFile& file, const NetConf* conf) {
  const bool odd_length = conf != nullptr && file.lease.subnet.length() != conf->subnet_len;
  return std::make_tuple(odd_length, file.born_ns, file.lease.subnet.length(), file.lease.subnet.address());
}

bool lies_inside(const Prefix& subnet, const Prefix& network) { return network.contains(subnet) && subnet.length() > network.length(); }

}  // namespace

LeaseSet make_lease_set(const LeaseFiles& files, SystemTime now, const NetConf* conf) {
  LeaseSet set;
  std::vector<const LeaseFile*> candidates;
  for (const auto& [name, file] : files) {
    if (!file.reason.empty()) {
      set.rejected.push_back({printable(name), file.reason});
    } else if (file.lease.expires <= now) {
      continue;
    } else if (conf != nullptr && !lies_inside(file.lease.subnet, conf->network)) {
      set.rejected.push_back({printable(name), fmt::format("outside of Network {}", conf->network.to_string())});
    } else {
      candidates.push_back(&file);
    }
  }
  std::sort(candidates.begin(), candidates.end(), [&](const LeaseFile* a, const LeaseFile* b) { return rank(*a, conf) < rank(*b, conf); });

  DisjointLeases accepted;
  for (const LeaseFile* file : candidates) {
    if (const Lease* holder = accepted.overlapping(file->lease.subnet)) {
      set.rejected.push_back({format_subnet_key(file->lease.subnet), fmt::format("overlaps {}, the lease of {}", holder->subnet.to_string(),
                                                                                 holder->attributes.public_ip.to_string())});
    } else {
      accepted.add(file->lease);
    }
  }
  set.leases.reserve(accepted.in_order().size());
  for (const auto& [address, lease] : accepted.in_order()) set.leases.push_back(*lease);
  std::sort(set.rejected.begin(), set.rejected.end(), [](const RejectedLease& a, const RejectedLease& b) { return a.key < b.key; });
  return set;
}

}  // namespace merino
