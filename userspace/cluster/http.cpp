#include "cluster/http.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <optional>

namespace merino {

namespace {

constexpr int kPollMilliseconds = 1000;

// "POST https://10.0.0.1:2379/v3/kv/range": the query may hold tokens.
std::string describe(const HttpRequest& request) { return request.method + " " + request.url.substr(0, request.url.find('?')); }

curl_blob blob_of(const std::string& text) {
  return {.data = const_cast<char*>(text.data()), .len = text.size(), .flags = CURL_BLOB_COPY};  // NOLINT: libcurl copies from it
}

void set_tls(CURL* easy, const TlsOptions& tls) {
  const auto set = [easy](CURLoption blob_option, const std::string& pem, CURLoption file_option, const std::string& file) {
    if (!pem.empty()) {
      curl_blob blob = blob_of(pem);
      curl_easy_setopt(easy, blob_option, &blob);
    } else if (!file.empty()) {
      curl_easy_setopt(easy, file_option, file.c_str());
    }
  };
  set(CURLOPT_CAINFO_BLOB, tls.ca_pem, CURLOPT_CAINFO, tls.ca_file);
  set(CURLOPT_SSLCERT_BLOB, tls.cert_pem, CURLOPT_SSLCERT, tls.cert_file);
  set(CURLOPT_SSLKEY_BLOB, tls.key_pem, CURLOPT_SSLKEY, tls.key_file);
  curl_easy_setopt(easy, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
}

// One exchange: where its body goes, and what ended it.
struct Exchange {
  CURL* easy;
  const BodySink* sink;  // nullptr: all into `body`
  const BodyDrained* drained;
  std::string body;
  bool fresh;                    // the sink has taken something since it was drained
  std::optional<Error> refused;  // by the sink, or for its size

  Status take(std::string_view bytes) {
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (sink != nullptr && status / 100 == 2) {
      fresh = true;
      return (*sink)(bytes);
    }
    if (body.size() + bytes.size() > kLargestBody) {
      return fail(ErrorKind::exhausted, "the answer has more than {} MiB", kLargestBody >> 20U);
    }
    body.append(bytes);
    return ok();
  }

  Status settle() {
    if (!std::exchange(fresh, false) || refused || drained == nullptr) return ok();
    return (*drained)();
  }
};

size_t on_body(char* bytes, size_t size, size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  auto taken = exchange.take({bytes, size * count});
  if (taken) return size * count;
  exchange.refused = std::move(taken).error();
  return CURL_WRITEFUNC_ERROR;
}

// A connection whose other end, or whose own address, is gone is given up soon, not after the kernel's fifteen minutes.
int on_socket(void*, curl_socket_t fd, curlsocktype) {
  const unsigned patience_ms = 10000;
  // Refused only by other kinds of sockets, which have no such wait.
  (void)::setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms, sizeof(patience_ms));
  return CURL_SOCKOPT_OK;
}

}  // namespace

Result<StopSignal> StopSignal::open() {
  Fd fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return fail_errno(errno, "open eventfd");
  return StopSignal(std::move(fd));
}

void StopSignal::raise() const {
  const uint64_t one = 1;
  // A full counter is a raised signal too.
  if (::write(fd_.get(), &one, sizeof(one)) < 0) return;
}

bool StopSignal::is_raised() const {
  pollfd poll_fd{.fd = fd_.get(), .events = POLLIN, .revents = 0};
  return ::poll(&poll_fd, 1, 0) > 0;
}

struct HttpClient::Handles {
  CURL* easy = nullptr;
  CURLM* multi = nullptr;
  const StopSignal* stop = nullptr;
  TlsOptions tls;
  std::array<char, CURL_ERROR_SIZE> problem{};

  Handles() = default;
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;
  ~Handles() {
    if (easy != nullptr) curl_easy_cleanup(easy);
    if (multi != nullptr) curl_multi_cleanup(multi);
  }

