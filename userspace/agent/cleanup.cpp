#include "agent/cleanup.h"

#include <fmt/format.h>
#include <linux/if_addr.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "agent/forward.h"
#include "agent/masquerade.h"
#include "agent/node.h"
#include "agent/start.h"
#include "agent/takeover.h"
#include "agent/withdraw.h"
#include "base/agent_status.h"
#include "base/file.h"
#include "base/process.h"
#include "base/subnet_env.h"
#include "netlink/netlink.h"

namespace merino {

namespace {

// What flannel's delegate calls its bridge unless told otherwise.
constexpr const char* kBridgeName = "cni0";

// As the plugin names the host side: "mr" and 12 hex digits.
bool is_pod_veth(const Link& link) {
  constexpr size_t kLength = 14;
  return link.kind == "veth" && link.name.size() == kLength && link.name.starts_with("mr") &&
         link.name.find_first_not_of("0123456789abcdef", 2) == std::string::npos;
}

const std::vector<Prefix>& networks_of(const SubnetEnv& env, Family family) {
  return family == Family::v4 ? env.networks : env.networks_v6;
}

const std::optional<Prefix>& subnet_of(const SubnetEnv& env, Family family) { return family == Family::v4 ? env.subnet : env.subnet_v6; }

// A kernel without the setting has nothing to be set.
Status set_if_there(const std::string& key, const std::string& value) {
  const auto set = ensure_sysctl(key, value);
  if (set || set.error().kind == ErrorKind::not_found) return ok();
  return tl::unexpected(set.error());
}

class Cleanup {
 public:
  Cleanup(Netlink& netlink, std::optional<SubnetEnv> env) : netlink_(netlink), env_(std::move(env)) {}

  Status run() {
    note(keep_pods_reachable());
    note(withdraw());
    note(remove_rules());
    note(forget_flows());
    note(remove_state());
    return first_;
  }

 private:
  void note(Status status) {
    if (status) return;
    spdlog::error("{}", status.error().message());
    if (first_) first_ = std::move(status);
  }

  // The pods that merino attached become ports of the bridge that flannel's delegate has, or would make: their gateway's addresses go with
  // merino0, and pods on the bridge look for them there. They go on sending to the MAC of their own veth's host side, which a bridge takes
  // for its own. Found by their interfaces, as an earlier cleanup may have taken the records.
  Status keep_pods_reachable() {
    if (!env_) return ok();
    PerFamily<IpAddress> gateways;
    for (const Family family : kFamilies) {
      if (const auto& subnet = subnet_of(*env_, family)) gateways[family] = subnet->masked().address().plus(1);
    }
    std::vector<Link> pods = TRY(netlink_.links());
    std::erase_if(pods, [](const Link& link) { return !is_pod_veth(link) || link.master_index != 0; });
    auto bridge = TRY(gateway_bridge(netlink_, gateways));
    if (pods.empty() && !bridge) return ok();
    if (!bridge) bridge = TRY(make_bridge());
    for (const Family family : kFamilies) {
      if (!gateways[family]) continue;
      const Prefix address(*gateways[family], subnet_of(*env_, family)->length());
      if (TRY(netlink_.ensure_address(bridge->index, address, family == Family::v6 ? IFA_F_NODAD : 0)))
        spdlog::info("{} has {}, the gateway of the pods", bridge->name, address.to_string());
    }
    for (const Link& pod : pods) TRY(move_to_bridge(pod, *bridge));
    if (!pods.empty()) spdlog::info("{} pods that merino attached are ports of {} now", pods.size(), bridge->name);
    return stop_answering(*bridge);
  }

  Result<Link> make_bridge() {
    const auto existing = TRY(netlink_.link_by_name(kBridgeName));
    if (existing && existing->kind != "bridge") {
      return with_remedy(fail(ErrorKind::exists, "{} is no bridge: pods have no gateway", kBridgeName), "restart the pods");
    }
    const unsigned index = existing ? existing->index : TRY(netlink_.create_bridge(kBridgeName));
    if (env_->mtu > 0) TRY(netlink_.set_link_mtu(index, env_->mtu));
    TRY(netlink_.set_link_up(index));
    spdlog::info("bridge {} made", kBridgeName);
    const auto made = TRY(netlink_.link_by_index(index));
    if (!made) return fail(ErrorKind::unavailable, "bridge {} was deleted at once by somebody else", kBridgeName);
    return *made;
  }

