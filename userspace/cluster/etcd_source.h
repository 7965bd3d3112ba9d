// Leases in etcd v3, with flannel's keys and values, through etcd's JSON gateway (/v3/kv/range, txn, put, lease/grant, watch).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cluster/remote_store.h"

namespace merino {

struct EtcdOptions {
  std::vector<std::string> endpoints = {"http://127.0.0.1:4001", "http://127.0.0.1:2379"};
  std::string prefix = "/coreos.com/network";
  std::string keyfile, certfile, cafile;
  std::string username, password;
};

// Checks the options (invalid: an endpoint that is no URL, a key without its certificate, a file that cannot be read); asks nobody yet.
Result<std::unique_ptr<LeaseSource>> open_etcd_source(const EtcdOptions& options, const StopSignal& stop);

}  // namespace merino
