#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "cluster/http.h"

namespace merino {
namespace cluster_http_test {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;

constexpr size_t kManyTicks = 1000;

// A server on an ephemeral port of the loopback interface.
class Server {
 public:
  Server() : port_(server_.bind_to_any_port("127.0.0.1")) {
    server_.Get("/hello", [](const httplib::Request& request, httplib::Response& response) {
      response.set_content("hello " + request.get_header_value("X-Who"), "text/plain");
    });
    server_.Post("/echo", [](const httplib::Request& request, httplib::Response& response) { response.set_content(request.body, "a/b"); });
    server_.Patch("/echo", [](const httplib::Request& request, httplib::Response& response) { response.set_content(request.body, "a/b"); });
    server_.Get("/move", [](const httplib::Request&, httplib::Response& response) { response.set_redirect("/hello"); });
    server_.Get("/refuse", [](const httplib::Request&, httplib::Response& response) {
      response.status = 403;
      response.set_content("not you", "text/plain");
    });
    server_.Get("/endless", [this](const httplib::Request&, httplib::Response& response) {
      response.set_chunked_content_provider("text/plain", [this](size_t, httplib::DataSink& sink) {
        std::this_thread::sleep_for(milliseconds(5));
        return !ending_ && sink.write("tick", 4);
      });
    });
    server_.Get("/many", [](const httplib::Request&, httplib::Response& response) {
      response.set_chunked_content_provider("text/plain", [](size_t offset, httplib::DataSink& sink) {
        if (offset == kManyTicks * 4) sink.done();
        return offset == kManyTicks * 4 || sink.write("tick", 4);
      });
    });
    server_.Get("/silent", [this](const httplib::Request&, httplib::Response& response) {
      response.set_chunked_content_provider("text/plain", [this](size_t offset, httplib::DataSink& sink) {
        if (offset == 0) return sink.write("tick", 4);
        std::this_thread::sleep_for(milliseconds(20));
        return !ending_.load();
      });
    });
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::sleep_for(milliseconds(1));
  }
  ~Server() {
    ending_ = true;
    server_.stop();
    thread_.join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] std::string url(const std::string& path) const { return "http://127.0.0.1:" + std::to_string(port_) + path; }

