// Which of the files are leases that count, and which of overlapping ones does.
#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <vector>

#include "cluster/disjoint.h"
#include "cluster/lease_directory.h"
#include "cluster/printable.h"

namespace merino {
namespace {

// The rules of directory_store.h: what compares less comes first.
auto rank(const LeaseFile& file, const NetConf* conf) {
  const Subnets& subnets = file.lease.subnet;
  const bool odd_length = conf != nullptr && std::any_of(kFamilies.begin(), kFamilies.end(), [&](Family family) {
                            return subnets[family] && conf->pools[family] && subnets[family]->length() != conf->pools[family]->subnet_len;
                          });
  return std::make_tuple(odd_length, file.born_ns, subnets.first().length(), subnets);
}

// Why a lease has no place in the network; empty if it has. A family that the network has not does no harm.
std::string misplacement(const Subnets& subnets, const NetConf& conf) {
  bool any = false;
  for (const Family family : kFamilies) {
    if (!subnets[family] || !conf.pools[family]) continue;
    const Prefix& network = conf.pools[family]->network;
    const bool inside = network.contains(*subnets[family]) && subnets[family]->length() > network.length();
    if (!inside) return fmt::format("outside of Network {}", network.to_string());
    any = true;
  }
  return any ? "" : fmt::format("outside of Network {}", to_string(conf.networks()));
}

}  // namespace

LeaseSet make_lease_set(const LeaseFiles& files, SystemTime now, const NetConf* conf) {
  LeaseSet set;
  std::vector<const LeaseFile*> candidates;
  for (const auto& [name, file] : files) {
    if (!file.reason.empty()) {
      set.rejected.push_back({printable(name), file.reason});
    } else if (file.lease.expires <= now) {
      continue;
    } else if (const std::string reason = conf != nullptr ? misplacement(file.lease.subnet, *conf) : ""; !reason.empty()) {
      set.rejected.push_back({printable(name), reason});
    } else {
      candidates.push_back(&file);
    }
  }
  std::sort(candidates.begin(), candidates.end(), [&](const LeaseFile* a, const LeaseFile* b) { return rank(*a, conf) < rank(*b, conf); });

  const Subnets networks = conf != nullptr ? conf->networks() : Subnets{};
  DisjointSubnets<Lease> accepted;
  for (const LeaseFile* file : candidates) {
    const Lease& lease = file->lease;
    const Subnets used = of_families(lease.subnet, networks);
    if (const Lease* holder = accepted.overlapping(used)) {
      set.rejected.push_back(
          {format_subnet_key(lease.subnet),
           fmt::format("overlaps {}, the lease of {}", to_string(holder->subnet), to_string(holder->attributes.public_ip)), lease});
    } else {
      accepted.add(used, lease);
      set.leases.push_back(lease);
    }
  }
  std::sort(set.leases.begin(), set.leases.end(), [](const Lease& a, const Lease& b) { return a.subnet < b.subnet; });
  std::sort(set.rejected.begin(), set.rejected.end(), [](const RejectedLease& a, const RejectedLease& b) { return a.key < b.key; });
  return set;
}

}  // namespace merino
