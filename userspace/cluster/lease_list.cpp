#include "cluster/lease_list.h"

#include <algorithm>

namespace merino {
namespace {

// A change copies one block and the list of blocks: with this size neither is long for 65,000 leases.
constexpr size_t kLargestBlock = 256;

using Items = std::vector<LeaseList::Item>;

bool same(const LeaseList::Item& a, const LeaseList::Item& b) { return a == b || *a == *b; }

bool stands_before(const LeaseList::Item& item, const Subnets& subnet) { return item->subnet < subnet; }

Items::const_iterator place_in(const Items& items, const Subnets& subnet) {
  return std::lower_bound(items.begin(), items.end(), subnet, stands_before);
}

bool stands_at(Items::const_iterator place, const Items& items, const Subnets& subnet) {
  return place != items.end() && (*place)->subnet == subnet;
}

// As evenly as it goes, in as few blocks as possible.
void append_blocks(std::vector<LeaseList::Block>& blocks, const Items& items) {
  const size_t count = (items.size() + kLargestBlock - 1) / kLargestBlock;
  for (size_t i = 0; i < count; ++i) {
    const auto at = [&](size_t block) { return items.begin() + static_cast<std::ptrdiff_t>(items.size() * block / count); };
    blocks.push_back(std::make_shared<const Items>(at(i), at(i + 1)));
  }
}

Items shared(const std::vector<Lease>& leases) {
  Items items;
  items.reserve(leases.size());
  for (const Lease& lease : leases) items.push_back(std::make_shared<const Lease>(lease));
  return items;
}

// Passes what both lists share, block by block.
void skip_shared(LeaseList::const_iterator& a, const LeaseList::const_iterator& a_end, LeaseList::const_iterator& b,
                 const LeaseList::const_iterator& b_end) {
  while (a != a_end && b != b_end && a.whole_block() != nullptr && a.whole_block() == b.whole_block()) {
    a.next_block();
    b.next_block();
  }
}

}  // namespace

const std::shared_ptr<const LeaseList::Blocks>& LeaseList::none() {
  static const auto empty = std::make_shared<const Blocks>();
  return empty;
}

LeaseList::LeaseList(const std::vector<Lease>& leases) : LeaseList(shared(leases)) {}

LeaseList::LeaseList(const std::vector<Item>& items) : size_(items.size()) {
  Blocks blocks;
  append_blocks(blocks, items);
  blocks_ = std::make_shared<const Blocks>(std::move(blocks));
}

const Lease& LeaseList::operator[](size_t at) const {
  auto block = blocks_->begin();
  for (; at >= (*block)->size(); ++block) at -= (*block)->size();
  return *(**block)[at];
}

size_t LeaseList::block_of(const Subnets& subnet) const {
  const auto found = std::upper_bound(blocks_->begin(), blocks_->end(), subnet,
                                      [](const Subnets& key, const Block& block) { return key < block->front()->subnet; });
  return found == blocks_->begin() ? 0 : static_cast<size_t>(found - blocks_->begin()) - 1;
}

const Lease* LeaseList::find(const Subnets& subnet) const {
  if (empty()) return nullptr;
  const Items& items = *(*blocks_)[block_of(subnet)];
  const auto place = place_in(items, subnet);
  return stands_at(place, items, subnet) ? place->get() : nullptr;
}

void LeaseList::replace(size_t block, const std::vector<Item>& items) {
  Blocks blocks;
  blocks.reserve(blocks_->size() + 1);
  const auto old = blocks_->begin() + static_cast<std::ptrdiff_t>(block);
  blocks.insert(blocks.end(), blocks_->begin(), old);
  append_blocks(blocks, items);
  if (old != blocks_->end()) blocks.insert(blocks.end(), old + 1, blocks_->end());
  blocks_ = std::make_shared<const Blocks>(std::move(blocks));
}

void LeaseList::put(const Item& item) {
  const size_t block = block_of(item->subnet);
  Items items = empty() ? Items() : *(*blocks_)[block];
  const auto place = place_in(items, item->subnet);
  if (stands_at(place, items, item->subnet)) {
    items[static_cast<size_t>(place - items.begin())] = item;
  } else {
    items.insert(place, item);
    ++size_;
  }
  replace(block, items);
}

void LeaseList::erase(const Subnets& subnet) {
  if (find(subnet) == nullptr) return;
  const size_t block = block_of(subnet);
  Items items = *(*blocks_)[block];
  items.erase(place_in(items, subnet));
  --size_;
  replace(block, items);
}

LeaseList LeaseList::with(const Lease& lease) const {
  LeaseList list = *this;
  for (const Lease& other : *this) {
    if (overlap(other.subnet, lease.subnet)) list.erase(other.subnet);
  }
  list.put(std::make_shared<const Lease>(lease));
  return list;
}

bool LeaseList::operator==(const LeaseList& other) const {
  if (blocks_ == other.blocks_) return true;
  if (size_ != other.size_) return false;
  auto mine = begin();
  auto its = other.begin();
  for (skip_shared(mine, end(), its, other.end()); mine != end(); skip_shared(mine, end(), its, other.end())) {
    if (!same(mine.item(), its.item())) return false;
    ++mine;
    ++its;
  }
  return true;
}

LeaseDifference difference(const LeaseList& before, const LeaseList& after) {
  LeaseDifference out;
  auto old = before.begin();
  auto fresh = after.begin();
  while (true) {
    skip_shared(old, before.end(), fresh, after.end());
    const bool has_old = old != before.end();
    const bool has_fresh = fresh != after.end();
    if (!has_old && !has_fresh) return out;
    const bool goes = has_old && (!has_fresh || old->subnet < fresh->subnet);
    const bool comes = has_fresh && (!has_old || fresh->subnet < old->subnet);
    const bool differs = goes || comes || !same(old.item(), fresh.item());
    if (differs && !comes) out.gone.push_back(old.item());
    if (differs && !goes) out.come.push_back(fresh.item());
    if (!comes) ++old;
    if (!goes) ++fresh;
  }
}

}  // namespace merino
