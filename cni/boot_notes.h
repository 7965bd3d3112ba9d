// Which reservations of addresses merino made, and in which boot of the machine: no pod outlives a boot, but its reservation does when the
// runtime never called DEL. Kept beside the networks' directories, where neither host-local nor flannel's plugin looks, because a
// network's name cannot begin with a dot:
//
//   <data dir>/.merino/<network>/<boot ID>/<address>@<container ID>:<interface>
//
// Each is a hard link to the reservation's file: as long as it is there, no other file can be taken for that one.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/result.h"
#include "cni/protocol.h"

namespace merino::cni {

// A new one with each boot, whatever the clock says.
inline constexpr const char* kBootIdPath = "/proc/sys/kernel/random/boot_id";

// Whoever uses it holds the lock of the network's directory. What fails costs a note, and so an address after the next boot, no more.
class BootNotes {
 public:
  // Where the boot ID cannot be read or is none, nothing is noted and nothing is from an earlier boot.
  BootNotes(const std::string& data_dir, const std::string& network, const std::string& boot_id_path);

  // `reservation`: the file's path.
  void add(const std::string& reservation, const IpAddress& address, const AttachmentId& owner) const;
  // Without an owner (nobody could read who it is), or if the boot is not known: every note of the address.
  Status remove(const IpAddress& address, const std::optional<AttachmentId>& owner) const;

  struct Note {
    std::string path;  // of the link
    IpAddress address;
    std::string owner;  // as owner_text() has it
  };
  // Calls `use` with each note of an earlier boot, then forgets them.
  void take_earlier(const std::function<void(const Note&)>& use) const;

  static std::string owner_text(const AttachmentId& owner);

 private:
  [[nodiscard]] std::string path(const IpAddress& address, const AttachmentId& owner) const;

  std::string directory_;
  std::string boot_id_;  // empty: not known
};

}  // namespace merino::cni
