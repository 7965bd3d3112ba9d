#include "agent/start.h"

#include <fcntl.h>
#include <spdlog/spdlog.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>

#include "agent/steps.h"
#include "agent/takeover.h"
#include "base/file.h"
#include "cluster/directory_store.h"
#include "cluster/remote_store.h"

namespace merino {

namespace {

// What this node said of itself last, as far as Node or lease still say it.
Result<PerFamily<VxlanLease>> published_vxlan(const Node& node, const NodeHints& hints, LeaseStore& store) {
  if (hints.published && !hints.published->vxlan.empty()) return hints.published->vxlan;
  const LeaseSet leases = TRY(store.list());
  for (const Lease& lease : leases.leases) {
    if (is_same_node(lease.attributes.public_ip, node.uplink.public_ip) && !lease.attributes.vxlan.empty()) return lease.attributes.vxlan;
  }
  return PerFamily<VxlanLease>{};
}

// The MAC that peers know, so that neither a restart nor a takeover changes anything for them: the device's or flanneld's device's, else
// the one that was published last. merino0 has IPv4's, or the only one; a second one is known by the programs and by what was published.
Result<PerFamily<MacAddress>> previous_macs(const Node& node, const NodeHints& hints, Netlink& netlink, LeaseStore& store) {
  const auto device = TRY(netlink.link_by_name(kDeviceName));
  std::optional<MacAddress> fallback;
  if (device && device->kind == "vxlan" && device->mac.is_unicast()) fallback = device->mac;
  std::optional<PerFamily<VxlanLease>> published;
  PerFamily<MacAddress> macs;
  for (const Family family : families(node)) {
    const auto flannel = TRY(flannel_device(netlink, node.conf.vxlan.vni, family));
    const bool is_devices = fallback && family == families(node).front();
    if (is_devices) {
      macs[family] = fallback;
    } else if (flannel && flannel->mac.is_unicast()) {
      macs[family] = flannel->mac;
    } else {
      if (!published) published = TRY(published_vxlan(node, hints, store));
      if ((*published)[family]) macs[family] = (*published)[family]->vtep_mac;
    }
    if (!macs[family]) macs[family] = fallback.value_or(MacAddress::random());
    if (!fallback) fallback = macs[family];
  }
  return macs;
}

Subnets previous_subnets(const std::string& path) {
  const auto env = load_subnet_env(path);
  if (!env && env.error().kind != ErrorKind::not_found) spdlog::warn("the previous subnet is not known: {}", env.error().message());
  Subnets subnets;
  if (env && env->subnet) subnets.v4 = env->subnet->masked();
  if (env && env->subnet_v6) subnets.v6 = env->subnet_v6->masked();
  return subnets;
}

Status check_mtu(const Node& node) {
  // What every host must be able to take (RFC 791; RFC 8200, section 5).
  const int smallest = node.conf.pools.v6 ? 1280 : 576;
  if (tunnel_mtu(node) >= smallest) return ok();
  return with_remedy(fail(ErrorKind::invalid, "an MTU of {} leaves {} bytes for pods, too few", tunnel_mtu(node) + tunnel_overhead(node),
                          tunnel_mtu(node)),
                     fmt::format("set the MTU of {} or Backend.MTU to {} or more", node.uplink.name, smallest + tunnel_overhead(node)));
}

}  // namespace

Result<Fd> take_instance_lock(const std::string& path) {
  TRY(make_directories(std::filesystem::path(path).parent_path()));
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!fd) return fail_errno(errno, "open {}", path);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_errno(errno, "lock {}", path);
    std::string holder = read_file(path).value_or("");
    holder = holder.substr(0, holder.find('\n'));
    return with_remedy(fail(ErrorKind::exists, "another merinod runs on this node (process {}; it holds {})", holder, path),
                       "stop it first");
  }
  const std::string pid = fmt::format("{}\n", getpid());
  if (::ftruncate(fd.get(), 0) != 0 || ::pwrite(fd.get(), pid.data(), pid.size(), 0) < 0) return fail_errno(errno, "write {}", path);
  return fd;
}

Result<std::unique_ptr<LeaseStore>> open_store(const AgentOptions& options) {
  if (options.store == StoreKind::directory) return open_directory_store(options.lease_dir);
  auto stop = std::make_unique<StopSignal>(TRY(StopSignal::open()));
  auto source = TRY(options.store == StoreKind::kube ? open_kube_source(options.kube, *stop) : open_etcd_source(options.etcd, *stop));
  return open_remote_store(std::move(source), std::move(stop));
}

Result<Node> start_node(const AgentOptions& options, Netlink& netlink, LeaseStore& store) {
  Node node;
  node.options = options;
  node.conf = TRY(store.load_conf(options.net_conf_path));
  const NodeHints hints = TRY(store.hints());
  for (const Family family : kFamilies) {
    if (hints.public_ip[family]) node.options.public_ip[family] = hints.public_ip[family];
  }
  node.uplink = TRY(find_uplink(node, netlink));
  TRY(check_mtu(node));
  TRY(check_backend(node));
  node.vtep_mac = TRY(previous_macs(node, hints, netlink, store));
  const Subnets previous = previous_subnets(options.subnet_file);
  node.lease = TRY(store.acquire(node.conf, {lease_attributes(node), previous}));
  spdlog::info("uplink is {} (index {}, MTU {}), endpoint {}, public address {}", node.uplink.name, node.uplink.index, node.uplink.mtu,
               to_string(node.uplink.address), to_string(node.uplink.public_ip));
  spdlog::info("lease of {} in {} ({}), VTEP MAC {}", to_string(node.lease.subnet), to_string(node.conf.networks()),
               previous == node.lease.subnet ? "as before" : "new", to_string(node.vtep_mac));
  return node;
}

}  // namespace merino
