// A small HTTP server for what merinod says of itself: fixed pages, bounded in threads, queue, time and size, whatever its clients do.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace merino {

inline constexpr const char* kPlainText = "text/plain; charset=utf-8";

struct HttpAnswer {
  int code = 200;
  std::string body;
  std::string content_type = kPlainText;
};

// Called by the server's threads, several at a time.
struct HttpPage {
  std::string path;
  std::function<HttpAnswer()> answer;
};

class HttpServer {
 public:
  // Listens on ip:port until it is destroyed; what the pages refer to outlives it. exists, with the remedy, if the address cannot be had:
  // `purpose` says in the error what it was wanted for.
  static Result<std::unique_ptr<HttpServer>> start(const std::string& ip, uint16_t port, const std::string& purpose,
                                                   const std::vector<HttpPage>& pages);
  virtual ~HttpServer() = default;

 protected:
  HttpServer() = default;
};

}  // namespace merino
