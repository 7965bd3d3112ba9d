// Where leases live. Level-triggered: a store gives the whole set as it is, and says when to look again.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/lease.h"
#include "cluster/lease_list.h"
#include "cluster/net_conf.h"

namespace merino {

struct RejectedLease {
  std::string key;               // as the store names it
  std::string reason;            // what is wrong with it
  std::optional<Lease> lease{};  // of what is a lease: it overlaps one that counts, or cannot be this node's peer
};

struct LeaseSet {
  LeaseList leases;                     // well-formed, unexpired, disjoint, ordered by subnet; the own one among them
  std::vector<RejectedLease> rejected;  // named in the log and in merinoctl, otherwise without effect
};

struct LeaseRequest {
  LeaseAttributes attributes;
  Subnets previous;  // from subnet.env
};

// What the store knows of this node before it has an uplink.
struct NodeHints {
  PerFamily<IpAddress> public_ip;            // instead of --public-ip: the annotations node-public-ip and node-public-ipv6
  std::optional<LeaseAttributes> published;  // what this node said of itself last, if the store knows it by more than its address
};

// What an operator must know of this node, and finds where he looks: in Kubernetes among the Node's Events.
struct OperatorNotice {
  std::string reason;   // in one word: "SubnetConflict"
  std::string message;  // a sentence, with the remedy
  auto operator<=>(const OperatorNotice&) const = default;
};

// How well the store is followed.
struct StoreState {
  bool followed = false;  // the newest set is what the store has, as far as it is known to answer
  uint64_t outages = 0;   // how often it went away
  std::optional<std::chrono::system_clock::time_point> last_update;  // when it gave the newest set
};

class LeaseStore {
 public:
  virtual ~LeaseStore() = default;

  // net-conf: from the store if it keeps one (etcd: <prefix>/config), else from the file at `path`.
  virtual Result<NetConf> load_conf(const std::string& path) { return load_net_conf(path); }

  virtual Result<NodeHints> hints() { return NodeHints{}; }

  // All leases now. On an error the caller keeps what it knew.
  virtual Result<LeaseSet> list() = 0;

  // The node's subnet, in flannel's order: the unexpired lease with our public IP if it fits `conf` (attributes are updated in place); else
  // for each family the previous subnet if it fits and nobody holds it; else one of the first 100 free subnets from subnet_min, at
  // random. A lost race takes the next one. exhausted when there is none.
  virtual Result<Lease> acquire(const NetConf& conf, const LeaseRequest& request) = 0;

  // Extends the lease by kLeaseTtl and writes the attributes if they differ. A lease that somebody deleted is taken again (same subnet);
  // exists if another node holds the subnet meanwhile. Where others give out the subnets (Kubernetes), the node may have another one now.
  virtual Result<Lease> renew(const Lease& lease) = 0;

  // The node's network is up: Kubernetes' condition NetworkUnavailable becomes False. Nothing to do elsewhere.
  virtual Status mark_ready() { return ok(); }

  // Passes a notice on, if the store has a place for it; does not wait for the network. One that cannot be delivered is lost.
  virtual void tell(const OperatorNotice& notice) { (void)notice; }

  [[nodiscard]] virtual StoreState state() const { return {}; }

  // Becomes readable when the store has something to look at; drain_events() before list().
  [[nodiscard]] virtual int event_fd() const = 0;
  // True if the set may have changed since the last list(). False, now and then: a periodic look found everything as it was.
  virtual bool drain_events() = 0;
};

}  // namespace merino
