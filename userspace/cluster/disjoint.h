// Things with subnets of which no two overlap.
#pragma once

#include <algorithm>
#include <map>

#include "cluster/lease.h"

namespace merino {

// Those of the families that have a network; all while no network is known.
inline Subnets of_families(const Subnets& subnets, const Subnets& networks) {
  if (networks.empty()) return subnets;
  Subnets out;
  for (const Family family : kFamilies) {
    if (networks[family]) out[family] = subnets[family];
  }
  return out;
}

// Maps subnets to `Holder`s, which outlive it.
template <class Holder>
class DisjointSubnets {
 public:
  // The holder of what `subnets` overlaps in either family; nullptr if none.
  [[nodiscard]] const Holder* overlapping(const Subnets& subnets) const {
    for (const Family family : kFamilies) {
      if (!subnets[family]) continue;
      // They are disjoint: only the one that begins last before the end of this one can overlap it.
      const auto& by_address = of(family);
      const auto next = by_address.upper_bound(subnets[family]->last());
      if (next == by_address.begin()) continue;
      const Entry& before = std::prev(next)->second;
      if (before.subnet.overlaps(*subnets[family])) return before.holder;
    }
    return nullptr;
  }

  void add(const Subnets& subnets, const Holder& holder) {
    for (const Family family : kFamilies) {
      if (subnets[family]) of(family).emplace(subnets[family]->address(), Entry{*subnets[family], &holder});
    }
  }

 private:
  struct Entry {
    Prefix subnet;
    const Holder* holder;
  };
  using ByAddress = std::map<IpAddress, Entry>;
  ByAddress& of(Family family) { return family == Family::v4 ? v4_ : v6_; }
  [[nodiscard]] const ByAddress& of(Family family) const { return family == Family::v4 ? v4_ : v6_; }

  ByAddress v4_, v6_;
};

}  // namespace merino
