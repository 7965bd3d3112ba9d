#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <set>
#include <utility>

#include "agent/steps.h"
#include "base/process.h"
#include "datapath/abi_version.h"
#include "datapath/attach.h"
#include "datapath/kernel.h"
#include "datapath/pod_table.h"
#include "datapath/programs.h"
#include "datapath/wire_xdp.h"

namespace merino {

namespace {

// Without conntrack's answer the programs could not tell a translated flow from a plain one, and a kfunc that was missing when they were
// loaded stays missing. So it is loaded first, and asked for again as long as it is not there.
Result<bool> find_conntrack(bool& modprobe_tried) {
  if (TRY(kernel_has_conntrack_lookup())) return true;
  if (std::exchange(modprobe_tried, true)) return false;
  ProcessRequest request;
  request.argv = {"modprobe", "nf_conntrack"};
  const auto output = run_process(request);
  if (output && output->succeeded()) return kernel_has_conntrack_lookup();
  spdlog::warn("modprobe nf_conntrack failed: {}", output ? output->outcome() + ": " + output->err : output.error().message());
  return false;
}

Status look_for_conntrack(Site& site) {
  if (site.node.conntrack || !site.node.conf.fast_path) return ok();
  site.node.conntrack = TRY(find_conntrack(site.modprobe_tried));
  return ok();
}

bool same_config(const merino_config& a, const merino_config& b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }

// Names what is ignored now and was not before; the status file names the rest of a flood.
void log_new(const std::vector<RejectedLease>& ignored, const std::vector<RejectedLease>& before) {
  constexpr size_t kLinesAtOnce = 20;
  std::set<std::pair<std::string, std::string>> known;
  for (const RejectedLease& lease : before) known.emplace(lease.key, lease.reason);
  size_t lines = 0;
  for (const RejectedLease& lease : ignored) {
    if (known.contains({lease.key, lease.reason}) || ++lines > kLinesAtOnce) continue;
    spdlog::warn("lease {} is ignored: {}", lease.key, lease.reason);
  }
  if (lines > kLinesAtOnce) spdlog::warn("{} more leases are ignored: see merinoctl status", lines - kLinesAtOnce);
}

struct Attaching {
  Program program = Program::from_wire;
  AttachPoint point;
  const std::string& interface;
};

// Everything that belongs to an attached pod but its map entry and program: the slow path's way to it.
Result<bool> keep_pod_route(Netlink& netlink, const Attachment& pod, const IpAddress& address) {
  Route route;
  route.destination = Prefix(address, address_bits(address.family()));
  route.link_index = pod.host_ifindex;
  route.scope = RT_SCOPE_LINK;
  bool changed = TRY(netlink.ensure_route(route));
  changed |= TRY(netlink.ensure_neighbour(pod.host_ifindex, address, pod.pod_mac));
  return changed;
}

Result<bool> keep_pod(Netlink& netlink, const Attachment& pod) {
  bool changed = TRY(mend_pod(pod));
  for (const Prefix& address : pod.addresses) changed |= TRY(keep_pod_route(netlink, pod, address.address()));
  if (changed) spdlog::info("pod interface {} of container {} mended ({})", pod.ifname, pod.container_id, pod.host_ifname);
  return changed;
}

Result<bool> attach_wire_xdp(Site& site, XdpMode mode) {
  const Uplink& uplink = site.node.uplink;
  const auto link = TRY(site.netlink.link_by_index(uplink.index));
  if (!link) return fail(ErrorKind::unavailable, "the uplink {} is gone", uplink.name);
  if (!TRY(ensure_wire_xdp(programs_config(site.node), {uplink.index, mode, link->mac}))) return false;
  spdlog::info("program wire_xdp attached to {} ({} XDP)", uplink.name, xdp_mode_name(mode));
  return true;
}

// Where native XDP cannot be, the node goes on without: said once for each reason.
Result<bool> attach_wire_xdp_if_native(Site& site) {
  auto attached = attach_wire_xdp(site, XdpMode::native);
  const std::string obstacle = attached ? "" : attached.error().message();
  if (std::exchange(site.wire_xdp_obstacle, obstacle) != obstacle && !obstacle.empty())
    spdlog::info("--wire-xdp=auto: no XDP program on {}: {}", site.node.uplink.name, obstacle);
  return attached.value_or(false);
}

// What has changed since the last pass, if the maps are known to say what was written then. Where apply() does not know that, or fails, the
// maps are read and compared with all that should be in them.
Result<PeerChanges> write_peers(Site& site) {
  PeerUpdate update = site.peer_selector.update(site.node);
  if (update.extent == PeerUpdate::Extent::difference) {
    if (auto changes = site.peer_table.apply(update.gone, update.come)) return changes;
    site.peer_selector.forget();
    update = site.peer_selector.update(site.node);
  }
  return site.peer_table.sync(update.come);
}

bool is_there(const Attachment& pod) { return link_name(pod.host_ifindex) == pod.host_ifname; }

bool has_entry(const std::vector<Attachment>& pods, const PodEntry& entry) {
  return std::any_of(pods.begin(), pods.end(), [&](const Attachment& pod) {
    return pod.host_ifindex == entry.host_ifindex && std::any_of(pod.addresses.begin(), pod.addresses.end(),
                                                                 [&](const Prefix& address) { return address.address() == entry.address; });
  });
}

// An entry that no record has: its pod went while maps or records were out of reach.
Result<bool> remove_orphans(const std::vector<Attachment>& pods) {
  bool changed = false;
  for (const PodEntry& entry : TRY(read_pods())) {
    if (has_entry(pods, entry)) continue;
    Attachment orphan;
    orphan.addresses = {Prefix(entry.address, address_bits(entry.address.family()))};
    orphan.host_ifindex = entry.host_ifindex;
    // The program first: it would drop everything that a pod without an entry sends.
    const auto name = link_name(entry.host_ifindex);
    orphan.host_ifname = name.value_or("");
    TRY(name ? release_pod(orphan) : remove_pod_entry(entry.address));
    spdlog::info("pods: entry of {} removed, no attachment has it", entry.address.to_string());
    changed = true;
  }
  return changed;
}

// The programs may have new maps: who is attached stands there before they are attached, because they drop what others send. Whom that
// fails for is keep_pods' to name.
Status fill_pods(const Site& site) {
  const FileLock lock = TRY(attachments_lock());
  std::vector<Attachment> pods = TRY(list_attachments()).attachments;
  if (site.adopted) pods.insert(pods.end(), site.adopted->begin(), site.adopted->end());
  for (const Attachment& pod : pods) {
    if (pod.complete && is_there(pod)) (void)ensure_pod_entries(pod);
  }
  return ok();
}

}  // namespace

Result<bool> keep_programs(Site& site) {
  Node& node = site.node;
  TRY(ensure_bpffs());
  TRY(look_for_conntrack(site));
  merino_config wanted = programs_config(node);
  wanted.program_id = program_id();
  const auto current = TRY(loaded_config());
  if (current) wanted.flow_seed = current->flow_seed;
  if (current && same_config(*current, wanted)) return false;
  const uint32_t abi_before = TRY(pinned_abi_version());
  TRY(load_programs(wanted));
  if (abi_before != 0 && abi_before != MERINO_ABI_VERSION)
    spdlog::info("maps of ABI version {} made anew in version {}", abi_before, MERINO_ABI_VERSION);
  site.peers_awaited = true;
  TRY(fill_pods(site));
  const std::string obstacle = fast_path_obstacle(node);
  spdlog::info("BPF programs loaded: {}, endpoint {} on {}, VNI {}, MTU {}", backend_name(node.conf.backend),
               to_string(node.uplink.address), node.uplink.name, node.conf.vxlan.vni, tunnel_mtu(node));
  if (!obstacle.empty()) spdlog::warn("the fast path is OFF, every packet goes through the kernel's stack: {}", obstacle);
  return true;
}

Result<bool> keep_peers(Site& site) {
  const auto changes = write_peers(site);
  auto ignored = site.peer_selector.ignored(site.node);
  log_new(ignored, site.ignored_leases);
  site.ignored_leases = std::move(ignored);
  // A full map has what fits.
  if (changes || changes.error().kind == ErrorKind::exhausted || changes.error().kind == ErrorKind::invalid) site.peers_awaited = false;
  if (!changes) return tl::unexpected(changes.error());
  if (changes->added + changes->changed + changes->removed == 0) return false;
  spdlog::info("peers: {} in all; {} added, {} changed, {} removed", site.peer_selector.peers(), changes->added, changes->changed,
               changes->removed);
  return true;
}

Result<bool> keep_links(Site& site) {
  const Node& node = site.node;
  if (site.peers_awaited) return fail(ErrorKind::unavailable, "new programs wait for the maps of peers");
  const std::string device = kDeviceName;
  const Attaching all[] = {
      {Program::from_tunnel, {"device_in", node.device_index, Direction::ingress}, device},
      {Program::from_host, {"device_out", node.device_index, Direction::egress}, device},
      {Program::from_wire, {"uplink", node.uplink.index, Direction::ingress}, node.uplink.name},
  };
  bool changed = false;
  for (const Attaching& each : all) {
    if (!TRY(attach(each.program, each.point))) continue;
    spdlog::info("program {} attached to {}", program_name(each.program), each.interface);
    changed = true;
  }
  return changed;
}

Result<bool> keep_wire_xdp(Site& site) {
  const WireXdp wanted = site.node.options.wire_xdp;
  if (wanted != WireXdp::off && tunnel_port(site.node) != 0) {
    if (wanted == WireXdp::automatic) return attach_wire_xdp_if_native(site);
    return attach_wire_xdp(site, wanted == WireXdp::native ? XdpMode::native : XdpMode::generic);
  }
  if (!TRY(remove_wire_xdp())) return false;
  spdlog::info("program wire_xdp detached");
  return true;
}

Result<bool> keep_pods(Site& site) {
  const FileLock lock = TRY(attachments_lock());
  const AttachmentList list = TRY(list_attachments());
  std::vector<std::string> problems = list.broken;
  bool changed = false;
  for (const Attachment& pod : list.attachments) {
    if (!pod.complete || !is_there(pod)) continue;
    const auto kept = keep_pod(site.netlink, pod);
    if (kept) changed |= *kept;
    if (!kept) problems.push_back(fmt::format("{} of container {}: {}", pod.ifname, pod.container_id, kept.error().message()));
  }
  // A record that cannot be read may be the one that an entry belongs to.
  if (list.broken.empty() && site.adopted) {
    std::vector<Attachment> known = list.attachments;
    known.insert(known.end(), site.adopted->begin(), site.adopted->end());
    changed |= TRY(remove_orphans(known));
  }
  if (problems.empty()) return changed;
  return fail(ErrorKind::invalid, "{}", fmt::join(problems, "; "));
}

}  // namespace merino
