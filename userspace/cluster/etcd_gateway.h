// etcd's members as one server: whichever answers. Requests go to the member that answered last; one that is away, has no leader, or
// answers nonsense is left for the next. Users and passwords become tokens, which are asked for again when etcd has forgotten them.
//
// Every request says "only if you have a leader" (as flannel's WithRequireLeader), so a member that is cut off from the others ends its
// watches within seconds and answers nothing out of its memory.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cluster/etcd_source.h"
#include "cluster/http.h"

namespace merino {

struct EtcdCall {
  std::string path;  // "/v3/kv/range"
  std::string body;
  std::chrono::milliseconds timeout{5000};  // per member; of a stream: how long it may be silent
};

// Reads a whole answer.
using EtcdReader = std::function<Status(const std::string&)>;

// Reads one line of a stream.
using EtcdLineReader = std::function<Status(const std::string&)>;

// One thread at a time.
class EtcdGateway {
 public:
  // invalid: an endpoint that is no URL, a key without its certificate, a file that cannot be read. `stop` must outlive the gateway.
  static Result<EtcdGateway> open(const EtcdOptions& options, const StopSignal& stop);

  // Asks one member after the other until `read` accepts an answer. A request may so be carried out twice. Errors: not_found (there is no
  // such lease), invalid (etcd refuses: permission, password, request), unavailable (no member has answered; each is named with its
  // reason).
  Status call(const EtcdCall& call, const EtcdReader& read);

  // Streams from the member that answered last; `drained` is called when every line that has arrived was read. An error of either ends the
  // stream and is returned; else the end of the stream is `unavailable`, and the next member's turn.
  Status stream(const EtcdCall& call, const EtcdLineReader& read, const BodyDrained& drained);

  void next_member() { current_ = (current_ + 1) % endpoints_.size(); }

  // "etcd at http://10.0.0.1:2379, http://10.0.0.2:2379"
  [[nodiscard]] std::string name() const;

 private:
  EtcdGateway(const EtcdOptions& options, std::vector<std::string> endpoints, HttpClient http);
  Result<HttpResponse> send_with_token(const EtcdCall& call, const std::function<Result<HttpResponse>(const HttpRequest&)>& transfer);
  Status authenticate();
  [[nodiscard]] HttpRequest request(const EtcdCall& call) const;
  [[nodiscard]] const std::string& endpoint() const { return endpoints_[current_]; }

  std::vector<std::string> endpoints_;
  std::string username_, password_;
  HttpClient http_;
  size_t current_ = 0;
  bool authenticated_ = false;  // token_ is what etcd gave last; empty if etcd has no users
  std::string token_;
};

}  // namespace merino
