// Leases that do not change once they are in a list. Copies of a list share them, so that a set of thousands is handed from thread to
// thread for nothing, and two sets of which one was made of the other tell their difference without a look at what they share.
#pragma once

#include <compare>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <vector>

#include "cluster/lease.h"

namespace merino {

class LeaseList {
 public:
  using Item = std::shared_ptr<const Lease>;

  class const_iterator {  // NOLINT(readability-identifier-naming): the standard library's name
   public:
    using iterator_category = std::random_access_iterator_tag;
    using value_type = Lease;
    using difference_type = std::ptrdiff_t;
    using pointer = const Lease*;
    using reference = const Lease&;

    const_iterator() = default;
    explicit const_iterator(const Item* at) : at_(at) {}
    reference operator*() const { return **at_; }
    pointer operator->() const { return at_->get(); }
    reference operator[](difference_type n) const { return *at_[n]; }
    const_iterator& operator++() { return *this += 1; }
    const_iterator& operator--() { return *this += -1; }
    const_iterator operator++(int) { return const_iterator(at_++); }
    const_iterator operator--(int) { return const_iterator(at_--); }
    const_iterator& operator+=(difference_type n) { return at_ += n, *this; }
    const_iterator& operator-=(difference_type n) { return *this += -n; }
    friend const_iterator operator+(const_iterator it, difference_type n) { return it += n; }
    friend const_iterator operator+(difference_type n, const_iterator it) { return it += n; }
    friend const_iterator operator-(const_iterator it, difference_type n) { return it -= n; }
    friend difference_type operator-(const_iterator a, const_iterator b) { return a.at_ - b.at_; }
    auto operator<=>(const const_iterator&) const = default;

   private:
    const Item* at_ = nullptr;
  };
  using iterator = const_iterator;
  using value_type = Lease;

  LeaseList() = default;
  LeaseList(std::initializer_list<Lease> leases) : LeaseList(std::vector<Lease>(leases)) {}
  LeaseList(const std::vector<Lease>& leases);  // NOLINT(google-explicit-constructor): the same leases
  explicit LeaseList(std::vector<Item> items);

  [[nodiscard]] const_iterator begin() const { return const_iterator(items().data()); }
  [[nodiscard]] const_iterator end() const { return begin() + static_cast<std::ptrdiff_t>(size()); }
  [[nodiscard]] size_t size() const { return items().size(); }
  [[nodiscard]] bool empty() const { return size() == 0; }
  [[nodiscard]] const Lease& operator[](size_t at) const { return *items()[at]; }
  [[nodiscard]] const Lease& front() const { return *items().front(); }
  [[nodiscard]] const std::vector<Item>& items() const { return *items_; }

  // The same leases, but `lease` instead of those that it overlaps, in its place by the order of subnets.
  [[nodiscard]] LeaseList with(const Lease& lease) const;

  bool operator==(const LeaseList& other) const;

 private:
  std::shared_ptr<const std::vector<Item>> items_ = none();
  static const std::shared_ptr<const std::vector<Item>>& none();
};

struct LeaseDifference {
  std::vector<LeaseList::Item> gone;  // not in `after`, or otherwise
  std::vector<LeaseList::Item> come;  // not in `before`, or otherwise
};

// Both are ordered by subnet, each subnet once.
LeaseDifference difference(const LeaseList& before, const LeaseList& after);

}  // namespace merino
