// The pods of this node: the map entry, the program on the veth, and the record of the attachment.
//
// A record (JSON, one file per attachment under /run/merino/attachments/) says what the plugin made, so that DEL, CHECK, GC and the
// agent's healing know it when map, link or namespace are gone. Records are written before anything else of the pod is made and
// removed last; the plugin and the agent hold `attachments_lock()` while they change records, map entries or links of pods.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.h"
#include "base/file.h"
#include "base/result.h"

namespace merino {

inline constexpr const char* kAttachmentDir = "/run/merino/attachments";

enum class Delivery {
  peer,      // straight into the pod
  redirect,  // by the host side of its veth
  stack,     // through the stack, both ways: its bandwidth is limited on the host side
};
const char* delivery_name(Delivery delivery);
// nullopt: there is none of that name.
std::optional<Delivery> parse_delivery(std::string_view name);

// One interface of one pod.
struct Attachment {
  std::string network;  // the CNI network's name
  std::string container_id;
  std::string ifname;         // inside the pod
  std::string netns;          // path, as the runtime gave it
  std::string host_ifname;    // host side of the veth
  unsigned host_ifindex = 0;  // 0 until the veth is made
  MacAddress pod_mac;
  MacAddress host_mac;
  std::vector<Prefix> addresses;    // of the pod, with the prefix length IPAM gave
  std::vector<IpAddress> gateways;  // at most one per family
  Delivery delivery = Delivery::peer;
  bool complete = false;  // ADD got to its end
  // Kubernetes' names of the pod, for people; empty where the runtime does not say them.
  std::string pod_namespace{};
  std::string pod_name{};

  bool operator==(const Attachment&) const = default;
};

Result<FileLock> attachments_lock();

// File name of a record, ID:IFNAME.json (neither part can hold a ':'); container_id and ifname must have been validated (CNI spec:
// [a-zA-Z0-9][a-zA-Z0-9_.-]*, no '/').
std::string attachment_path(const std::string& container_id, const std::string& ifname);
Status write_attachment(const Attachment& attachment);
// not_found if there is none; decode if it is broken.
Result<Attachment> read_attachment(const std::string& container_id, const std::string& ifname);
Status remove_attachment(const std::string& container_id, const std::string& ifname);
struct AttachmentList {
  std::vector<Attachment> attachments;
  std::vector<std::string> broken;  // paths of records that could not be read, with the reason
};
Result<AttachmentList> list_attachments();

// Program on the veth and, last, the map entries (one per address). Idempotent; true if anything had to be changed.
Result<bool> ensure_pod(const Attachment& attachment);
// Entries that point at this attachment's interface and the link; success when they are gone already.
Status remove_pod(const Attachment& attachment);
// The map entries alone. Idempotent, as above.
Result<bool> ensure_pod_entries(const Attachment& attachment);
// The same for a pod that is in use: at no moment is there a program without an entry, which would drop what the pod sends.
Result<bool> mend_pod(const Attachment& attachment);
Status release_pod(const Attachment& attachment);

struct PodEntry {
  IpAddress address;
  IpAddress gateway;
  unsigned host_ifindex = 0;
  MacAddress pod_mac;
  MacAddress host_mac;
  Delivery delivery = Delivery::peer;
};
Result<std::vector<PodEntry>> read_pods();
// Removes the entry of one address (an entry that no attachment has).
Status remove_pod_entry(const IpAddress& address);

}  // namespace merino
