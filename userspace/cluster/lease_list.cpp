#include "cluster/lease_list.h"

#include <algorithm>

namespace merino {
namespace {

bool same(const LeaseList::Item& a, const LeaseList::Item& b) { return a == b || *a == *b; }

}  // namespace

const std::shared_ptr<const std::vector<LeaseList::Item>>& LeaseList::none() {
  static const auto empty = std::make_shared<const std::vector<Item>>();
  return empty;
}

LeaseList::LeaseList(const std::vector<Lease>& leases) {
  std::vector<Item> items;
  items.reserve(leases.size());
  for (const Lease& lease : leases) items.push_back(std::make_shared<const Lease>(lease));
  items_ = std::make_shared<const std::vector<Item>>(std::move(items));
}

LeaseList::LeaseList(std::vector<Item> items) : items_(std::make_shared<const std::vector<Item>>(std::move(items))) {}

LeaseList LeaseList::with(const Lease& lease) const {
  std::vector<Item> items;
  items.reserve(size() + 1);
  std::copy_if(this->items().begin(), this->items().end(), std::back_inserter(items),
               [&](const Item& other) { return !overlap(other->subnet, lease.subnet); });
  const auto at = std::find_if(items.begin(), items.end(), [&](const Item& other) { return lease.subnet < other->subnet; });
  items.insert(at, std::make_shared<const Lease>(lease));
  return LeaseList(std::move(items));
}

bool LeaseList::operator==(const LeaseList& other) const {
  return items_ == other.items_ || std::equal(items().begin(), items().end(), other.items().begin(), other.items().end(), same);
}

LeaseDifference difference(const LeaseList& before, const LeaseList& after) {
  LeaseDifference out;
  auto old = before.items().begin();
  const auto end = before.items().end();
  for (const LeaseList::Item& item : after.items()) {
    // Most are the very same: that costs no look at the lease.
    if (old != end && *old == item) {
      ++old;
      continue;
    }
    for (; old != end && (*old)->subnet < item->subnet; ++old) out.gone.push_back(*old);
    const bool stays = old != end && (*old)->subnet == item->subnet;
    if (stays && same(*old, item)) {
      ++old;
      continue;
    }
    if (stays) out.gone.push_back(*old++);
    out.come.push_back(item);
  }
  out.gone.insert(out.gone.end(), old, end);
  return out;
}

}  // namespace merino
