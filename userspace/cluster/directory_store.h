// Leases as files in a directory: for hosts without Kubernetes or etcd. The nodes of one host share it, or all that mount one file system.
//
//   DIR/subnets/10.244.98.0-24   one lease (both families: 10.244.98.0-24&fd10:244:0:5::-64; IPv6: fd10:244:0:5::-64)
//                                : flannel's key as the name, flannel's JSON value as the content, without a newline
//   DIR/nodes/192.168.88.12      locked by the node with that public IP (of either family) as long as it runs
//   DIR/lock                     locked by whoever changes DIR/subnets
//
// Expiry. A lease ends kLeaseTtl after its file was last modified. Renewing it means touching the file, or writing it anew if the
// attributes changed. Expired files stay until their subnet is taken by somebody.
//
// Reservations. A file that nobody may write (mode 0444) never expires, and keeps its mode when its node writes its attributes into it.
// So `{"PublicIP":"192.168.88.12"}` in a read-only file 10.244.7.0-24 gives that node that subnet for ever.
//
// Races. Every change is made under DIR/lock. Besides, a lease is created by link(2) of a complete file, which fails if the name exists,
// on NFS too: were locks not to work there, two nodes still could not create the same lease. Readers take no lock: a file appears whole.
//
// What is not a lease (a foreign name, content that is none, a directory, a link, a device, a subnet outside
// of the network once acquire() has named it) is rejected: listed with its reason, and its name is not used. Names that begin with a dot
// are passed over.
//
// Overlaps. No node makes them; a hand or an older configuration can. One lease counts, the other is rejected, by what every node sees
// alike:
// 1. the lease with the configured subnet length counts (of two that overlap, at most one has it);
// 2. else the older file, by its time of birth, which renewal leaves alone; but new attributes make a new file;
// 3. else, if the file system knows no births, the larger subnet: a longer prefix inside another's subnet is rejected.
// So a file that is put beside leases in use, larger or smaller, takes nothing away from them.
//
// Two running nodes with one public IP would share a lease. The second one's acquire() finds DIR/nodes/<public IP> locked and fails with
// `exists`. A node that died lets go at once (on NFS: when its server notices), so a restart takes the lease over.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "base/result.h"
#include "cluster/lease_store.h"

namespace merino {

struct DirectoryStoreTiming {
  // How often the directory is looked at, for what inotify does not see: other hosts' changes on a shared file system, expiry, a directory
  // that was away. Its own modification time is compared; every 12th time, each file's.
  std::chrono::milliseconds check_interval{5000};
  // How long to wait for DIR/lock before giving up with `unavailable`.
  std::chrono::milliseconds lock_patience{30000};
};

// Makes DIR and what is below it where missing. The store belongs to one thread.
Result<std::unique_ptr<LeaseStore>> open_directory_store(const std::string& dir, const DirectoryStoreTiming& timing = {});

}  // namespace merino
