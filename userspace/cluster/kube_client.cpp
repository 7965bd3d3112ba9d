#include "cluster/kube_client.h"

#include <algorithm>

#include "base/printable.h"
#include "cluster/json_object.h"

namespace merino {
namespace {

constexpr size_t kLongestStatus = 300;
// Nodes have no namespace; the kubelet puts their Events here.
constexpr const char* kNodeEvents = "/api/v1/namespaces/default/events";
constexpr KubePatience kSmallAnswer{.whole = std::chrono::seconds(10), .idle = std::chrono::seconds(0)};

// What the server says in its Status object, or the beginning of whatever it sent.
std::string server_message(const HttpResponse& response) {
  if (const auto status = JsonObject::parse(response.body, "answer")) {
    if (const auto message = status->string("message"); message && *message) return printable(**message, kLongestStatus);
  }
  return printable(response.body, kLongestStatus);
}

tl::unexpected<Error> refused(const HttpRequest& request, const HttpResponse& response) {
  const auto error = [&](ErrorKind kind) {
    return fail(kind, "{} {}: status {}: {}", request.method, request.url.substr(0, request.url.find('?')), response.status,
                server_message(response));
  };
  switch (response.status) {
    case 401:
      return with_remedy(error(ErrorKind::unavailable), "the API server does not know the token or certificate: renew it");
    case 403:
      return with_remedy(error(ErrorKind::unavailable),
                         "bind the manifest's ClusterRole: nodes get, list, watch; nodes/status patch; events create, patch; and pods get "
                         "if NODE_NAME is not set");
    case 404:
      return error(ErrorKind::not_found);
    case 400:
    case 409:
    case 415:
    case 422:
      return error(ErrorKind::invalid);
    default:
      return error(ErrorKind::unavailable);
  }
}

bool is_success(const HttpResponse& response) { return response.status >= 200 && response.status < 300; }

}  // namespace

Status check_kube_name(const std::string& name, std::string_view what) {
  constexpr size_t kLongest = 253;
  const auto fits = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'; };
  if (!name.empty() && name.size() <= kLongest && name[0] != '.' && std::all_of(name.begin(), name.end(), fits)) return ok();
  return with_remedy(fail(ErrorKind::invalid, "{} is no name of Kubernetes: \"{}\"", what, printable(name)),
                     "small letters, digits, '-' and '.', as `kubectl get` shows it");
}

Result<KubeClient> KubeClient::open(const KubeCredentials& credentials, const StopSignal& stop) {
  return KubeClient(credentials, TRY(HttpClient::open(credentials.tls, stop)));
}

Result<HttpResponse> KubeClient::exchange(HttpRequest request, const BodySink& sink) {
  request.url = credentials_->server + request.url;
  const std::vector<std::string> headers = request.headers;
  const auto send = [&](const std::string& token) {
    request.headers = headers;
    request.headers.emplace_back("Accept: application/json");
    if (!token.empty()) request.headers.push_back("Authorization: Bearer " + token);
    return http_.stream(request, sink);
  };
  const std::string token = TRY(read_token(*credentials_));
  HttpResponse response = TRY(send(token));
  if (response.status == 401) {
    // The kubelet may have put a new token there meanwhile.
    const std::string fresh = TRY(read_token(*credentials_));
    if (fresh != token) response = TRY(send(fresh));
  }
  if (!is_success(response) && response.status != 410) return refused(request, response);
  return response;
}

Result<KubeOutcome> KubeClient::read(const std::string& path, JsonListener& listener, const KubePatience& patience,
                                     const std::function<void()>& after_piece) {
  HttpRequest request;
  request.url = path;
  request.timeout = patience.whole;
  request.idle_timeout = patience.idle;
  JsonPush json(listener);
  const HttpResponse response = TRY(exchange(std::move(request), [&](std::string_view bytes) {
    auto fed = json.feed(bytes);
    after_piece();
    return fed;
  }));
  if (response.status == 410) return KubeOutcome::gone;
  if (!json.at_rest()) return fail(ErrorKind::decode, "GET {}{}: the answer ends too early", server(), path.substr(0, path.find('?')));
  return KubeOutcome::complete;
}

Result<KubeNode> KubeClient::node(const std::string& name, const AnnotationNames& names) {
  KubeSingleReader reader(names);
  auto outcome = read("/api/v1/nodes/" + name, reader, kSmallAnswer);
  if (!outcome && outcome.error().kind == ErrorKind::not_found) {
    outcome.error().kind = ErrorKind::unavailable;  // the kubelet may be about to register it
    return with_remedy(tl::unexpected(std::move(outcome).error()),
                       "the kubelet registers the node; its name is NODE_NAME, or spec.nodeName of the pod POD_NAMESPACE/POD_NAME");
  }
  if (!outcome) return tl::unexpected(std::move(outcome).error());
  if (!reader.complete) return fail(ErrorKind::decode, "GET {}/api/v1/nodes/{}: the answer is empty", server(), name);
  return reader.take();
}

Result<std::string> KubeClient::node_of_pod(const std::string& pod_namespace, const std::string& pod_name) {
  HttpRequest request;
  request.url = fmt::format("/api/v1/namespaces/{}/pods/{}", pod_namespace, pod_name);
  request.timeout = kSmallAnswer.whole;
  std::string body;
  TRY(exchange(request, [&](std::string_view bytes) -> Status {
    if (body.size() + bytes.size() > kLargestBody) return fail(ErrorKind::exhausted, "GET {}: the answer is too large", request.url);
    body += bytes;
    return ok();
  }));
  const JsonObject pod = TRY(JsonObject::parse(body, "pod " + pod_namespace + "/" + pod_name));
  const auto spec = TRY(pod.object("spec"));
  const auto name = spec ? TRY(spec->string("nodeName")) : std::nullopt;
  if (!name || name->empty()) return fail(ErrorKind::unavailable, "node name not present in pod spec '{}/{}'", pod_namespace, pod_name);
  TRY(check_kube_name(*name, "spec.nodeName of pod " + pod_namespace + "/" + pod_name));
  return *name;
}

Status KubeClient::write(const std::string& method, const std::string& path, const std::string& content_type, const std::string& body) {
  HttpRequest request;
  request.method = method;
  request.url = path;
  request.headers = {"Content-Type: " + content_type};
  request.body = body;
  request.timeout = kSmallAnswer.whole;
  TRY(exchange(request, [](std::string_view) { return ok(); }));
  return ok();
}

Status KubeClient::patch_node_status(const std::string& name, const std::string& patch) {
  return write("PATCH", "/api/v1/nodes/" + name + "/status", "application/strategic-merge-patch+json", patch);
}

Status KubeClient::create_event(const std::string& event) { return write("POST", kNodeEvents, "application/json", event); }

Status KubeClient::patch_event(const std::string& name, const std::string& patch) {
  return write("PATCH", fmt::format("{}/{}", kNodeEvents, name), "application/merge-patch+json", patch);
}

}  // namespace merino