 private:
  httplib::Server server_;
  int port_;
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

class Http : public testing::Test {
 protected:
  Server server_;
  StopSignal stop_ = *StopSignal::open();
  HttpClient http_ = *HttpClient::open({}, stop_);
};

TEST_F(Http, SendsHeadersAndTakesTheBody) {
  const auto response = http_.send({.url = server_.url("/hello"), .headers = {"X-Who: world"}});
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(response->body, "hello world");
}

TEST_F(Http, SendsBodiesOfAnyMethodAndKeepsNothingOfTheLastRequest) {
  const std::string body(100000, 'x');
  EXPECT_TRUE(http_.send({.method = "POST", .url = server_.url("/echo"), .body = body})->body == body);
  EXPECT_EQ(http_.send({.method = "PATCH", .url = server_.url("/echo"), .body = "p"})->body, "p");
  EXPECT_EQ(http_.send({.method = "POST", .url = server_.url("/echo")})->body, "");
  EXPECT_EQ(http_.send({.url = server_.url("/hello")})->body, "hello ");
}

TEST_F(Http, AnErrorStatusIsAnAnswer) {
  EXPECT_EQ(http_.send({.url = server_.url("/refuse")})->status, 403);
  EXPECT_EQ(http_.send({.url = server_.url("/refuse")})->body, "not you");
  EXPECT_EQ(http_.send({.url = server_.url("/nothing")})->status, 404);
  EXPECT_EQ(http_.send({.url = server_.url("/move")})->status, 302) << "not followed";
}

TEST_F(Http, TheBodyOfAStreamGoesToTheSinkThatOfARefusalToTheResponse) {
  std::string seen;
  const auto take = [&](std::string_view bytes) {
    seen += bytes;
    return ok();
  };
  const auto response = http_.stream({.url = server_.url("/hello")}, take);
  ASSERT_TRUE(response);
  EXPECT_EQ(seen, "hello ");
  EXPECT_EQ(response->body, "");
  EXPECT_EQ(http_.stream({.url = server_.url("/refuse")}, take)->body, "not you");
  EXPECT_EQ(seen, "hello ");
}

TEST_F(Http, TheSinkCanEndATransfer) {
  int ticks = 0;
  const auto ended = http_.stream({.url = server_.url("/endless"), .timeout = milliseconds(0)}, [&](std::string_view) -> Status {
    if (++ticks < 3) return ok();
    return fail(ErrorKind::decode, "enough");
  });
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().kind, ErrorKind::decode);
  EXPECT_THAT(ended.error().message(), HasSubstr("/endless: enough"));
  EXPECT_TRUE(http_.send({.url = server_.url("/hello")})) << "the client is as good as new";
}

TEST_F(Http, WhatHasArrivedMeanwhileIsDrainedOnce) {
  size_t bytes = 0;
  int drained = 0;
  const auto slowly_at_first = [&](std::string_view piece) {
    if (bytes == 0) std::this_thread::sleep_for(milliseconds(300));
    bytes += piece.size();
    return ok();
  };
  const auto response = http_.stream({.url = server_.url("/many")}, slowly_at_first, [&] {
    drained++;
    return ok();
  });
  ASSERT_TRUE(response) << response.error().message();
  EXPECT_EQ(bytes, kManyTicks * 4);
  EXPECT_GE(drained, 1);
  EXPECT_LT(drained, 100) << "pieces of a chunked body come one by one";
}

TEST_F(Http, BeingDrainedCanEndATransfer) {
  const auto ended = http_.stream(
      {.url = server_.url("/endless"), .timeout = milliseconds(0)}, [](std::string_view) { return ok(); },
      []() -> Status { return fail(ErrorKind::decode, "enough"); });
  ASSERT_FALSE(ended);
  EXPECT_THAT(ended.error().message(), HasSubstr("/endless: enough"));
}

TEST_F(Http, TheStopSignalEndsATransferAndAllLaterOnes) {
  std::thread stopper;
  const auto ended = http_.stream({.url = server_.url("/endless"), .timeout = milliseconds(0)}, [&](std::string_view) {
    if (!stopper.joinable()) stopper = std::thread([&] { stop_.raise(); });
    return ok();
  });
  stopper.join();
  ASSERT_FALSE(ended);
  EXPECT_EQ(ended.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(ended.error().message(), HasSubstr("stopped"));
  EXPECT_FALSE(http_.send({.url = server_.url("/hello")}));
}

TEST_F(Http, ASilentStreamAndASlowAnswerEnd) {
  const auto idle = http_.stream({.url = server_.url("/silent"), .timeout = milliseconds(0), .idle_timeout = milliseconds(1000)},
                                 [](std::string_view) { return ok(); });
  ASSERT_FALSE(idle);
  EXPECT_EQ(idle.error().kind, ErrorKind::unavailable);
  const auto slow = http_.send({.url = server_.url("/silent"), .timeout = milliseconds(200)});
  ASSERT_FALSE(slow);
  EXPECT_THAT(slow.error().message(), HasSubstr("timed out"));
}

TEST_F(Http, AnErrorNamesTheServerAndNotTheQuery) {
  const auto refused = http_.send({.url = "http://127.0.0.1:1/v3?token=secret"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(refused.error().message(), HasSubstr("GET http://127.0.0.1:1/v3: "));
  EXPECT_THAT(refused.error().message(), Not(HasSubstr("secret")));
  EXPECT_FALSE(http_.send({.url = "file:///etc/hostname"})) << "only HTTP";
}

}  // namespace cluster_http_test
}  // namespace merino
