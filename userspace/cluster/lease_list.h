// Leases that do not change once they are in a list. Copies of a list share them, so that a set of thousands is handed from thread to
// thread for nothing. They stand in blocks that are shared, too: a list that was made of another by a few changes costs as much as these,
// and so does it to tell the two's difference.
#pragma once

#include <initializer_list>
#include <iterator>
#include <memory>
#include <vector>

#include "cluster/lease.h"

namespace merino {

class LeaseList {
 public:
  using Item = std::shared_ptr<const Lease>;
  using Block = std::shared_ptr<const std::vector<Item>>;  // never empty

  class const_iterator {  // NOLINT(readability-identifier-naming): the standard library's name
   public:
    using iterator_category = std::forward_iterator_tag;
    using value_type = Lease;
    using difference_type = std::ptrdiff_t;
    using pointer = const Lease*;
    using reference = const Lease&;

    const_iterator() = default;
    explicit const_iterator(const Block* block) : block_(block) {}
    reference operator*() const { return *item(); }
    pointer operator->() const { return item().get(); }
    [[nodiscard]] const Item& item() const { return (**block_)[at_]; }
    const_iterator& operator++() {
      if (++at_ == (*block_)->size()) next_block();
      return *this;
    }
    const_iterator operator++(int) {
      const const_iterator before = *this;
      ++*this;
      return before;
    }
    bool operator==(const const_iterator&) const = default;

    // The block that begins here; nullptr within one.
    [[nodiscard]] const std::vector<Item>* whole_block() const { return at_ == 0 ? block_->get() : nullptr; }
    void next_block() {
      ++block_;
      at_ = 0;
    }

   private:
    const Block* block_ = nullptr;
    size_t at_ = 0;
  };
  using iterator = const_iterator;
  using value_type = Lease;

  LeaseList() = default;
  LeaseList(std::initializer_list<Lease> leases) : LeaseList(std::vector<Lease>(leases)) {}
  LeaseList(const std::vector<Lease>& leases);  // NOLINT(google-explicit-constructor): the same leases
  explicit LeaseList(const std::vector<Item>& items);

  [[nodiscard]] const_iterator begin() const { return const_iterator(blocks_->data()); }
  [[nodiscard]] const_iterator end() const { return const_iterator(blocks_->data() + blocks_->size()); }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] const Lease& operator[](size_t at) const;
  [[nodiscard]] const Lease& front() const { return *begin(); }

  // Of leases that are ordered by subnet, each subnet once:
  [[nodiscard]] const Lease* find(const Subnets& subnet) const;  // nullptr if there is none
  void put(const Item& item);                                    // in the place of one with the same subnet
  void erase(const Subnets& subnet);
  // The same leases, but `lease` instead of those that it overlaps.
  [[nodiscard]] LeaseList with(const Lease& lease) const;

  bool operator==(const LeaseList& other) const;

 private:
  using Blocks = std::vector<Block>;
  static const std::shared_ptr<const Blocks>& none();
  // Where `subnet` stands, or would have to.
  [[nodiscard]] size_t block_of(const Subnets& subnet) const;
  void replace(size_t block, const std::vector<Item>& items);

  std::shared_ptr<const Blocks> blocks_ = none();
  size_t size_ = 0;
};

struct LeaseDifference {
  std::vector<LeaseList::Item> gone;  // not in `after`, or otherwise
  std::vector<LeaseList::Item> come;  // not in `before`, or otherwise
};

// Both are ordered by subnet, each subnet once.
LeaseDifference difference(const LeaseList& before, const LeaseList& after);

}  // namespace merino
