#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "cni/commands.h"
#include "cni/ipam_exec.h"
#include "cni/ipv6_settings.h"
#include "cni/teardown.h"
#include "datapath/abi_version.h"
#include "datapath/pins.h"
#include "datapath/programs.h"
#include "netlink/netlink.h"

namespace merino::cni {
namespace {

constexpr int kCarrierTries = 1000;
constexpr useconds_t kCarrierPause = 1000;
constexpr size_t kLongestKubeName = 253;
constexpr const char* kAgentLog = "is merinod running? See journalctl -u merino, or kubectl -n kube-flannel logs of the node's agent pod";

// What a Kubernetes runtime says of the pod in CNI_ARGS; names for people, so what cannot be one is none.
std::string pod_argument(const Environment& environment, const char* key) {
  std::string value = argument(environment.args, key);
  return value.size() <= kLongestKubeName && is_valid_identifier(value) ? value : "";
}

Outcome<void> check_agent_ran() {
  const std::string pin = pins::program(program_name(Program::from_pod));
  if (::access(pin.c_str(), F_OK) != 0) {
    return fail_with(Code::try_again_later, fmt::format("the node's agent has not loaded the BPF programs yet: {} is missing", pin),
                     kAgentLog);
  }
  if (const Status same = check_abi_version(); !same) {
    Failure failure(same.error());
    failure.code = Code::try_again_later;
    return tl::unexpected(std::move(failure));
  }
  return {};
}

Outcome<void> read_subnet_env(NetworkConf& conf) {
  if (!conf.needs_subnet_env()) return {};
  const auto env = load_subnet_env(conf.subnet_file);
  if (!env) {
    Failure failure(env.error());
    // Written by the agent when it has its lease; even a broken one is replaced then.
    failure.code = Code::try_again_later;
    if (failure.details.empty()) failure.details = kAgentLog;
    return tl::unexpected(std::move(failure));
  }
  apply_subnet_env(conf, *env);
  return {};
}

Outcome<Fd> open_pod_namespace(const Environment& environment) {
  auto fd = open_network_namespace(environment.netns);
  if (!fd) return fail_with(Code::invalid_netns, "CNI_NETNS: " + fd.error().message());
  struct stat pod {};
  struct stat own {};
  if (::fstat(fd->get(), &pod) != 0 || ::stat("/proc/self/ns/net", &own) != 0) {
    return fail_with(Code::invalid_netns, fmt::format("CNI_NETNS {} cannot be compared with the host's namespace", environment.netns));
  }
  if (pod.st_ino == own.st_ino && pod.st_dev == own.st_dev && !environment.netns_override) {
    return fail_with(Code::invalid_netns, fmt::format("CNI_NETNS {} is the host's own network namespace", environment.netns));
  }
  return std::move(*fd);
}

Result<unsigned> link_index(Netlink& netlink, const std::string& name) {
  const auto link = TRY(netlink.link_by_name(name));
  if (!link) return fail(ErrorKind::not_found, "interface {} went away while it was set up", name);
  return link->index;
}

// The second end that comes up gives the first one its carrier, and until the kernel's link watch has seen that, which may take it a
// second, packets sent from there are dropped. Linux 6.8 and later catch up when they are asked about the link; older ones are waited for.
Status wait_for_carrier(Netlink& netlink, unsigned index) {
  for (int i = 0; i < kCarrierTries; ++i) {
    const auto link = TRY(netlink.link_by_index(index));
    if (!link || (link->flags & IFF_RUNNING) != 0) break;
    ::usleep(kCarrierPause);
  }
  return ok();
}

// The pod reaches everything through its gateway, which is the host: nothing else answers on its link.
Result<std::vector<Route>> pod_routes(const AddResult& result, const std::vector<IpAddress>& gateways, unsigned link) {
  std::vector<Route> routes;
  const auto push = [&](const Prefix& destination, const std::optional<IpAddress>& gateway, int mtu) {
    const bool known = std::any_of(routes.begin(), routes.end(), [&](const Route& route) { return route.destination == destination; });
    const uint8_t scope = gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
    if (!known) routes.push_back({destination, gateway, std::nullopt, link, scope, mtu});
  };
  for (const IpAddress& gateway : gateways) push(Prefix(gateway, address_bits(gateway.family())), std::nullopt, 0);
  for (const ResultRoute& route : result.routes) {
    const auto gateway =
        std::find_if(gateways.begin(), gateways.end(), [&](const IpAddress& ip) { return ip.family() == route.destination.family(); });
    if (gateway == gateways.end()) {
      return fail(ErrorKind::invalid, "route {}: the pod has no address of that family", route.destination.to_string());
    }
    if (route.gateway && *route.gateway != *gateway) {
      return with_remedy(fail(ErrorKind::invalid, "route {} goes via {}, but a pod reaches its gateway {} only",
                              route.destination.to_string(), route.gateway->to_string(), gateway->to_string()),
                         "leave \"gw\" out of the route");
    }
    push(route.destination, *gateway, route.mtu);
  }
  return routes;
}

// One ADD. What it made so far is in the record, in IPAM and under the veth's name, so that tear_down() finds it.
class Adder {
 public:
  Adder(const Environment& environment, NetworkConf conf)
      : environment_(environment), conf_(std::move(conf)), id_(environment.attachment()) {}

