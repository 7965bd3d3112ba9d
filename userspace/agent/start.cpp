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

// The MAC that peers know, so that neither a restart nor a takeover changes anything for them: the device's, flanneld's device's, else the
// one that was published last.
Result<MacAddress> previous_mac(const Node& node, const std::optional<LeaseAttributes>& published, Netlink& netlink, LeaseStore& store) {
  const auto device = TRY(netlink.link_by_name(kDeviceName));
  if (device && device->kind == "vxlan" && device->mac.is_unicast()) return device->mac;
  const auto flannel = TRY(flannel_device(netlink, node.conf.vxlan.vni));
  if (flannel && flannel->mac.is_unicast()) return flannel->mac;
  if (published && published->vxlan) return published->vxlan->vtep_mac;
  const LeaseSet leases = TRY(store.list());
  for (const Lease& lease : leases.leases) {
    if (lease.attributes.public_ip == node.uplink.public_ip && lease.attributes.vxlan) return lease.attributes.vxlan->vtep_mac;
  }
  return MacAddress::random();
}

std::optional<Prefix> previous_subnet(const std::string& path) {
  const auto env = load_subnet_env(path);
  if (env && env->subnet) return env->subnet->masked();
  if (!env && env.error().kind != ErrorKind::not_found) spdlog::warn("the previous subnet is not known: {}", env.error().message());
  return std::nullopt;
}

Status check_mtu(const Node& node) {
  constexpr int kSmallest = 576;  // what every IPv4 host must be able to take (RFC 791)
  if (tunnel_mtu(node) >= kSmallest) return ok();
  return with_remedy(fail(ErrorKind::invalid, "an MTU of {} leaves {} bytes for pods, too few", tunnel_mtu(node) + tunnel_overhead(node),
                          tunnel_mtu(node)),
                     fmt::format("set the MTU of {} or Backend.MTU to {} or more", node.uplink.name, kSmallest + tunnel_overhead(node)));
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
  if (hints.public_ip) node.options.public_ip = hints.public_ip;
  node.uplink = TRY(find_uplink(node.options, netlink));
  TRY(check_mtu(node));
  TRY(check_backend(node));
  node.vtep_mac = TRY(previous_mac(node, hints.published, netlink, store));
  const auto previous = previous_subnet(options.subnet_file);
  node.lease = TRY(store.acquire(node.conf, {lease_attributes(node), previous}));
  spdlog::info("uplink is {} (index {}, MTU {}), endpoint {}, public address {}", node.uplink.name, node.uplink.index, node.uplink.mtu,
               node.uplink.address.to_string(), node.uplink.public_ip.to_string());
  spdlog::info("lease of {} in {} ({}), VTEP MAC {}", node.lease.subnet.to_string(), node.conf.network.to_string(),
               previous == node.lease.subnet ? "as before" : "new", node.vtep_mac.to_string());
  return node;
}

}  // namespace merino
