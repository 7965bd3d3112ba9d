// HTTP requests to etcd and the Kubernetes API server, over libcurl: TLS always verified, connections kept, every wait ended by a
// StopSignal.
//
//   StopSignal stop = TRY(StopSignal::open());
//   HttpClient http = TRY(HttpClient::open({.ca_file = "/etc/etcd/ca.crt"}, stop));
//   const HttpResponse response = TRY(http.send({.method = "POST", .url = "https://10.0.0.1:2379/v3/kv/range", .body = "{}"}));
//   if (response.status != 200) ...
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace merino {

// Ends the requests of one or more clients from another thread, and keeps later ones from being made.
class StopSignal {
 public:
  static Result<StopSignal> open();
  void raise() const;
  [[nodiscard]] bool is_raised() const;
  [[nodiscard]] int fd() const { return fd_.get(); }  // readable once it is raised

 private:
  explicit StopSignal(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

// Files are read when a connection is made; *_pem hold the PEM text itself and come first. Empty: the system's authorities, no client
// certificate.
struct TlsOptions {
  std::string ca_file{}, ca_pem{};
  std::string cert_file{}, cert_pem{};
  std::string key_file{}, key_pem{};
};

struct HttpRequest {
  std::string method = "GET";
  std::string url{};                   // http:// or https://
  std::vector<std::string> headers{};  // "Authorization: Bearer x"; never logged. Content-Type: JSON by default
  std::string body{};
  std::chrono::milliseconds timeout{5000};    // of the whole exchange; 0: none
  std::chrono::milliseconds idle_timeout{0};  // the longest time without a byte, for streams; whole seconds; 0: none
};

struct HttpResponse {
  long status = 0;
  std::string body{};
};

// Takes the next bytes of a body; an error ends the transfer and is its result.
using BodySink = std::function<Status(std::string_view)>;

// All of a body that has arrived until now was given to the sink; an error ends the transfer and is its result.
using BodyDrained = std::function<Status()>;

inline constexpr size_t kLargestBody = 64U << 20U;

// Errors: unavailable (no answer: refused, reset, timed out, name unknown, certificate not trusted, stopped), naming method and URL
// without its query; exhausted for a body of more than kLargestBody. A status of 400 and above is an answer, not an error. Redirects are
// not followed. One thread at a time.
class HttpClient {
 public:
  // `stop` must outlive the client.
  static Result<HttpClient> open(const TlsOptions& tls, const StopSignal& stop);
  HttpClient(HttpClient&&) noexcept;
  HttpClient& operator=(HttpClient&&) noexcept;
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;
  ~HttpClient();

  Result<HttpResponse> send(const HttpRequest& request);

  // The body of a 2xx answer goes to `sink` as it arrives, and response.body stays empty; that of another status is in response.body.
  Result<HttpResponse> stream(const HttpRequest& request, const BodySink& sink, const BodyDrained& drained = {});

 private:
  struct Handles;
  explicit HttpClient(std::unique_ptr<Handles> handles);
  std::unique_ptr<Handles> handles_;
};

}  // namespace merino
