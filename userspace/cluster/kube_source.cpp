#include "cluster/kube_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "base/printable.h"
#include "cluster/disjoint.h"
#include "cluster/kube_event.h"
#include "cluster/kube_follow.h"

namespace merino {
namespace {

class KubeSource : public LeaseSource {
 public:
  KubeSource(KubeOptions options, AnnotationNames names, KubeCredentials credentials)
      : options_(std::move(options)), names_(std::move(names)), credentials_(std::move(credentials)) {
    shared_.node_name = options_.node_name;
  }

  Status open(const StopSignal& stop) {
    follower_client_ = std::make_unique<KubeClient>(TRY(KubeClient::open(credentials_, stop)));
    client_ = std::make_unique<KubeClient>(TRY(KubeClient::open(credentials_, stop)));
    return ok();
  }

  [[nodiscard]] std::string name() const override { return "the API server at " + credentials_.server; }
  Result<NetConf> load_conf(const std::string& path) override;
  Result<NodeHints> hints() override;
  Result<Lease> acquire(const NetConf& conf, const LeaseRequest& request) override;
  Result<Lease> renew(const Lease& lease) override;
  Status mark_ready() override;
  Status tell(const OperatorNotice& notice) override;
  Status follow(const std::function<void(LeaseSet)>& changed) override;

 private:
  // What both threads use.
  struct Shared {
    std::string node_name;               // empty: not known yet
    Subnets networks;                    // of the configuration
    std::optional<LeaseAttributes> own;  // what this node says of itself
    std::string conflict;                // why this node's podCIDR does not count; empty: it does
  };

  Result<std::string> own_name(KubeClient& client);
  Result<KubeNode> own_node();
  Result<Subnets> own_subnets(const KubeNode& node);
  Status set_condition(const KubeNode& node, const std::string& name);
  Result<Lease> publish(const KubeNode& node, const Subnets& subnets, const LeaseAttributes& attributes);
  LeaseSet make_set(const NodeLeases& nodes, const std::string& own);
  [[nodiscard]] Shared shared() const {
    const std::lock_guard lock(mutex_);
    return shared_;
  }

