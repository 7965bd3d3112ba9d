#include <cstdio>
#include <set>

#include "cni/commands.h"
#include "cni/ipam_exec.h"
#include "cni/teardown.h"
#include "netlink/netlink.h"

namespace merino::cni {
namespace {

// Attachments of this network that are not valid: by their records, and by the addresses that host-local holds for them.
Outcome<std::set<AttachmentId>> stale_attachments(const NetworkConf& conf, Ipam& ipam) {
  std::set<AttachmentId> stale;
  AttachmentList list = TRY(list_attachments());
  for (const Attachment& attachment : list.attachments) {
    if (attachment.network == conf.name) stale.insert({attachment.container_id, attachment.ifname});
  }
  for (const std::string& broken : list.broken) std::fprintf(stderr, "merino: passed over a broken record: %s\n", broken.c_str());
  for (const auto& [owner, address] : TRY(ipam.allocations())) {
    // Files in host-local's directory are anybody's: only what can be an attachment is torn down as one.
    if (is_valid_identifier(owner.container_id) && is_valid_ifname(owner.ifname)) stale.insert(owner);
  }
  for (const AttachmentId& id : conf.valid_attachments) stale.erase(id);
  return stale;
}

// Entries of pods whose interface is gone: nothing can be delivered there.
Status remove_dead_entries() {
  const FileLock lock = TRY(attachments_lock());
  const auto pods = read_pods();
  if (!pods && pods.error().kind == ErrorKind::not_found) return ok();
  if (!pods) return tl::unexpected(pods.error());
  Netlink netlink = TRY(Netlink::open());
  for (const PodEntry& pod : *pods) {
    if (!TRY(netlink.link_by_index(pod.host_ifindex))) TRY(remove_pod_entry(pod.address));
  }
  return ok();
}

}  // namespace

Outcome<void> del(const Environment& environment, const NetworkConf& conf) {
  return tear_down(conf, *make_ipam(conf, environment), environment.attachment(), environment.netns);
}

Outcome<void> gc(const Environment& environment, const NetworkConf& conf) {
  const std::unique_ptr<Ipam> ipam = make_ipam(conf, environment);
  Outcome<void> first;
  const auto note = [&](Outcome<void> outcome) {
    if (first && !outcome) first = std::move(outcome);
  };
  for (const AttachmentId& id : TRY(stale_attachments(conf, *ipam))) note(tear_down(conf, *ipam, id, ""));
  if (const Status removed = remove_dead_entries(); !removed) note(tl::unexpected(Failure(removed.error())));
  note(ipam->gc(conf.valid_attachments));
  return first;
}

}  // namespace merino::cni
