#include <linux/veth.h>

#include "netlink/link_message.h"

namespace merino {
namespace {

// One queue each way is what a veth uses unless told otherwise; but untold, the kernel allocates one for every possible CPU and then waits
// for two RCU grace periods to reduce them.
void put_end(Request& request, const std::string& name, const MacAddress& mac, int mtu) {
  request.put(IFLA_IFNAME, name).put(IFLA_ADDRESS, mac).put(IFLA_MTU, mtu);
  request.put(IFLA_NUM_TX_QUEUES, uint32_t{1}).put(IFLA_NUM_RX_QUEUES, uint32_t{1});
}

// The kernel says "exists" without saying which end.
tl::unexpected<Error> name_taken(Netlink& netlink, const VethSpec& spec) {
  const auto host = netlink.link_by_name(spec.host_name);
  if (host && *host) {
    return with_remedy(fail(ErrorKind::exists, "make veth {}: the host has an interface of that name already", spec.host_name),
                       "take another name or delete it");
  }
  return with_remedy(fail(ErrorKind::exists, "make veth {}: the pod has an interface {} already", spec.host_name, spec.pod_name),
                     "take another name or delete it in the pod");
}

}  // namespace

Status Netlink::create_veth(const VethSpec& spec, int netns_fd) {
  TRY(check_link_name(spec.host_name));
  TRY(check_link_name(spec.pod_name));

  Request request(RTM_NEWLINK, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  put_end(request, spec.host_name, spec.host_mac, spec.mtu);
  request.nest(IFLA_LINKINFO, [&] {
    request.put(IFLA_INFO_KIND, std::string("veth")).nest(IFLA_INFO_DATA, [&] {
      request.nest(VETH_INFO_PEER, [&] {
        request.append(ifinfomsg{});
        put_end(request, spec.pod_name, spec.pod_mac, spec.mtu);
        request.put(IFLA_NET_NS_FD, netns_fd);
      });
    });
  });
  auto created = exchange(socket_.get(), request, fmt::format("make veth {} with {} in the pod", spec.host_name, spec.pod_name));
  if (!created && created.error().sys_errno == EEXIST) return name_taken(*this, spec);
  return created;
}

}  // namespace merino
