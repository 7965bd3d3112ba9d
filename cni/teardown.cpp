#include "cni/teardown.h"

#include <fmt/format.h>

#include "base/file.h"
#include "netlink/netlink.h"

namespace merino::cni {
namespace {

// FNV-1a, 64 bits.
uint64_t hash(std::string_view text, uint64_t value = 0xcbf29ce484222325) {
  for (const unsigned char byte : text) value = (value ^ byte) * 0x100000001b3;
  return value;
}

class FirstFailure {
 public:
  void note(const Outcome<void>& outcome) {
    if (!outcome && !first_) first_ = outcome.error();
  }
  void note(const Status& status) {
    if (!status && !first_) first_ = Failure(status.error());
  }
  [[nodiscard]] bool any() const { return first_.has_value(); }
  [[nodiscard]] Outcome<void> outcome() const {
    if (first_) return tl::unexpected(*first_);
    return {};
  }

 private:
  std::optional<Failure> first_;
};

enum class Found { nothing, ours, others };

struct Record {
  Found found = Found::nothing;
  Attachment attachment;  // when it is ours
};

// A record that cannot be parsed is as good as none. One that is about another network's attachment, or another container's whose name
// makes the same file name, is not to be touched.
Result<Record> look_up(const NetworkConf& conf, const AttachmentId& id) {
  auto record = read_attachment(id.container_id, id.ifname);
  if (!record && (record.error().kind == ErrorKind::not_found || record.error().kind == ErrorKind::decode)) return Record{};
  if (!record) return tl::unexpected(std::move(record.error()));
  const bool ours = record->network == conf.name && record->container_id == id.container_id && record->ifname == id.ifname;
  return Record{ours ? Found::ours : Found::others, *std::move(record)};
}

// What can be known without a record. An address counts only as far as nobody else can have got it meanwhile: IPAM still holds it for
// this attachment, or a map entry proves itself by the interface.
Result<Attachment> reconstruct(const NetworkConf& conf, Ipam& ipam, const AttachmentId& id) {
  Attachment attachment;
  attachment.network = conf.name;
  attachment.container_id = id.container_id;
  attachment.ifname = id.ifname;
  attachment.host_ifname = host_ifname(id);
  Netlink netlink = TRY(Netlink::open());
  if (const auto link = TRY(netlink.link_by_name(attachment.host_ifname))) attachment.host_ifindex = link->index;
  if (const auto allocations = ipam.allocations()) {
    for (const auto& [owner, address] : *allocations) {
      if (owner == id) attachment.addresses.emplace_back(address, address_bits(address.family()));
    }
  }
  if (conf.prev_result && attachment.host_ifindex != 0) {
    for (const ResultAddress& address : conf.prev_result->addresses) attachment.addresses.push_back(address.address);
  }
  return attachment;
}

Result<Attachment> known_or_reconstructed(const NetworkConf& conf, Ipam& ipam, const AttachmentId& id) {
  Record record = TRY(look_up(conf, id));
  if (record.found != Found::ours) return reconstruct(conf, ipam, id);
  // An ADD that did not get to the veth made no map entry either; its address may be another pod's by now.
  if (record.attachment.host_ifindex == 0) record.attachment.addresses.clear();
  return std::move(record.attachment);
}

// The pod is out of the datapath and stays out: the agent leaves incomplete attachments alone.
Result<std::string> leave_datapath(const NetworkConf& conf, Ipam& ipam, const AttachmentId& id) {
  const FileLock lock = TRY(attachments_lock());
  Attachment attachment = TRY(known_or_reconstructed(conf, ipam, id));
  if (attachment.complete) {
    attachment.complete = false;
    TRY(write_attachment(attachment));
  }
  TRY(remove_pod(attachment));
  return attachment.host_ifname;
}

Status delete_veth(const std::string& name) {
  Netlink netlink = TRY(Netlink::open());
  const auto link = TRY(netlink.link_by_name(name));
  if (!link || link->kind != "veth") return ok();
  return netlink.delete_link(link->index);
}

Status leave_host(const NetworkConf& conf, Ipam& ipam, const AttachmentId& id) {
  const auto name = leave_datapath(conf, ipam, id);
  Status deleted = delete_veth(name ? *name : host_ifname(id));
  if (!name) return tl::unexpected(name.error());
  return deleted;
}

// A writer of a record that was killed leaves write_file_atomic()'s temporary file, with a dot in front. Whoever writes records holds
// the lock, so that those that are there now are dead.
void sweep_records() {
  for (const std::string& name : list_directory(kAttachmentDir).value_or(std::vector<std::string>{})) {
    if (name.starts_with('.')) (void)remove_file(std::string(kAttachmentDir) + "/" + name);
  }
}

Status forget(const AttachmentId& id) {
  const FileLock lock = TRY(attachments_lock());
  sweep_records();
  return remove_attachment(id.container_id, id.ifname);
}

}  // namespace

std::string host_ifname(const AttachmentId& id) {
  // The zero byte keeps ("a", "bc") and ("ab", "c") apart.
  const uint64_t value = hash(id.ifname, hash(std::string_view("\0", 1), hash(id.container_id)));
  return fmt::format("mr{:012x}", (value ^ (value >> 48U)) & 0xffffffffffff);
}

Result<std::optional<Attachment>> find_attachment(const NetworkConf& conf, const AttachmentId& id) {
  Record record = TRY(look_up(conf, id));
  if (record.found != Found::ours) return std::nullopt;
  return std::move(record.attachment);
}

bool attached_by_merino(const NetworkConf& conf, const AttachmentId& id) {
  const auto record = find_attachment(conf, id);
  if (!record || *record) return true;
  auto netlink = Netlink::open();
  if (!netlink) return true;
  const auto link = netlink->link_by_name(host_ifname(id));
  return !link || *link;
}

Outcome<void> tear_down(const NetworkConf& conf, Ipam& ipam, const AttachmentId& id, const std::string& netns) {
  FirstFailure failure;
  // A record that cannot be read is no reason to keep the rest: leave_host() reports it.
  const auto record = look_up(conf, id);
  const bool others = record && record->found == Found::others;
  if (!others) failure.note(leave_host(conf, ipam, id));
  failure.note(ipam.del(id, netns));
  if (!others && !failure.any()) failure.note(forget(id));
  return failure.outcome();
}

}  // namespace merino::cni
