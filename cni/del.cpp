#include <algorithm>
#include <cstdio>
#include <set>

#include "cni/commands.h"
#include "cni/delegate.h"
#include "cni/ipam_exec.h"
#include "cni/teardown.h"
#include "netlink/netlink.h"

namespace merino::cni {
namespace {

// Containers that flannel's plugin, or merino in its place, attached to this network, and that have no valid attachment.
Outcome<std::vector<std::string>> containers_with_a_delegate(const NetworkConf& conf) {
  std::vector<std::string> found;
  for (const std::string& container_id : TRY(list_delegate_files(conf.data_dir))) {
    const bool valid = std::any_of(conf.valid_attachments.begin(), conf.valid_attachments.end(),
                                   [&](const AttachmentId& id) { return id.container_id == container_id; });
    if (valid || !is_valid_identifier(container_id)) continue;
    if (TRY(kept_delegate(conf, container_id))) found.push_back(container_id);
  }
  return found;
}

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
  for (const std::string& container_id : TRY(containers_with_a_delegate(conf))) {
    const bool known = std::any_of(stale.begin(), stale.end(), [&](const AttachmentId& id) { return id.container_id == container_id; });
    // The file does not say which interface it is about; runtimes have this one.
    if (!known) stale.insert({container_id, "eth0"});
  }
  for (const AttachmentId& id : conf.valid_attachments) stale.erase(id);
  return stale;
}

// Entries of pods whose interface is gone: nothing can be delivered there.
Status remove_dead_entries() {
  const FileLock lock = TRY(attachments_lock());
  const auto pods = read_pods();
  if (!pods && (pods.error().kind == ErrorKind::not_found || pods.error().kind == ErrorKind::unsupported)) return ok();
  if (!pods) return tl::unexpected(pods.error());
  Netlink netlink = TRY(Netlink::open());
  for (const PodEntry& pod : *pods) {
    if (!TRY(netlink.link_by_index(pod.host_ifindex))) TRY(remove_pod_entry(pod.address));
  }
  return ok();
}

}  // namespace

Outcome<void> del(const Environment& environment, const NetworkConf& conf) {
  const AttachmentId id = environment.attachment();
  const auto kept = TRY(kept_delegate(conf, id.container_id));
  const bool own = !kept || attached_by_merino(conf, id);
  // merino's own type says itself which ipam it has.
  const bool by_kept = kept && (!own || conf.type == ConfType::flannel);
  const NetworkConf effective = by_kept ? with_ipam_of(*kept, conf, environment) : conf;
  if (!own) {
    TRY(delete_foreign(environment, *kept));
    TRY(remove_dead_entries());
  }
  TRY(tear_down(effective, *make_ipam(effective, environment), id, environment.netns));
  TRY(forget_delegate(conf, id.container_id));
  return {};
}

Outcome<void> gc(const Environment& environment, const NetworkConf& conf) {
  const std::unique_ptr<Ipam> ipam = make_ipam(conf, environment);
  Outcome<void> first;
  const auto note = [&](Outcome<void> outcome) {
    if (first && !outcome) first = std::move(outcome);
  };
  Environment one = environment;
  for (const AttachmentId& id : TRY(stale_attachments(conf, *ipam))) {
    one.container_id = id.container_id;
    one.ifname = id.ifname;
    one.netns.clear();
    note(del(one, conf));
  }
  if (const Status removed = remove_dead_entries(); !removed) note(tl::unexpected(Failure(removed.error())));
  note(ipam->gc(conf.valid_attachments));
  return first;
}

}  // namespace merino::cni
