// Things with subnets of which no two overlap.
#pragma once

#include <algorithm>
#include <map>

#include "cluster/lease.h"

namespace merino {

// Maps subnets to `Holder`s, which outlive it.
template <class Holder>
class DisjointSubnets {
 public:
  // The holder of what `subnets` overlaps in either family; nullptr if none.
  [[nodiscard]] const Holder* overlapping(const Subnets& subnets) const {
    for (const Family family : kFamilies) {
      if (!subnets[family]) continue;
      // They are disjoint: only the one that begins last before the end of this one can overlap it.
      const auto next = by_address_.upper_bound(subnets[family]->last());
      if (next == by_address_.begin()) continue;
      const Entry& before = std::prev(next)->second;
      if (before.subnet.overlaps(*subnets[family])) return before.holder;
    }
    return nullptr;
  }

  void add(const Subnets& subnets, const Holder& holder) {
    for (const Family family : kFamilies) {
      if (subnets[family]) by_address_.emplace(subnets[family]->address(), Entry{*subnets[family], &holder});
    }
  }

 private:
  struct Entry {
    Prefix subnet;
    const Holder* holder;
  };
  std::map<IpAddress, Entry> by_address_;
};

}  // namespace merino
