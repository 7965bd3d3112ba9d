// Address ranges with the rules of the host-local IPAM plugin.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"

namespace merino::cni {

// start and end are inclusive and inside subnet.
struct AddressRange {
  Prefix subnet;
  IpAddress start;
  IpAddress end;
  IpAddress gateway;

  [[nodiscard]] bool contains(const IpAddress& address) const { return subnet.contains(address) && address >= start && address <= end; }
  // A pod may have it: it is neither the gateway nor the subnet's own or broadcast address.
  [[nodiscard]] bool allows(const IpAddress& address) const;
  // "10.244.1.1-10.244.1.254"
  [[nodiscard]] std::string to_string() const;

  bool operator==(const AddressRange&) const = default;
};

// One address is given out of each set. The ranges of a set have one family and do not overlap.
using RangeSet = std::vector<AddressRange>;
std::string to_string(const RangeSet& set);
// nullptr if no range of the set contains it.
const AddressRange* range_of(const RangeSet& set, const IpAddress& address);

struct RangeBounds {
  std::optional<IpAddress> start;
  std::optional<IpAddress> end;
  std::optional<IpAddress> gateway;
};
// Fills in what is absent: the gateway is the subnet's first address, the range is all of the subnet but its own address and, for
// IPv4, its broadcast address. invalid: the subnet is too small (/31, /32) or has host bits, a bound lies outside, start is after end.
Result<AddressRange> make_range(const Prefix& subnet, const RangeBounds& bounds);

// invalid: an empty set, mixed families within a set, overlapping ranges.
Status check_range_sets(const std::vector<RangeSet>& sets);

// Walks a set once, round robin: begins after `last` if that lies in the set, ends where it began, passes over what no pod may have.
class RangeWalk {
 public:
  RangeWalk(const RangeSet& set, const std::optional<IpAddress>& last);

  struct Candidate {
    IpAddress address;
    const AddressRange* range = nullptr;
  };
  // nullopt: every address of the set was seen.
  std::optional<Candidate> next();

 private:
  Candidate step();

  const RangeSet& set_;
  size_t index_ = 0;
  std::optional<IpAddress> current_;
  std::optional<IpAddress> first_;
};

}  // namespace merino::cni