  // From then on the host finds the pod by the subnet's route, as any pod of the bridge.
  Status move_to_bridge(const Link& pod, const Link& bridge) {
    TRY(netlink_.set_bridge_port(pod.index, bridge.index));
    for (const Family family : kFamilies) {
      for (const Route& route : TRY(netlink_.routes(family))) {
        const bool to_pod = route.link_index == pod.index && route.destination.length() == address_bits(family);
        if (to_pod) TRY(netlink_.remove_route(route));
      }
    }
    return ok();
  }

  // Every pod of the subnet is on the bridge and answers for itself.
  Status stop_answering(const Link& bridge) {
    TRY(set_if_there(fmt::format("net/ipv4/conf/{}/proxy_arp", bridge.name), "0"));
    TRY(set_if_there(fmt::format("net/ipv4/neigh/{}/proxy_delay", bridge.name), "80"));
    TRY(set_if_there(fmt::format("net/ipv6/conf/{}/proxy_ndp", bridge.name), "0"));
    TRY(set_if_there(fmt::format("net/ipv6/neigh/{}/proxy_delay", bridge.name), "80"));
    if (env_->subnet_v6) TRY(netlink_.ensure_proxies(bridge.index, *env_->subnet_v6, {}));
    return ok();
  }

  Status withdraw() {
    TRY(withdraw_datapath(netlink_));
    TRY(withdraw_endpoint_routes(netlink_));
    return ok();
  }

  Status remove_rules() {
    for (const Family family : kFamilies) {
      TRY(Masquerade::ensure_absent(family));
      if (!env_) continue;
      for (const Prefix& network : networks_of(*env_, family)) TRY(remove_forwarding(network));
    }
    return ok();
  }

  // Connections that the stack followed before merino carried them are known to it by numbers of long ago: it would take their packets for
  // invalid, and kube-proxy drops those. Forgotten, they are picked up where they are. Translated ones were with the stack all the time.
  Status forget_flows() {
    if (!env_) return ok();
    for (const Family family : kFamilies) {
      for (const Prefix& network : networks_of(*env_, family)) {
        const std::string text = network.masked().to_string();
        ProcessRequest request;
        request.argv = {"conntrack", "-D", "-f", family == Family::v4 ? "ipv4" : "ipv6", "-p", "tcp", "-s", text, "-d", text};
        const auto output = run_process(request);
        if (!output && output.error().kind == ErrorKind::not_found) {
          spdlog::warn("there is no command conntrack: connections from before merino may have to be made again");
          return ok();
        }
        if (!output) return tl::unexpected(output.error());
      }
    }
    return ok();
  }

  // Last: it takes the instance lock's file with it.
  static Status remove_state() {
    const std::filesystem::path directory = std::filesystem::path(kAgentLockPath).parent_path();
    std::error_code error;
    for (const std::string& name : TRY(list_directory(directory))) {
      std::filesystem::remove_all(directory / name, error);
      if (error) return fail_errno(error.value(), "remove {}", (directory / name).native());
    }
    // In a container it may be a mount, which stays.
    std::filesystem::remove(directory, error);
    return ok();
  }

  Netlink& netlink_;
  std::optional<SubnetEnv> env_;
  Status first_ = ok();
};

}  // namespace

Status run_cleanup(const AgentOptions& options) {
  if (::geteuid() != 0) {
    return with_remedy(fail(ErrorKind::invalid, "merinod --cleanup runs as user {}, and it must be root", ::geteuid()),
                       "start it with sudo, or as a privileged container");
  }
  const Fd instance = TRY(take_instance_lock(kAgentLockPath));
  Netlink netlink = TRY(Netlink::open());
  std::optional<SubnetEnv> env;
  if (auto loaded = load_subnet_env(options.subnet_file)) env = *std::move(loaded);
  TRY(Cleanup(netlink, std::move(env)).run());
  spdlog::info("nothing of merino is left on this node but the plugin, its configuration and the pods it attached");
  return ok();
}

}  // namespace merino
