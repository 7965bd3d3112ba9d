#include "agent/peer_selector.h"

#include <utility>

namespace merino {

PeerUpdate PeerSelector::update(const Node& node) {
  const Facts facts{node.lease.subnet, node.uplink.public_ip, node.uplink.address};
  PeerUpdate update;
  // Who is on the segment changes by itself.
  if (facts_ == facts && !node.conf.has_direct_peers()) {
    update.extent = PeerUpdate::Extent::difference;
  } else {
    facts_ = facts;
    judged_ = {};
    remarks_.clear();
    peers_ = 0;
  }
  const LeaseDifference leases = difference(judged_, node.leases.leases);
  judged_ = node.leases.leases;
  for (const auto& lease : leases.gone) {
    const LeaseVerdict verdict = judge_lease(node, *lease);
    update.gone.insert(update.gone.end(), verdict.peers.begin(), verdict.peers.end());
    remarks_.erase(lease->subnet);
  }
  for (const auto& lease : leases.come) {
    LeaseVerdict verdict = judge_lease(node, *lease);
    update.come.insert(update.come.end(), verdict.peers.begin(), verdict.peers.end());
    if (!verdict.reason.empty() || !verdict.off_segment.empty())
      remarks_.insert_or_assign(lease->subnet, Remark{lease, std::move(verdict.reason), std::move(verdict.off_segment)});
  }
  peers_ += update.come.size() - update.gone.size();
  return update;
}

std::vector<RejectedLease> PeerSelector::ignored(const Node& node) const {
  std::vector<RejectedLease> ignored = node.leases.rejected;
  for (const auto& [subnet, remark] : remarks_) {
    if (!remark.reason.empty()) ignored.push_back({format_subnet_key(subnet), remark.reason, *remark.lease});
  }
  return ignored;
}

std::vector<OffSegment> PeerSelector::off_segment() const {
  std::vector<OffSegment> all;
  for (const auto& [subnet, remark] : remarks_) all.insert(all.end(), remark.off_segment.begin(), remark.off_segment.end());
  return all;
}

}  // namespace merino
