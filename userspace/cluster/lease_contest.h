// Which of a store's leases count: the rules of directory_store.h, applied to all of them or to those that have changed.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "cluster/lease_store.h"

namespace merino {

// What stands under one name.
struct LeaseClaim {
  int64_t born = 0;                    // of two that overlap, the one with the lesser number is older
  std::string reason;                  // why it is no lease; empty: it is one
  std::shared_ptr<const Lease> lease;  // then
};

// What of the configuration decides; nothing as long as it is not known.
struct LeaseRules {
  Subnets networks;
  PerFamily<int> subnet_len;
  bool operator==(const LeaseRules&) const = default;
};
LeaseRules lease_rules(const NetConf* conf);

// A claim that overlaps no other one is decided alone, so a change costs as much as itself. Where others are touched, or at the start, all
// are weighed anew.
class LeaseContest {
 public:
  explicit LeaseContest(const LeaseRules& rules = {}) : rules_(rules) {}
  // It points to claims: there are no copies.
  LeaseContest(const LeaseContest&) = delete;
  LeaseContest& operator=(const LeaseContest&) = delete;
  LeaseContest(LeaseContest&&) = default;
  LeaseContest& operator=(LeaseContest&&) = default;
  ~LeaseContest() = default;

  // `claim` stays where it is, and as it is, until it is removed.
  void add(const std::string& name, const LeaseClaim& claim);
  void remove(const LeaseClaim& claim);

  [[nodiscard]] LeaseSet set();
  [[nodiscard]] const LeaseRules& rules() const { return rules_; }

 private:
  // All claims of one family that could count, the overlapping ones among them.
  struct OfFamily {
    std::multimap<Prefix, const LeaseClaim*> by_subnet;
    std::array<uint32_t, 129> lengths{};  // how many subnets have each length
  };

  [[nodiscard]] Subnets used(const LeaseClaim& claim) const;
  [[nodiscard]] bool is_alone(const LeaseClaim& claim) const;
  [[nodiscard]] bool is_refused(const std::string& name, const LeaseClaim& claim);
  void weigh_all();

  LeaseRules rules_;
  PerFamily<OfFamily> families_{OfFamily{}, OfFamily{}};
  std::unordered_map<const LeaseClaim*, RejectedLease> refused_;  // no leases, or out of place
  // The outcome, unless all have to be weighed first.
  bool undecided_ = true;
  LeaseList accepted_;
  std::vector<RejectedLease> overlapped_;
};

}  // namespace merino
