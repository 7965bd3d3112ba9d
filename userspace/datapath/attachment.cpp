// The records of attachments: one JSON file each.
#include <cerrno>
#include <nlohmann/json.hpp>

#include "datapath/pod_table.h"

namespace merino {

namespace {

using nlohmann::json;

constexpr const char* kSuffix = ".json";
constexpr size_t kMaxRecordBytes = 64U << 10U;

json to_json(const Attachment& attachment) {
  json addresses = json::array();
  for (const Prefix& address : attachment.addresses) addresses.push_back(address.to_string());
  json gateways = json::array();
  for (const IpAddress& gateway : attachment.gateways) gateways.push_back(gateway.to_string());
  return {{"network", attachment.network},
          {"containerID", attachment.container_id},
          {"ifname", attachment.ifname},
          {"netns", attachment.netns},
          {"hostIfname", attachment.host_ifname},
          {"hostIfindex", attachment.host_ifindex},
          {"podMAC", attachment.pod_mac.to_string()},
          {"hostMAC", attachment.host_mac.to_string()},
          {"addresses", addresses},
          {"gateways", gateways},
          {"delivery", delivery_name(attachment.delivery)},
          {"complete", attachment.complete},
          {"podNamespace", attachment.pod_namespace},
          {"podName", attachment.pod_name}};
}

// Throws json::exception for what is missing or of another type.
Result<Attachment> from_json(const json& record) {
  Attachment out;
  out.network = record.at("network").get<std::string>();
  out.container_id = record.at("containerID").get<std::string>();
  out.ifname = record.at("ifname").get<std::string>();
  out.netns = record.at("netns").get<std::string>();
  out.host_ifname = record.at("hostIfname").get<std::string>();
  out.host_ifindex = static_cast<unsigned>(record.at("hostIfindex").get_ref<const json::number_integer_t&>());
  out.pod_mac = TRY(MacAddress::parse(record.at("podMAC").get<std::string>()));
  out.host_mac = TRY(MacAddress::parse(record.at("hostMAC").get<std::string>()));
  for (const json& address : record.at("addresses")) out.addresses.push_back(TRY(Prefix::parse(address.get<std::string>())));
  for (const json& gateway : record.at("gateways")) out.gateways.push_back(TRY(IpAddress::parse(gateway.get<std::string>())));
  out.delivery = parse_delivery(record.at("delivery").get<std::string>()).value_or(Delivery::peer);
  out.complete = record.at("complete").get<bool>();
  // Records of older versions do not have them.
  out.pod_namespace = record.value("podNamespace", "");
  out.pod_name = record.value("podName", "");
  return out;
}

Result<Attachment> read_record(const std::string& path) {
  const std::string text = TRY(read_file(path, kMaxRecordBytes));
  try {
    auto record = from_json(json::parse(text));
    if (!record) return in_context(record.error(), path);
    return record;
  } catch (const json::exception& broken) {
    return fail(ErrorKind::decode, "{}: {}", path, broken.what());
  }
}

}  // namespace

const char* delivery_name(Delivery delivery) {
  switch (delivery) {
    case Delivery::peer:
      return "peer";
    case Delivery::redirect:
      return "redirect";
    case Delivery::stack:
      return "stack";
  }
  return "?";
}

std::optional<Delivery> parse_delivery(std::string_view name) {
  for (const Delivery delivery : {Delivery::peer, Delivery::redirect, Delivery::stack}) {
    if (name == delivery_name(delivery)) return delivery;
  }
  return std::nullopt;
}

Result<FileLock> attachments_lock() {
  TRY(make_directories(kAttachmentDir, 0700));
  return FileLock::acquire(std::string(kAttachmentDir) + ".lock");
}

std::string attachment_path(const std::string& container_id, const std::string& ifname) {
  return std::string(kAttachmentDir) + "/" + container_id + ":" + ifname + kSuffix;
}

Status write_attachment(const Attachment& attachment) {
  TRY(make_directories(kAttachmentDir, 0700));
  return write_file_atomic(attachment_path(attachment.container_id, attachment.ifname), to_json(attachment).dump() + "\n", 0600);
}

Result<Attachment> read_attachment(const std::string& container_id, const std::string& ifname) {
  return read_record(attachment_path(container_id, ifname));
}

Status remove_attachment(const std::string& container_id, const std::string& ifname) {
  return remove_file(attachment_path(container_id, ifname));
}

Result<AttachmentList> list_attachments() {
  AttachmentList out;
  for (const std::string& name : TRY(list_directory(kAttachmentDir))) {
    if (name.starts_with(".") || !name.ends_with(kSuffix)) continue;
    auto record = read_record(std::string(kAttachmentDir) + "/" + name);
    if (record) {
      out.attachments.push_back(*std::move(record));
    } else if (record.error().kind != ErrorKind::not_found) {  // removed since
      out.broken.push_back(record.error().message());
    }
  }
  return out;
}

}  // namespace merino
