#include "cluster/lease_contest.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "base/printable.h"
#include "cluster/disjoint.h"

namespace merino {
namespace {

// What compares less comes first.
auto rank(const LeaseClaim& claim, const LeaseRules& rules) {
  const Subnets& subnets = claim.lease->subnet;
  const bool odd_length = std::any_of(kFamilies.begin(), kFamilies.end(), [&](Family family) {
    return subnets[family] && rules.subnet_len[family] && subnets[family]->length() != *rules.subnet_len[family];
  });
  return std::make_tuple(odd_length, claim.born, subnets.first().length(), subnets);
}

// Why a lease has no place in the network; empty if it has. A family that the network has not does no harm.
std::string misplacement(const Subnets& subnets, const Subnets& networks) {
  if (networks.empty()) return "";
  bool any = false;
  for (const Family family : kFamilies) {
    if (!subnets[family] || !networks[family]) continue;
    const bool inside = networks[family]->contains(*subnets[family]) && subnets[family]->length() > networks[family]->length();
    if (!inside) return fmt::format("outside of Network {}", networks[family]->to_string());
    any = true;
  }
  return any ? "" : fmt::format("outside of Network {}", to_string(networks));
}

bool before(const LeaseList::Item& a, const LeaseList::Item& b) { return a->subnet < b->subnet; }

}  // namespace

LeaseRules lease_rules(const NetConf* conf) {
  LeaseRules rules;
  if (conf == nullptr) return rules;
  rules.networks = conf->networks();
  for (const Family family : kFamilies) {
    if (conf->pools[family]) rules.subnet_len[family] = conf->pools[family]->subnet_len;
  }
  return rules;
}

Subnets LeaseContest::used(const LeaseClaim& claim) const { return of_families(claim.lease->subnet, rules_.networks); }

// Does no other claim overlap it?
bool LeaseContest::is_alone(const LeaseClaim& claim) const {
  const Subnets subnets = used(claim);
  for (const Family family : kFamilies) {
    if (!subnets[family]) continue;
    const Prefix& subnet = *subnets[family];
    const auto& [by_subnet, lengths] = *families_[family];
    // Prefixes overlap only if one contains the other: those within this one stand behind it, larger ones begin at addresses that follow
    // from their length.
    auto found = by_subnet.lower_bound(Prefix(subnet.address(), 0));
    for (; found != by_subnet.end() && found->first.address() <= subnet.last(); ++found) {
      if (found->second != &claim) return false;
    }
    for (int length = 0; length < subnet.length(); ++length) {
      if (lengths[static_cast<size_t>(length)] != 0 && by_subnet.contains(Prefix(subnet.address(), length).masked())) return false;
    }
  }
  return true;
}

bool LeaseContest::is_refused(const std::string& name, const LeaseClaim& claim) {
  const std::string reason = claim.reason.empty() ? misplacement(claim.lease->subnet, rules_.networks) : claim.reason;
  if (reason.empty()) return false;
  refused_.insert_or_assign(&claim, RejectedLease{printable(name), reason});
  return true;
}

void LeaseContest::add(const std::string& name, const LeaseClaim& claim) {
  if (is_refused(name, claim)) return;
  const Subnets subnets = used(claim);
  for (const Family family : kFamilies) {
    if (!subnets[family]) continue;
    families_[family]->by_subnet.emplace(*subnets[family], &claim);
    families_[family]->lengths[static_cast<size_t>(subnets[family]->length())]++;
  }
  undecided_ = undecided_ || !is_alone(claim);
  if (!undecided_) accepted_.put(claim.lease);
}

void LeaseContest::remove(const LeaseClaim& claim) {
  if (refused_.erase(&claim) > 0) return;
  undecided_ = undecided_ || !is_alone(claim);
  const Subnets subnets = used(claim);
  for (const Family family : kFamilies) {
    if (!subnets[family]) continue;
    auto& [by_subnet, lengths] = *families_[family];
    const auto [first, last] = by_subnet.equal_range(*subnets[family]);
    by_subnet.erase(std::find_if(first, last, [&](const auto& entry) { return entry.second == &claim; }));
    lengths[static_cast<size_t>(subnets[family]->length())]--;
  }
  if (!undecided_) accepted_.erase(claim.lease->subnet);
}

void LeaseContest::weigh_all() {
  std::vector<const LeaseClaim*> candidates;
  for (const auto& [subnet, claim] : families_.v4->by_subnet) candidates.push_back(claim);
  for (const auto& [subnet, claim] : families_.v6->by_subnet) {
    if (!used(*claim).v4) candidates.push_back(claim);
  }
  std::sort(candidates.begin(), candidates.end(),
            [&](const LeaseClaim* a, const LeaseClaim* b) { return rank(*a, rules_) < rank(*b, rules_); });
  std::vector<LeaseList::Item> accepted;
  overlapped_.clear();
  DisjointSubnets<Lease> disjoint;
  for (const LeaseClaim* claim : candidates) {
    const Lease& lease = *claim->lease;
    if (const Lease* holder = disjoint.overlapping(used(*claim))) {
      overlapped_.push_back(
          {format_subnet_key(lease.subnet),
           fmt::format("overlaps {}, the lease of {}", to_string(holder->subnet), to_string(holder->attributes.public_ip)), lease});
    } else {
      disjoint.add(used(*claim), lease);
      accepted.push_back(claim->lease);
    }
  }
  std::sort(accepted.begin(), accepted.end(), before);
  accepted_ = LeaseList(accepted);
  undecided_ = false;
}

LeaseSet LeaseContest::set() {
  if (undecided_) weigh_all();
  LeaseSet set;
  set.leases = accepted_;
  set.rejected = overlapped_;
  for (const auto& [claim, rejected] : refused_) set.rejected.push_back(rejected);
  std::sort(set.rejected.begin(), set.rejected.end(), [](const RejectedLease& a, const RejectedLease& b) { return a.key < b.key; });
  return set;
}

}  // namespace merino
