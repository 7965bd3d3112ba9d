#include "datapath/pod_table.h"

#include <algorithm>
#include <cstring>

#include "datapath/attach.h"
#include "datapath/convert.h"
#include "datapath/map.h"

namespace merino {

namespace {

static_assert(sizeof(merino_pod_key) == 16 && sizeof(merino_pod) == 36);
static_assert(std::has_unique_object_representations_v<merino_pod>);

using PodMap = Map<merino_pod_key, merino_pod>;

uint32_t to_abi(Delivery delivery) {
  switch (delivery) {
    case Delivery::peer:
      return MERINO_DELIVER_PEER;
    case Delivery::redirect:
      return MERINO_DELIVER_REDIRECT;
    case Delivery::stack:
      return MERINO_DELIVER_STACK;
  }
  return MERINO_DELIVER_REDIRECT;
}

// What no merino wrote is shown as what the programs take it for.
Delivery delivery_from_abi(uint32_t value) {
  switch (value) {
    case MERINO_DELIVER_PEER:
      return Delivery::peer;
    case MERINO_DELIVER_STACK:
      return Delivery::stack;
    default:
      return Delivery::redirect;
  }
}

merino_pod_key key_of(const IpAddress& address) { return merino_pod_key{merino::to_abi(address)}; }

merino_pod value_of(const Attachment& attachment, Family family) {
  merino_pod value{};
  for (const IpAddress& gateway : attachment.gateways) {
    if (gateway.family() == family) value.gateway = merino::to_abi(gateway);
  }
  value.ifindex = attachment.host_ifindex;
  merino::to_abi(attachment.pod_mac, value.pod_mac);
  merino::to_abi(attachment.host_mac, value.host_mac);
  value.delivery = to_abi(attachment.delivery);
  return value;
}

AttachPoint attach_point(const Attachment& attachment) {
  return {.link_name = pod_link_name(attachment.host_ifname),
          .ifindex = attachment.host_ifindex,
          .direction = Direction::ingress,
          // The bandwidth plugin's, which comes after merino: by it the pod is held back.
          .qdisc = attachment.delivery == Delivery::stack ? Qdisc::anothers : Qdisc::own};
}

Status check_attachable(const Attachment& attachment) {
  if (attachment.host_ifindex != 0 && !attachment.addresses.empty()) return ok();
  return fail(ErrorKind::invalid, "the attachment of container {} has no interface or no address", attachment.container_id);
}

}  // namespace

Result<bool> ensure_pod_entries(const Attachment& attachment) {
  auto pods = TRY(PodMap::open("pods"));
  bool changed = false;
  for (const Prefix& address : attachment.addresses) {
    const merino_pod want = value_of(attachment, address.family());
    merino_pod have{};
    if (TRY(pods.lookup(key_of(address.address()), have)) && std::memcmp(&have, &want, sizeof(want)) == 0) continue;
    TRY(pods.update(key_of(address.address()), want));
    changed = true;
  }
  return changed;
}

namespace {

// Another version's map is its agent's: who comes next, of either version, has no entry that no record has.
Status remove_entries(const Attachment& attachment) {
  auto pods = PodMap::open("pods");
  if (!pods && (pods.error().kind == ErrorKind::not_found || pods.error().kind == ErrorKind::unsupported)) return ok();
  if (!pods) return tl::unexpected(pods.error());
  for (const Prefix& address : attachment.addresses) {
    merino_pod have{};
    if (!TRY(pods->lookup(key_of(address.address()), have))) continue;
    // The address may have been given to another pod meanwhile.
    if (attachment.host_ifindex != 0 && have.ifindex != attachment.host_ifindex) continue;
    TRY(pods->remove(key_of(address.address())));
  }
  return ok();
}

}  // namespace

Result<bool> ensure_pod(const Attachment& attachment) {
  TRY(check_attachable(attachment));
  bool changed = TRY(attach(Program::from_pod, attach_point(attachment)));
  changed |= TRY(ensure_pod_entries(attachment));
  return changed;
}

Status remove_pod(const Attachment& attachment) {
  TRY(remove_entries(attachment));
  return detach(attach_point(attachment));
}

Result<bool> mend_pod(const Attachment& attachment) {
  TRY(check_attachable(attachment));
  bool changed = TRY(ensure_pod_entries(attachment));
  changed |= TRY(attach(Program::from_pod, attach_point(attachment)));
  return changed;
}

Status release_pod(const Attachment& attachment) {
  TRY(detach(attach_point(attachment)));
  return remove_entries(attachment);
}

Result<std::vector<PodEntry>> read_pods() {
  const auto pods = TRY(PodMap::open("pods"));
  std::vector<PodEntry> out;
  for (const auto& [key, value] : TRY(pods.entries())) {
    out.push_back({.address = from_abi(key.addr),
                   .gateway = from_abi(value.gateway),
                   .host_ifindex = value.ifindex,
                   .pod_mac = from_abi(value.pod_mac),
                   .host_mac = from_abi(value.host_mac),
                   .delivery = delivery_from_abi(value.delivery)});
  }
  std::sort(out.begin(), out.end(), [](const PodEntry& a, const PodEntry& b) { return a.address < b.address; });
  return out;
}

Status remove_pod_entry(const IpAddress& address) {
  auto pods = TRY(PodMap::open("pods"));
  return pods.remove(key_of(address));
}

}  // namespace merino
