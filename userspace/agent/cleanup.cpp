#include "agent/cleanup.h"

#include <fmt/format.h>
#include <net/if.h>
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
#include "base/agent_status.h"
#include "base/process.h"
#include "base/subnet_env.h"
#include "datapath/attach.h"
#include "datapath/programs.h"
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

class Cleanup {
 public:
  Cleanup(Netlink& netlink, std::optional<SubnetEnv> env) : netlink_(netlink), env_(std::move(env)) {}

  Status run() {
    note(keep_pods_reachable());
    note(detach_programs());
    note(remove_device());
    note(remove_rules());
    note(forget_flows());
    note(remove_pins());
    note(remove_state());
    return first_;
  }

 private:
  void note(Status status) {
    if (status) return;
    spdlog::error("{}", status.error().message());
    if (first_) first_ = std::move(status);
  }

  // Pods that merino attached and that are still there; by their interfaces, as an earlier cleanup may have taken the records.
  Result<size_t> count_pods() {
    const std::vector<Link> links = TRY(netlink_.links());
    return static_cast<size_t>(std::count_if(links.begin(), links.end(), is_pod_veth));
  }

  // Their gateway's address goes with merino0: the bridge that flannel's delegate has it on is made now, as that would make it. Pods on the
  // bridge ask for the MACs of pods beside it, which the host answers.
  Status keep_pods_reachable() {
    if (!env_ || !env_->subnet) return ok();
    const IpAddress gateway = env_->subnet->masked().address().plus(1);
    auto bridge = TRY(gateway_bridge(netlink_, gateway));
    const size_t pods = TRY(count_pods());
    if (pods == 0 && !bridge) return ok();
    if (!bridge) bridge = TRY(make_bridge(Prefix(gateway, env_->subnet->length())));
    if (!bridge) return ok();
    TRY(ensure_sysctl(fmt::format("net/ipv4/conf/{}/proxy_arp", bridge->name), pods > 0 ? "1" : "0"));
    TRY(ensure_sysctl(fmt::format("net/ipv4/neigh/{}/proxy_delay", bridge->name), pods > 0 ? "0" : "80"));
    if (pods > 0) spdlog::info("{} pods stay attached as merino attached them; {} has their gateway's address", pods, bridge->name);
    return ok();
  }

  Result<std::optional<Link>> make_bridge(const Prefix& gateway) {
    const auto existing = TRY(netlink_.link_by_name(kBridgeName));
    if (existing && existing->kind != "bridge") {
      return with_remedy(fail(ErrorKind::exists, "{} is no bridge: pods have no gateway {}", kBridgeName, gateway.address().to_string()),
                         "restart the pods");
    }
    const unsigned index = existing ? existing->index : TRY(netlink_.create_bridge(kBridgeName));
    if (env_->mtu > 0) TRY(netlink_.set_link_mtu(index, env_->mtu));
    TRY(netlink_.set_link_up(index));
    TRY(netlink_.ensure_address(index, gateway));
    spdlog::info("bridge {} made with {}", kBridgeName, gateway.to_string());
    return netlink_.link_by_index(index);
  }

  Status detach_programs() {
    std::vector<unsigned> indexes;
    for (const Link& link : TRY(netlink_.links())) indexes.push_back(link.index);
    return detach_all(indexes);
  }

  Status remove_device() {
    const auto device = TRY(netlink_.link_by_name(kDeviceName));
    if (!device || device->kind != "vxlan") return ok();
    TRY(netlink_.delete_link(device->index));
    spdlog::info("device {} removed", kDeviceName);
    return ok();
  }

  Status remove_rules() {
    TRY(Masquerade::ensure_absent());
    if (!env_) return ok();
    for (const Prefix& network : env_->networks) TRY(remove_forwarding(network));
    return ok();
  }

  // Connections that the stack followed before merino carried them are known to it by numbers of long ago: it would take their packets for
  // invalid, and kube-proxy drops those. Forgotten, they are picked up where they are. Translated ones were with the stack all the time.
  Status forget_flows() {
    if (!env_) return ok();
    for (const Prefix& network : env_->networks) {
      const std::string text = network.masked().to_string();
      ProcessRequest request;
      request.argv = {"conntrack", "-D", "-f", "ipv4", "-p", "tcp", "-s", text, "-d", text};
      const auto output = run_process(request);
      if (!output && output.error().kind == ErrorKind::not_found) {
        spdlog::warn("there is no command conntrack: connections from before merino may have to be made again");
        return ok();
      }
      if (!output) return tl::unexpected(output.error());
    }
    return ok();
  }

  // Last: it takes the instance lock's file with it.
  static Status remove_state() {
    const std::filesystem::path directory = std::filesystem::path(kAgentLockPath).parent_path();
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
      std::error_code removed;
      std::filesystem::remove_all(entry.path(), removed);
      if (removed) return fail_errno(removed.value(), "remove {}", entry.path().native());
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
