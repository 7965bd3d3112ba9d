// A lease store that is reached over the network, made out of a LeaseSource. The agent's thread never waits for the network: a thread
// follows the source and keeps the newest set, another one carries renewals out.
//
//   agent's thread                 watcher thread                        writer thread
//   list()  <── newest set ───── read(), follow(); back-off between     renew(), one at a time
//   event_fd() <── readable ──── at each change of set or health  ───── when a renewal has ended
#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "cluster/http.h"
#include "cluster/lease_store.h"

namespace merino {

// What talks to etcd or to the API server. Functions block, and end soon after the StopSignal they were made with is raised. follow() runs
// in one thread while acquire(), renew() and the others run in a second one: what both use is locked or exists twice (an HttpClient each).
class LeaseSource {
 public:
  virtual ~LeaseSource() = default;

  // What it is, for errors: "etcd at https://10.0.0.1:2379".
  [[nodiscard]] virtual std::string name() const = 0;

  virtual Result<NetConf> load_conf(const std::string& path) = 0;
  virtual Result<NodeHints> hints() = 0;
  virtual Result<Lease> acquire(const NetConf& conf, const LeaseRequest& request) = 0;
  virtual Result<Lease> renew(const Lease& lease) = 0;
  virtual Status mark_ready() = 0;
  virtual Status tell(const OperatorNotice& notice) { return (void)notice, ok(); }

  // Reads all leases and gives them to `changed`, then the whole set again at each change. Returns when the connection is lost or the
  // history is gone (compaction, 410): the caller backs off and calls again.
  virtual Status follow(const std::function<void(LeaseSet)>& changed) = 0;
};

struct RemoteStoreTiming {
  std::chrono::milliseconds first_backoff{100};
  std::chrono::milliseconds longest_backoff{5000};  // with jitter: half to whole
  // How long renew() and mark_ready() wait for the writer thread before they return `unavailable` and let it go on.
  std::chrono::milliseconds patience{300};
};

// What to wait instead of `backoff`: from half of it to the whole, as `random` has it, so that nodes which lost a server at the same moment
// do not come back at the same moment.
std::chrono::milliseconds with_jitter(std::chrono::milliseconds backoff, unsigned random);

// list() is the newest set; `unavailable`, naming the source and since when, while it cannot be followed. load_conf(), hints() and
// acquire() are for the start and wait for the answer. renew() and mark_ready() wait at most `patience`; the result of a renewal that took
// longer is returned by the next call for the same lease, and event_fd() says when to make it. `stop` is the signal that the source's
// clients were made with; the destructor raises it and joins the threads.
Result<std::unique_ptr<LeaseStore>> open_remote_store(std::unique_ptr<LeaseSource> source, std::unique_ptr<StopSignal> stop,
                                                      const RemoteStoreTiming& timing = {});

}  // namespace merino
