#include "cluster/etcd_gateway.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/file.h"
#include "base/printable.h"
#include "cluster/etcd_messages.h"

namespace merino {
namespace {

using std::chrono::milliseconds;

constexpr size_t kLargestPemFile = 1U << 20U;
constexpr long kOk = 200;

// gRPC's codes, as they stand in errors.
constexpr int64_t kInvalidArgument = 3;
constexpr int64_t kNotFound = 5;
constexpr int64_t kPermissionDenied = 7;
constexpr int64_t kUnauthenticated = 16;

// What every member would say. Other errors (no leader, timed out, too many requests, ...) are of this one and of now.
bool is_final(const EtcdError& error) {
  constexpr std::array kFinal{kInvalidArgument, kNotFound, kPermissionDenied, kUnauthenticated};
  return std::find(kFinal.begin(), kFinal.end(), error.code) != kFinal.end();
}

bool says(const EtcdError& error, std::string_view text) { return error.message.find(text) != std::string::npos; }

// The token is no good (any more), and a new one may be.
bool wants_authentication(const EtcdError& error) {
  return error.code == kUnauthenticated || says(error, "invalid auth token") || says(error, "user name is empty") ||
         says(error, "auth store is old");
}

tl::unexpected<Error> refused(const EtcdError& error, const std::string& path) {
  if (error.code == kNotFound) return fail(ErrorKind::not_found, "{}: {}", path, error.message);
  auto failure = fail(ErrorKind::invalid, "{}: {}", path, error.message);
  if (error.code == kPermissionDenied) {
    return with_remedy(std::move(failure),
                       "grant a role of the user --etcd-username: etcdctl role grant-permission ROLE --prefix=true "
                       "readwrite PREFIX/, with the prefix of --etcd-prefix");
  }
  if (says(error, "user name is empty")) return with_remedy(std::move(failure), "give --etcd-username and --etcd-password: etcd has users");
  if (wants_authentication(error) || says(error, "authentication failed")) {
    return with_remedy(std::move(failure), "check --etcd-username and --etcd-password");
  }
  return failure;
}

// An answer that is not 200, in words.
std::string describe(const HttpResponse& response) {
  if (const auto error = decode_error(response.body)) return error->message;
  if (response.status == 404) {
    return "HTTP status 404: there is no JSON gateway; etcd must be 3.4 or newer, and run with --enable-grpc-gateway";
  }
  return fmt::format("HTTP status {}: {}", response.status, printable(response.body));
}

bool is_host_and_port(std::string_view text) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]%";
  return !text.empty() && text.find_first_not_of(kAllowed) == std::string_view::npos;
}

// "http://host:port", without a slash at the end. Without a scheme, as etcd's own clients: TLS if there is a certificate.
Result<std::string> read_endpoint(const std::string& text, const EtcdOptions& options) {
  std::string_view rest = text;
  std::string scheme = options.certfile.empty() ? "http://" : "https://";
  for (const std::string_view known : {"http://", "https://"}) {
    if (rest.starts_with(known)) {
      scheme = known;
      rest.remove_prefix(known.size());
      break;
    }
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (!is_host_and_port(rest)) {
    return with_remedy(fail(ErrorKind::invalid, "--etcd-endpoints: \"{}\" is not the URL of an etcd member", printable(text)),
                       "write them as http://HOST:PORT or https://HOST:PORT, with commas between them");
  }
  return scheme + std::string(rest);
}

Status check_file(const char* flag, const std::string& path) {
  if (path.empty()) return ok();
  auto content = read_file(path, kLargestPemFile);
  if (content) return ok();
  Error error = std::move(content).error();
  error.kind = ErrorKind::invalid;
  return in_context(std::move(error), flag);
}

Status check_files(const EtcdOptions& options) {
  if (options.keyfile.empty() != options.certfile.empty()) {
    return with_remedy(fail(ErrorKind::invalid, "{} is given without {}", options.keyfile.empty() ? "--etcd-certfile" : "--etcd-keyfile",
                            options.keyfile.empty() ? "--etcd-keyfile" : "--etcd-certfile"),
                       "give both or neither");
  }
  TRY(check_file("--etcd-keyfile", options.keyfile));
  TRY(check_file("--etcd-certfile", options.certfile));
  return check_file("--etcd-cafile", options.cafile);
}

// Cuts a stream into lines.
class Lines {
 public:
  explicit Lines(const EtcdLineReader& read) : read_(read) {}

  Status take(std::string_view bytes) {
    for (size_t end = bytes.find('\n'); end != std::string_view::npos; end = bytes.find('\n')) {
      line_ += bytes.substr(0, end);
      bytes.remove_prefix(end + 1);
      const std::string line = std::exchange(line_, {});
      if (!line.empty()) TRY(read_(line));
    }
    if (line_.size() + bytes.size() > kLargestBody) return fail(ErrorKind::decode, "a line has more than {} bytes", kLargestBody);
    line_ += bytes;
    return ok();
  }

 private:
  const EtcdLineReader& read_;
  std::string line_;
};

}  // namespace