  const KubeOptions options_;
  const AnnotationNames names_;
  const KubeCredentials credentials_;
  std::unique_ptr<KubeClient> follower_client_;  // of the thread in follow()
  std::unique_ptr<KubeFollower> follower_;
  std::unique_ptr<KubeClient> client_;  // of the other thread, as the next
  KubeEvents events_;
  bool announced_ = false;  // the Node has been told that the network is up
  mutable std::mutex mutex_;
  Shared shared_;
};

Result<std::string> KubeSource::own_name(KubeClient& client) {
  if (const std::string known = shared().node_name; !known.empty()) return known;
  const std::string name = TRY(client.node_of_pod(options_.pod_namespace, options_.pod_name));
  const std::lock_guard lock(mutex_);
  shared_.node_name = name;
  return name;
}

Result<KubeNode> KubeSource::own_node() {
  const std::string name = TRY(own_name(*client_));
  return client_->node(name, names_);
}

Result<NetConf> KubeSource::load_conf(const std::string& path) {
  NetConf conf = TRY(load_net_conf(path));
  const std::lock_guard lock(mutex_);
  shared_.networks = conf.networks();
  return conf;
}

Result<NodeHints> KubeSource::hints() {
  const KubeNode node = TRY(own_node());
  return read_hints(node, names_);
}

// Makes the Node say `attributes`.
Result<Lease> KubeSource::publish(const KubeNode& node, const Subnets& subnets, const LeaseAttributes& attributes) {
  const std::string name = TRY(own_name(*client_));
  const PerFamily<IpAddress> public_ip = TRY(published_ip(node, names_, attributes));
  {
    // Before the Node changes: the other thread must know what the change means.
    const std::lock_guard lock(mutex_);
    shared_.own = attributes;
  }
  const std::string patch = annotations_patch(node, names_, attributes, public_ip);
  if (!patch.empty()) TRY(client_->patch_node_status(name, patch));
  // A Node that was deleted and registered anew has lost its condition too.
  if (announced_) TRY(set_condition(node, name));
  return Lease{.subnet = subnets, .attributes = attributes, .expires = kNeverExpires, .node_name = shown_name(name)};
}

// The podCIDRs, one for each of the configuration's networks.
Result<Subnets> KubeSource::own_subnets(const KubeNode& node) {
  const Subnets all = TRY(read_pod_cidrs(node));
  const Subnets networks = shared().networks;
  Subnets subnets;
  for (const Family family : kFamilies) {
    if (!networks[family]) continue;
    if (!all[family]) {
      return with_remedy(
          fail(ErrorKind::invalid, "node \"{}\" has no {} podCIDR, only {}", printable(node.name), family_name(family), to_string(all)),
          "kube-controller-manager's --cluster-cidr must name a network of each family that net-conf.json enables");
    }
    if (!networks[family]->contains(*all[family])) {
      return with_remedy(
          fail(ErrorKind::invalid, R"(subnet "{}" specified in the flannel net config doesn't contain "{}" PodCIDR of the "{}" node)",
               networks[family]->to_string(), all[family]->to_string(), printable(node.name)),
          "make Network in net-conf.json and kube-controller-manager's --cluster-cidr the same; a podCIDR changes only when the node is "
          "deleted and registered anew");
    }
    subnets[family] = all[family];
  }
  return subnets;
}

Result<Lease> KubeSource::acquire(const NetConf& conf, const LeaseRequest& request) {
  {
    const std::lock_guard lock(mutex_);
    shared_.networks = conf.networks();
  }
  const KubeNode node = TRY(own_node());
  const Subnets subnets = TRY(own_subnets(node));
  return publish(node, subnets, request.attributes);
}

// A Node that was deleted and registered anew may have another podCIDR: that is the lease then. Kubernetes has evicted the pods of the old
// one.
Result<Lease> KubeSource::renew(const Lease& lease) {
  const KubeNode node = TRY(own_node());
  const Subnets subnets = TRY(own_subnets(node));
  const std::string conflict = shared().conflict;
  if (!conflict.empty() && subnets == lease.subnet) {
    return with_remedy(fail(ErrorKind::exists, "node \"{}\": {}", printable(node.name), conflict),
                       "delete one of the two nodes and let it register anew: it gets another podCIDR");
  }
  return publish(node, subnets, lease.attributes);
}

Status KubeSource::set_condition(const KubeNode& node, const std::string& name) {
  const std::string patch = network_available_patch(node, std::chrono::system_clock::now());
  return patch.empty() ? ok() : client_->patch_node_status(name, patch);
}

Status KubeSource::mark_ready() {
  if (!options_.set_node_network_unavailable) return ok();
  const std::string name = TRY(own_name(*client_));
  const KubeNode node = TRY(client_->node(name, names_));
  TRY(set_condition(node, name));
  announced_ = true;
  return ok();
}

Status KubeSource::tell(const OperatorNotice& notice) {
  const std::string name = TRY(own_name(*client_));
  return events_.tell(*client_, name, notice, std::chrono::system_clock::now());
}

// The leases, with this node's own as the agent knows it: under public-ip-overwrite its Node says another address than its lease, and that
// is no difference to be mended. If the Node says not what follows from the overwrite, the lease shows it, and is renewed.
LeaseSet KubeSource::make_set(const NodeLeases& nodes, const std::string& own) {
  const Shared known = shared();
  LeaseSet set = make_lease_set(nodes, known.networks);
  const auto node = nodes.find(own);
  std::string conflict;
  for (const RejectedLease& rejected : set.rejected) {
    if (rejected.key == own && node->second.reason.empty()) conflict = rejected.reason;
  }
  const bool counts = node != nodes.end() && node->second.reason.empty() && conflict.empty();
  const Subnets own_subnets = counts ? of_families(node->second.lease.subnet, known.networks) : Subnets{};
  const auto found = std::find_if(set.leases.begin(), set.leases.end(), [&](const Lease& lease) { return lease.subnet == own_subnets; });
  if (known.own && found != set.leases.end()) {
    Lease lease = *found;
    lease.attributes.public_ip = own_addresses(node->second, known.own->public_ip);
    // What flannel has left there of a family that this node does not use is no difference to be mended either.
    for (const Family family : kFamilies) {
      if (!known.own->vxlan[family]) lease.attributes.vxlan[family].reset();
    }
    set.leases = set.leases.with(lease);
  }
  const std::lock_guard lock(mutex_);
  shared_.conflict = conflict;
  return set;
}

Status KubeSource::follow(const std::function<void(LeaseSet)>& changed) {
  const std::string own = TRY(own_name(*follower_client_));
  if (!follower_) follower_ = std::make_unique<KubeFollower>(*follower_client_, names_, own);
  return follower_->run([&](const NodeLeases& nodes) { changed(make_set(nodes, own)); });
}

}  // namespace

Result<std::unique_ptr<LeaseSource>> open_kube_source(const KubeOptions& options, const StopSignal& stop) {
  AnnotationNames names = TRY(make_annotation_names(options.annotation_prefix));
  if (!options.node_name.empty()) {
    TRY(check_kube_name(options.node_name, "NODE_NAME"));
  } else if (options.pod_name.empty() || options.pod_namespace.empty()) {
    return with_remedy(fail(ErrorKind::invalid, "env variables POD_NAME and POD_NAMESPACE must be set, or NODE_NAME"),
                       "NODE_NAME is the Node's name as `kubectl get nodes` shows it");
  } else {
    TRY(check_kube_name(options.pod_name, "POD_NAME"));
    TRY(check_kube_name(options.pod_namespace, "POD_NAMESPACE"));
  }
  KubeCredentials credentials = TRY(find_credentials(options.api_url, options.kubeconfig_file, kube_environment()));
  auto source = std::make_unique<KubeSource>(options, std::move(names), std::move(credentials));
  TRY(source->open(stop));
  return source;
}

}  // namespace merino