  Outcome<AddResult> run() {
    TRY(check_preconditions());
    ipam_ = make_ipam(conf_, environment_);
    result_ = TRY(ipam_->add(id_, environment_.netns));
    const auto built = build();
    if (!built) {
      // It opens what it needs, and may be called because there are no descriptors left.
      pod_.reset();
      host_.reset();
      netns_ = Fd();
      (void)tear_down(conf_, *ipam_, id_, environment_.netns);
      return tl::unexpected(built.error());
    }
    return std::move(result_);
  }

 private:
  Outcome<void> check_preconditions() {
    if (conf_.has_prev_result) {
      return fail_with(Code::invalid_config, "ADD with a prevResult: merino makes the pod's interface and works on no other plugin's",
                       "put merino first in the plugin list");
    }
    TRY(check_agent_ran());
    TRY(read_subnet_env(conf_));
    netns_ = TRY(open_pod_namespace(environment_));
    pod_.emplace(TRY(in_network_namespace(netns_.get(), Netlink::open)));
    host_.emplace(TRY(Netlink::open()));
    return check_nothing_exists();
  }

  Outcome<void> check_nothing_exists() {
    if (TRY(pod_->link_by_name(id_.ifname))) {
      return fail_with(Code::internal, fmt::format("interface {} exists already in {}", id_.ifname, environment_.netns),
                       "another plugin made it, or ADD was called twice without DEL");
    }
    const std::string host_name = host_ifname(id_);
    const std::string record = attachment_path(id_.container_id, id_.ifname);
    const bool recorded = ::access(record.c_str(), F_OK) == 0;
    if (!recorded && !TRY(host_->link_by_name(host_name))) return {};
    return fail_with(Code::internal,
                     fmt::format("container {} has an interface {} already: {} exists", id_.container_id, id_.ifname,
                                 recorded ? record : "host interface " + host_name),
                     "the runtime has to call DEL before it calls ADD again");
  }

  Outcome<void> build() {
    TRY(plan());
    TRY(record());
    TRY(make_veth());
    TRY(configure_host());
    TRY(configure_pod());
    TRY(join_datapath());
    describe();
    return {};
  }

  Status plan() {
    attachment_.network = conf_.name;
    attachment_.container_id = id_.container_id;
    attachment_.ifname = id_.ifname;
    attachment_.netns = environment_.netns;
    attachment_.host_ifname = host_ifname(id_);
    attachment_.pod_mac = MacAddress::random();
    attachment_.host_mac = MacAddress::random();
    attachment_.delivery = conf_.delivery;
    attachment_.pod_namespace = pod_argument(environment_, "K8S_POD_NAMESPACE");
    attachment_.pod_name = pod_argument(environment_, "K8S_POD_NAME");
    for (const ResultAddress& address : result_.addresses) {
      attachment_.addresses.push_back(address.address);
      TRY(plan_gateway(address));
    }
    if (conf_.default_route == DefaultRoute::as_given) return ok();
    for (const IpAddress& gateway : attachment_.gateways) add_default_route(gateway);
    return ok();
  }

  Status plan_gateway(const ResultAddress& address) {
    auto& gateways = attachment_.gateways;
    const Family family = address.address.family();
    if (std::any_of(gateways.begin(), gateways.end(), [&](const IpAddress& ip) { return ip.family() == family; })) return ok();
    if (!address.gateway) {
      return with_remedy(fail(ErrorKind::invalid, "IPAM gave no gateway for {}", address.address.to_string()),
                         "set \"gateway\" in the network configuration's ipam");
    }
    if (*address.gateway == address.address.address() || address.gateway->family() != family) {
      return fail(ErrorKind::invalid, "IPAM gave {} as the gateway of {}", address.gateway->to_string(), address.address.to_string());
    }
    gateways.push_back(*address.gateway);
    return ok();
  }

  void add_default_route(const IpAddress& gateway) {
    const Prefix everything = Prefix(gateway, 0).masked();
    const bool given = std::any_of(result_.routes.begin(), result_.routes.end(),
                                   [&](const ResultRoute& route) { return route.destination == everything; });
    if (!given) result_.routes.push_back({everything, gateway, 0});
  }

