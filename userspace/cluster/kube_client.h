// The few requests that merino makes of the API server.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "cluster/http.h"
#include "cluster/kube_credentials.h"
#include "cluster/kube_node.h"

namespace merino {

// How long an answer may take that is read while it arrives.
struct KubePatience {
  std::chrono::milliseconds whole;
  std::chrono::milliseconds idle;  // the longest time without a byte
};

enum class KubeOutcome {
  complete,  // the answer was read to its end
  gone,      // 410: the server has not the history that was asked for any more
};

// Errors name the request and carry the server's own message: not_found for 404, invalid for 400, 409, 415 and 422, unavailable for
// everything that may pass: no answer, 401, 403, 429, 5xx. A service account's token is read for each request, and once more after a 401.
// One thread at a time.
class KubeClient {
 public:
  // `credentials` and `stop` must outlive the client.
  static Result<KubeClient> open(const KubeCredentials& credentials, const StopSignal& stop);

  [[nodiscard]] const std::string& server() const { return credentials_->server; }

  // Gives an answer of JSON to `listener`, and calls `after_piece` each time some of it has arrived. `path` begins with a slash and has its
  // query. decode if the answer ends in the middle of a document.
  Result<KubeOutcome> read(
      const std::string& path, JsonListener& listener, const KubePatience& patience, const std::function<void()>& after_piece = [] {});

  // GET /api/v1/nodes/NAME. One that does not exist is unavailable too: the kubelet may register it any time.
  Result<KubeNode> node(const std::string& name, const AnnotationNames& names);
  // The node that a pod is on: spec.nodeName.
  Result<std::string> node_of_pod(const std::string& pod_namespace, const std::string& pod_name);
  // A strategic merge patch of nodes/NAME/status.
  Status patch_node_status(const std::string& name, const std::string& patch);
  // An Event, in the namespace that those of Nodes are in; and a merge patch of one.
  Status create_event(const std::string& event);
  Status patch_event(const std::string& name, const std::string& patch);

 private:
  Status write(const std::string& method, const std::string& path, const std::string& content_type, const std::string& body);
  KubeClient(const KubeCredentials& credentials, HttpClient http) : credentials_(&credentials), http_(std::move(http)) {}
  Result<HttpResponse> exchange(HttpRequest request, const BodySink& sink);

  const KubeCredentials* credentials_;
  HttpClient http_;
};

// Fit for a path of the API: a name of Kubernetes (a-z, 0-9, '-', '.'; at most 253). `what` names it in the error.
Status check_kube_name(const std::string& name, std::string_view what);

}  // namespace merino
