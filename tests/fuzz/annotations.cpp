// A Node's annotations and podCIDRs, which whoever may write Nodes chooses.
#include <chrono>

#include "cluster/kube_lease.h"
#include "property.h"

namespace merino::fuzz {
namespace {

// One field a line; the annotations in the order of `names`.
KubeNode make_node(const std::string& text, const AnnotationNames& names) {
  KubeNode node;
  node.pod_cidrs.resize(2);
  std::string* const fields[] = {&node.name,
                                 &node.created,
                                 &node.annotations[names.kube_subnet_manager],
                                 &node.annotations[names.backend_type],
                                 &node.annotations[names.v4.backend_data],
                                 &node.annotations[names.v4.public_ip],
                                 &node.annotations[names.v4.public_ip_overwrite],
                                 &node.annotations[names.v4.node_public_ip],
                                 &node.pod_cidrs.at(0),
                                 &node.too_long,
                                 &node.annotations[names.v6.backend_data],
                                 &node.annotations[names.v6.public_ip],
                                 &node.annotations[names.v6.public_ip_overwrite],
                                 &node.annotations[names.v6.node_public_ip],
                                 &node.pod_cidrs.at(1)};
  size_t at = 0;
  for (std::string* field : fields) {
    const size_t end = text.find('\n', at);
    *field = text.substr(at, end - at);
    if (end == std::string::npos) break;
    at = end + 1;
  }
  std::erase(node.pod_cidrs, "");
  return node;
}

void require_safe(const NodeLease& lease) {
  if (!lease.reason.empty()) return;
  const LeaseAttributes& attributes = lease.lease.attributes;
  require(!attributes.public_ip.empty() && !lease.lease.subnet.empty(), "a lease has a subnet and an address");
  for (const Family family : kFamilies) {
    const auto& subnet = lease.lease.subnet[family];
    const auto& address = attributes.public_ip[family];
    const auto& vxlan = attributes.vxlan[family];
    require(!subnet || (*subnet == subnet->masked() && subnet->family() == family), "a lease's subnet has no host bits");
    require(!address || (is_node_address(*address) && address->family() == family), "a public address is one of a node");
    require(!vxlan || vxlan->vtep_mac.is_unicast(), "the VTEP MAC is unicast");
  }
}

}  // namespace
}  // namespace merino::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merino;
  using namespace merino::fuzz;
  static const AnnotationNames names = make_annotation_names("flannel.alpha.coreos.com").value();
  const KubeNode node = make_node(std::string(data, data + size), names);
  if (const auto attributes = read_attributes(node, names); !attributes) {
    require_good(attributes.error());
  } else if (const auto address = published_ip(node, names, *attributes); address) {
    require(annotations_patch(node, names, *attributes, *address).size() < 20000, "a patch has bearable length");
  } else {
    require_good(address.error());
  }
  if (const auto subnets = read_pod_cidrs(node); !subnets) require_good(subnets.error());
  if (const auto hints = read_hints(node, names); !hints) require_good(hints.error());
  network_available_patch(node, std::chrono::system_clock::time_point{});
  if (const auto lease = read_node_lease(node, names); lease) {
    require_safe(*lease);
    NodeLeases all{{node.name, *lease}};
    const Prefix network = Prefix::parse("10.244.0.0/16").value();
    for (const Lease& each : make_lease_set(all, network).leases)
      require(each.subnet.v4 && network.contains(*each.subnet.v4) && !each.subnet.v6, "what counts lies in the network");
  }
  return 0;
}
