// Leases in etcd v3, with flannel's keys and values, through etcd's JSON gateway (/v3/kv/range, txn, lease/grant, watch).
//
//   <prefix>/config                   net-conf JSON
//   <prefix>/subnets/10.244.98.0-24   one lease: flannel's key and value, on an etcd lease of kLeaseTtl; with both families
//                                     10.244.98.0-24&fd10:244:0:5::-64, with IPv6 alone (not in flannel) fd10:244:0:5::-64
//
// Expiry. etcd removes a key when its lease ends, so what stands there has not ended. Of the own lease `expires` is the end, whatever the
// wall clock is set to; of others it is no more than an upper bound: kLeaseTtl from when their last change was seen.
//
// Renewal. The first write of a process puts the node's key on a new etcd lease (and revokes the one before if no key hangs on it);
// renewals keep that one alive and put the key again, so that watchers see it. Nothing piles up in etcd.
//
// Reservations. A key without an etcd lease never expires, and stays without one when its node writes its attributes into it.
//
// Races. Every change is a transaction that fails if the key is not as it was read. Whoever loses takes the next subnet. Keys with two
// subnets can overlap and differ: where there are such, a node looks again when it has created its key, and gives it back if it is younger
// than one that it overlaps.
//
// What is not a lease (a foreign name, a value that is none, a subnet outside of the network) is rejected:
// listed with its reason, never written over, and the subnet that its name begins with is not leased. Of overlapping leases one counts:
// the one of the configured length, else the older one (etcd's create_revision), else the larger.
//
// Requests. One range gives all leases, and one watch their changes; no request is made for a single foreign lease.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cluster/remote_store.h"

namespace merino {

struct EtcdOptions {
  // Without http:// or https://, a certificate decides. Plain http sends neither certificate nor anything encrypted, as flannel.
  std::vector<std::string> endpoints = {"http://127.0.0.1:4001", "http://127.0.0.1:2379"};
  std::string prefix = "/coreos.com/network";
  std::string keyfile{}, certfile{}, cafile{};
  std::string username{}, password{};
};

// Checks the options (invalid: an endpoint that is no URL, a key without its certificate, a file that cannot be read); asks nobody yet.
// Errors of the source: unavailable while no member answers or <prefix>/config is not there; invalid when etcd refuses user or request.
Result<std::unique_ptr<LeaseSource>> open_etcd_source(const EtcdOptions& options, const StopSignal& stop);

}  // namespace merino
