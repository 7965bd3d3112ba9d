// The way back: everything that belongs to one attachment is taken away, whoever asks (DEL, GC, an ADD that failed).
#pragma once

#include <optional>
#include <string>

#include "cni/config.h"
#include "cni/ipam.h"
#include "cni/protocol.h"

namespace merino::cni {

// Name of the host side of the attachment's veth: "mr" and 12 hex digits, always the same for one attachment.
std::string host_ifname(const AttachmentId& id);

// The record of the attachment; nullopt if there is none, if it cannot be parsed, or if it is another network's.
Result<std::optional<Attachment>> find_attachment(const NetworkConf& conf, const AttachmentId& id);

// By its record, or, where records were cleaned up, by the interface. True too when that cannot be found out: tear_down() reports it.
bool attached_by_merino(const NetworkConf& conf, const AttachmentId& id);

// Map entries and link, veth, address, and at the end the record. Goes on after a failure and gives the first one; the record then
// stays, for the next DEL or GC.
Outcome<void> tear_down(const NetworkConf& conf, Ipam& ipam, const AttachmentId& id, const std::string& netns);

}  // namespace merino::cni
