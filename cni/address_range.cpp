#include "cni/address_range.h"

namespace merino::cni {
namespace {

Status check_inside(const IpAddress& address, const Prefix& subnet, const char* name) {
  if (subnet.contains(address)) return ok();
  return fail(ErrorKind::invalid, "{} {} is not in subnet {}", name, address.to_string(), subnet.to_string());
}

bool overlap(const AddressRange& a, const AddressRange& b) {
  return a.subnet.family() == b.subnet.family() && a.start <= b.end && b.start <= a.end;
}

bool overlap(const RangeSet& a, const RangeSet& b) {
  for (const AddressRange& first : a) {
    for (const AddressRange& second : b) {
      if (overlap(first, second)) return true;
    }
  }
  return false;
}

Status check_range_set(const RangeSet& set) {
  if (set.empty()) return fail(ErrorKind::invalid, "a range set is empty");
  for (size_t i = 0; i < set.size(); ++i) {
    if (set[i].subnet.family() != set[0].subnet.family()) {
      return fail(ErrorKind::invalid, "range set {} mixes IPv4 and IPv6", to_string(set));
    }
    for (size_t j = 0; j < i; ++j) {
      if (overlap(set[i], set[j])) return fail(ErrorKind::invalid, "ranges {} and {} overlap", set[j].to_string(), set[i].to_string());
    }
  }
  return ok();
}

}  // namespace

bool AddressRange::allows(const IpAddress& address) const {
  if (!contains(address) || address == gateway || address == subnet.address()) return false;
  return !address.is_v4() || address != subnet.last();
}

std::string AddressRange::to_string() const { return start.to_string() + "-" + end.to_string(); }

std::string to_string(const RangeSet& set) {
  std::string text;
  for (const AddressRange& range : set) text += (text.empty() ? "" : ",") + range.to_string();
  return text;
}

const AddressRange* range_of(const RangeSet& set, const IpAddress& address) {
  for (const AddressRange& range : set) {
    if (range.contains(address)) return &range;
  }
  return nullptr;
}

Result<AddressRange> make_range(const Prefix& subnet, const RangeBounds& bounds) {
  if (subnet.length() > address_bits(subnet.family()) - 2) {
    return fail(ErrorKind::invalid, "subnet {} is too small to allocate addresses from", subnet.to_string());
  }
  if (subnet != subnet.masked()) {
    return fail(ErrorKind::invalid, "subnet {} has host bits set, the network is {}", subnet.to_string(), subnet.masked().to_string());
  }
  AddressRange range;
  range.subnet = subnet;
  range.gateway = bounds.gateway.value_or(subnet.address().plus(1));
  range.start = bounds.start.value_or(subnet.address().plus(1));
  // All of an IPv6 subnet's addresses are usable; IPv4 has a broadcast address at the end.
  const bool broadcast = subnet.family() == Family::v4;
  range.end = bounds.end.value_or(broadcast ? IpAddress::from_v4(subnet.last().v4() - 1) : subnet.last());
  TRY(check_inside(range.gateway, subnet, "gateway"));
  TRY(check_inside(range.start, subnet, "rangeStart"));
  TRY(check_inside(range.end, subnet, "rangeEnd"));
  if (range.start > range.end) {
    return fail(ErrorKind::invalid, "rangeStart {} is after rangeEnd {}", range.start.to_string(), range.end.to_string());
  }
  return range;
}

Status check_range_sets(const std::vector<RangeSet>& sets) {
  for (size_t i = 0; i < sets.size(); ++i) {
    TRY(check_range_set(sets[i]));
    for (size_t j = 0; j < i; ++j) {
      if (overlap(sets[i], sets[j])) {
        return fail(ErrorKind::invalid, "range sets {} and {} overlap", to_string(sets[j]), to_string(sets[i]));
      }
    }
  }
  return ok();
}

RangeWalk::RangeWalk(const RangeSet& set, const std::optional<IpAddress>& last) : set_(set) {
  for (size_t i = 0; last && i < set_.size(); ++i) {
    if (!set_[i].contains(*last)) continue;
    index_ = i;
    current_ = last;
    return;
  }
}

RangeWalk::Candidate RangeWalk::step() {
  if (!current_) {
    current_ = set_[index_].start;
  } else if (*current_ == set_[index_].end) {
    index_ = (index_ + 1) % set_.size();
    current_ = set_[index_].start;
  } else {
    current_ = current_->plus(1);
  }
  return {*current_, &set_[index_]};
}

std::optional<RangeWalk::Candidate> RangeWalk::next() {
  for (;;) {
    const Candidate candidate = step();
    if (first_ == candidate.address) return std::nullopt;
    if (!first_) first_ = candidate.address;
    if (candidate.range->allows(candidate.address)) return candidate;
  }
}

}  // namespace merino::cni