Result<EtcdGateway> EtcdGateway::open(const EtcdOptions& options, const StopSignal& stop) {
  std::vector<std::string> endpoints;
  for (const std::string& text : options.endpoints) endpoints.push_back(TRY(read_endpoint(text, options)));
  if (endpoints.empty()) {
    return with_remedy(fail(ErrorKind::invalid, "--etcd-endpoints is empty"), "name at least one, such as http://127.0.0.1:2379");
  }
  TRY(check_files(options));
  const TlsOptions tls{
      .ca_file = options.cafile, .ca_pem = {}, .cert_file = options.certfile, .cert_pem = {}, .key_file = options.keyfile, .key_pem = {}};
  return EtcdGateway(options, std::move(endpoints), TRY(HttpClient::open(tls, stop)));
}

EtcdGateway::EtcdGateway(const EtcdOptions& options, std::vector<std::string> endpoints, HttpClient http)
    : endpoints_(std::move(endpoints)), username_(options.username), password_(options.password), http_(std::move(http)) {}

std::string EtcdGateway::name() const { return fmt::format("etcd at {}", fmt::join(endpoints_, ", ")); }

HttpRequest EtcdGateway::request(const EtcdCall& call) const {
  HttpRequest request;
  request.method = "POST";
  request.url = endpoint() + call.path;
  request.headers = {"Content-Type: application/json", "Grpc-Metadata-hasleader: true"};
  if (!token_.empty()) request.headers.push_back("Authorization: " + token_);
  request.body = call.body;
  request.timeout = call.timeout;
  return request;
}

// Asks the current member for a token. An etcd without users gives none and needs none.
Status EtcdGateway::authenticate() {
  token_.clear();
  authenticated_ = username_.empty();
  if (authenticated_) return ok();
  const EtcdCall call{.path = "/v3/auth/authenticate", .body = encode_authenticate(username_, password_)};
  const HttpResponse response = TRY(http_.send(request(call)));
  if (response.status == kOk) {
    auto token = decode_token(response.body);
    if (!token) return in_context(std::move(token).error(), endpoint() + call.path);
    token_ = *std::move(token);
  } else {
    const EtcdError error = decode_error(response.body).value_or(EtcdError{});
    if (!says(error, "authentication is not enabled")) {
      if (is_final(error)) return refused(error, endpoint() + call.path);
      return fail(ErrorKind::unavailable, "{}{}: {}", endpoint(), call.path, describe(response));
    }
  }
  authenticated_ = true;
  return ok();
}

// With a token that etcd accepts. A refusal of the token is answered by a new one, once.
Result<HttpResponse> EtcdGateway::send_with_token(const EtcdCall& call,
                                                  const std::function<Result<HttpResponse>(const HttpRequest&)>& transfer) {
  const bool is_fresh = !authenticated_;
  if (!authenticated_) TRY(authenticate());
  auto response = transfer(request(call));
  if (!response || response->status == kOk || username_.empty() || is_fresh) return response;
  const auto error = decode_error(response->body);
  if (!error || !wants_authentication(*error)) return response;
  TRY(authenticate());
  return transfer(request(call));
}

Status EtcdGateway::call(const EtcdCall& call, const EtcdReader& read) {
  std::string reasons;
  for (size_t tried = 0; tried < endpoints_.size(); ++tried) {
    const auto response = send_with_token(call, [this](const HttpRequest& request) { return http_.send(request); });
    std::string reason;  // with the member's URL
    if (!response) {
      if (response.error().kind == ErrorKind::invalid) return tl::unexpected(response.error());
      reason = response.error().what;
    } else if (response->status == kOk) {
      const Status accepted = read(response->body);
      if (accepted) return ok();
      reason = fmt::format("{}{}: not an answer of etcd's: {}", endpoint(), call.path, accepted.error().what);
    } else {
      const auto error = decode_error(response->body);
      if (error && is_final(*error)) return refused(*error, endpoint() + call.path);
      reason = fmt::format("{}{}: {}", endpoint(), call.path, describe(*response));
    }
    reasons += (reasons.empty() ? "" : "; ") + reason;
    next_member();
  }
  return with_remedy(fail(ErrorKind::unavailable, "etcd does not answer: {}", reasons),
                     "start etcd, or correct --etcd-endpoints: etcdctl endpoint health");
}

Status EtcdGateway::stream(const EtcdCall& call, const EtcdLineReader& read, const BodyDrained& drained) {
  Lines lines(read);
  Status taken = ok();
  const std::string member = endpoint();
  const auto response = send_with_token(call, [&](HttpRequest request) {
    request.timeout = milliseconds(0);
    request.idle_timeout = call.timeout;
    return http_.stream(
        request, [&](std::string_view bytes) { return taken = lines.take(bytes); }, [&] { return taken = drained(); });
  });
  if (!taken) return in_context(taken.error(), member);
  next_member();
  if (!response) return tl::unexpected(response.error());
  if (response->status != kOk) return fail(ErrorKind::unavailable, "{}{}: {}", member, call.path, describe(*response));
  return fail(ErrorKind::unavailable, "{}{}: the stream has ended", member, call.path);
}

}  // namespace merino
