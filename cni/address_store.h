// The directory in which host-local keeps who has which address: <data dir>/<network>/, byte for byte as the program of that name
// keeps it, so that either can go on where the other stopped, and both can work at the same time.
//
//   10.244.1.5           "<container ID>\r\n<interface>"; versions before 0.8 wrote the container ID alone
//   last_reserved_ip.0   the address given last out of the first range set
//   lock                 flock(2)
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/file.h"
#include "base/result.h"
#include "cni/boot_notes.h"
#include "cni/protocol.h"

namespace merino::cni {

struct AddressDirectory {
  std::string data_dir;
  std::string network;
  std::string boot_id_path = kBootIdPath;
};

// The directory, locked as long as the object lives.
class AddressStore {
 public:
  // Makes the directory when it is missing.
  static Result<AddressStore> create(const AddressDirectory& where);
  // nullopt when there is no such directory: nothing is allocated.
  static Result<std::optional<AddressStore>> open(const AddressDirectory& where);

  struct Allocation {
    IpAddress address;
    AttachmentId owner;            // empty ifname: written by an old version; empty container_id: a crash left an empty file
    std::optional<Error> error{};  // why the owner is not known: the file could not be read now
  };
  // Everything that is allocated.
  Result<std::vector<Allocation>> allocations() const;

  // exists if somebody has it. A crash leaves the address free, or taken with its owner's name on it.
  Status reserve(const IpAddress& address, const AttachmentId& owner);
  Status release(const IpAddress& address);
  // Frees what merino reserved in an earlier boot of the machine and nobody took over since (boot_notes.h). What that cannot be told of,
  // or cannot be freed, stays.
  void release_earlier_boots();
  // Removes what a crash in the middle of reserve() may have left.
  Status sweep();

  // Of the range set with this index.
  std::optional<IpAddress> last_reserved(size_t range_set) const;
  Status set_last_reserved(size_t range_set, const IpAddress& address);

 private:
  AddressStore(std::string directory, FileLock lock, BootNotes notes)
      : directory_(std::move(directory)), lock_(std::move(lock)), notes_(std::move(notes)) {}
  static Result<AddressStore> lock_directory(const AddressDirectory& where);
  [[nodiscard]] std::string file(const std::string& name) const { return directory_ + "/" + name; }

  std::string directory_;
  FileLock lock_;
  BootNotes notes_;
};

}  // namespace merino::cni