  void prepare(const HttpRequest& request, Exchange& exchange, curl_slist* headers);
  Result<CURLcode> run(Exchange& exchange);
};

void HttpClient::Handles::prepare(const HttpRequest& request, Exchange& exchange, curl_slist* headers) {
  curl_easy_reset(easy);  // keeps connections
  problem[0] = '\0';
  curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, problem.data());
  curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 10L);
  curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 5L);
  curl_easy_setopt(easy, CURLOPT_SOCKOPTFUNCTION, on_socket);
  curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, 5000L);
  curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");  // neither etcd nor the API server is reached through a proxy
  curl_easy_setopt(easy, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
  if (request.idle_timeout.count() > 0) {
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, static_cast<long>((request.idle_timeout.count() + 999) / 1000));
  }
  if (request.method != "GET") curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request.method.c_str());
  if (!request.body.empty() || request.method == "POST") {
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request.body.data());
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
  }
  curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers);
  curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(easy, CURLOPT_WRITEDATA, &exchange);
  set_tls(easy, tls);
}

// The transfer to its end, or to the stop signal.
Result<CURLcode> HttpClient::Handles::run(Exchange& exchange) {
  int running = 1;
  while (true) {
    if (const auto code = curl_multi_perform(multi, &running); code != CURLM_OK) {
      return fail(ErrorKind::unavailable, "libcurl: {}", curl_multi_strerror(code));
    }
    // libcurl hands out each piece of a chunked body by itself, and ends when there are none left to read.
    TRY(exchange.settle());
    if (running == 0) break;
    if (stop->is_raised()) return fail(ErrorKind::unavailable, "stopped");
    curl_waitfd wait_fd{.fd = stop->fd(), .events = CURL_WAIT_POLLIN, .revents = 0};
    curl_multi_poll(multi, &wait_fd, 1, kPollMilliseconds, nullptr);
  }
  int left = 0;
  const CURLMsg* message = curl_multi_info_read(multi, &left);
  if (message == nullptr || message->msg != CURLMSG_DONE) return fail(ErrorKind::unavailable, "libcurl ended without a result");
  return message->data.result;
}

HttpClient::HttpClient(std::unique_ptr<Handles> handles) : handles_(std::move(handles)) {}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient& HttpClient::operator=(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

Result<HttpClient> HttpClient::open(const TlsOptions& tls, const StopSignal& stop) {
  static std::once_flag initialised;
  std::call_once(initialised, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  auto handles = std::make_unique<Handles>();
  handles->easy = curl_easy_init();
  handles->multi = curl_multi_init();
  handles->stop = &stop;
  handles->tls = tls;
  if (handles->easy == nullptr || handles->multi == nullptr) return fail_errno(ENOMEM, "open an HTTP client");
  return HttpClient(std::move(handles));
}

Result<HttpResponse> HttpClient::send(const HttpRequest& request) { return stream(request, nullptr); }

Result<HttpResponse> HttpClient::stream(const HttpRequest& request, const BodySink& sink, const BodyDrained& drained) {
  Exchange exchange{.easy = handles_->easy,
                    .sink = sink ? &sink : nullptr,
                    .drained = drained ? &drained : nullptr,
                    .body = {},
                    .fresh = false,
                    .refused = std::nullopt};
  // No "Expect: 100-continue": it costs a round trip.
  curl_slist* list = curl_slist_append(nullptr, "Expect:");
  const bool typed = std::ranges::any_of(request.headers, [](const std::string& header) { return header.starts_with("Content-Type:"); });
  if (!typed) list = curl_slist_append(list, "Content-Type: application/json");
  for (const std::string& header : request.headers) list = curl_slist_append(list, header.c_str());
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> headers(list, curl_slist_free_all);
  handles_->prepare(request, exchange, list);

  curl_multi_add_handle(handles_->multi, handles_->easy);
  auto ended = handles_->run(exchange);
  long status = 0;
  curl_easy_getinfo(handles_->easy, CURLINFO_RESPONSE_CODE, &status);
  curl_multi_remove_handle(handles_->multi, handles_->easy);

  if (exchange.refused) return in_context(*std::move(exchange.refused), describe(request));
  if (!ended) return in_context(std::move(ended).error(), describe(request));
  if (*ended != CURLE_OK) {
    const char* problem = handles_->problem[0] != '\0' ? handles_->problem.data() : curl_easy_strerror(*ended);
    return fail(ErrorKind::unavailable, "{}: {}", describe(request), problem);
  }
  return HttpResponse{.status = status, .body = std::move(exchange.body)};
}

}  // namespace merino