  Status record() {
    const FileLock lock = TRY(attachments_lock());
    return write_attachment(attachment_);
  }

  Status make_veth() {
    const VethSpec spec{attachment_.host_ifname, id_.ifname, attachment_.host_mac, attachment_.pod_mac, *conf_.mtu};
    TRY(host_->create_veth(spec, netns_.get()));
    attachment_.host_ifindex = TRY(link_index(*host_, attachment_.host_ifname));
    pod_ifindex_ = TRY(link_index(*pod_, id_.ifname));
    return ok();
  }

  Status configure_host() {
    TRY(set_host_ipv6(attachment_.host_ifname, attachment_.addresses));
    TRY(host_->set_link_up(attachment_.host_ifindex));
    for (const Prefix& address : attachment_.addresses) {
      const Prefix alone(address.address(), address_bits(address.family()));
      TRY(host_->ensure_route({alone, std::nullopt, std::nullopt, attachment_.host_ifindex, RT_SCOPE_LINK, 0}));
      TRY(host_->ensure_neighbour(attachment_.host_ifindex, address.address(), attachment_.pod_mac));
    }
    return ok();
  }

  Status configure_pod() {
    TRY(in_network_namespace(netns_.get(), [&] { return set_pod_ipv6(id_.ifname, attachment_.addresses); }));
    for (const Prefix& address : attachment_.addresses) {
      const uint32_t no_duplicate_check = address.family() == Family::v6 ? IFA_F_NODAD : 0;
      TRY(pod_->ensure_address(pod_ifindex_, address, IFA_F_NOPREFIXROUTE | no_duplicate_check));
    }
    TRY(pod_->set_link_up(pod_ifindex_));
    TRY(wait_for_carrier(*host_, attachment_.host_ifindex));
    TRY(wait_for_carrier(*pod_, pod_ifindex_));
    TRY(add_pod_routes());
    for (const IpAddress& gateway : attachment_.gateways) {
      TRY(pod_->ensure_neighbour(pod_ifindex_, gateway, attachment_.host_mac));
    }
    return ok();
  }

  // Another network of the pod may have made a route before, the default route above all: the first one wins.
  Status add_pod_routes() {
    std::vector<Route> present;
    for (const IpAddress& gateway : attachment_.gateways) {
      const std::vector<Route> family = TRY(pod_->routes(gateway.family()));
      present.insert(present.end(), family.begin(), family.end());
    }
    for (const Route& route : TRY(pod_routes(result_, attachment_.gateways, pod_ifindex_))) {
      const bool taken = std::any_of(present.begin(), present.end(), [&](const Route& it) { return it.destination == route.destination; });
      if (!taken) TRY(pod_->ensure_route(route));
    }
    return ok();
  }

  Status join_datapath() {
    const FileLock lock = TRY(attachments_lock());
    attachment_.complete = true;
    TRY(write_attachment(attachment_));
    auto joined = ensure_pod(attachment_);
    // The agent, or its successor, is about to make them.
    if (!joined && (joined.error().kind == ErrorKind::not_found || joined.error().kind == ErrorKind::unsupported))
      joined.error().kind = ErrorKind::unavailable;
    if (!joined) return tl::unexpected(joined.error());
    return ok();
  }

  void describe() {
    result_.interfaces = {{attachment_.host_ifname, attachment_.host_mac.to_string(), *conf_.mtu, ""},
                          {id_.ifname, attachment_.pod_mac.to_string(), *conf_.mtu, environment_.netns}};
    for (ResultAddress& address : result_.addresses) address.interface = 1;
    if (!conf_.dns.empty()) result_.dns = conf_.dns;
  }

  const Environment& environment_;
  NetworkConf conf_;
  AttachmentId id_;
  std::unique_ptr<Ipam> ipam_;
  Fd netns_;
  std::optional<Netlink> pod_;
  std::optional<Netlink> host_;
  Attachment attachment_;
  unsigned pod_ifindex_ = 0;
  AddResult result_;
};

}  // namespace

Outcome<AddResult> add(const Environment& environment, NetworkConf conf) { return Adder(environment, std::move(conf)).run(); }

Outcome<void> status(const Environment& environment, NetworkConf conf) {
  if (const auto ran = check_agent_ran(); !ran) return fail_with(Code::limited_connectivity, ran.error().msg, ran.error().details);
  if (const auto read = read_subnet_env(conf); !read) return fail_with(Code::not_available, read.error().msg, read.error().details);
  return make_ipam(conf, environment)->status();
}

}  // namespace merino::cni
