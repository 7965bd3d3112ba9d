#include "agent/http_server.h"

#include <httplib.h>

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

namespace merino {

namespace {

constexpr size_t kThreadLimit = 32;
constexpr size_t kQueueLimit = 32;

// A client that says nothing holds a thread for a second. Threads are made as clients come, so that a few silent ones do not keep the
// kubelet's probe waiting; at the limits the accepting thread waits, and the kernel's backlog turns the rest away.
class BoundedPool : public httplib::TaskQueue {
 public:
  void enqueue(std::function<void()> task) override {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return tasks_.size() < kQueueLimit || stopping_; });
    tasks_.push_back(std::move(task));
    if (idle_ < tasks_.size() && threads_.size() < kThreadLimit) threads_.emplace_back([this] { work(); });
    ready_.notify_one();
  }

  void shutdown() override {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    ready_.notify_all();
    room_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      ++idle_;
      ready_.wait(lock, [this] { return !tasks_.empty() || stopping_; });
      --idle_;
      if (tasks_.empty()) return;
      const auto task = std::move(tasks_.front());
      tasks_.pop_front();
      room_.notify_one();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable ready_;
  std::condition_variable room_;
  std::deque<std::function<void()>> tasks_;
  size_t idle_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

class HttplibServer : public HttpServer {
 public:
  explicit HttplibServer(const std::vector<HttpPage>& pages) {
    server_.new_task_queue = [] { return new BoundedPool; };  // httplib deletes it
    server_.set_keep_alive_max_count(1);
    server_.set_keep_alive_timeout(1);  // also how long it waits for a request to begin
    server_.set_read_timeout(std::chrono::seconds(1));
    server_.set_write_timeout(std::chrono::seconds(1));
    // Not httplib's SO_REUSEPORT, by which two servers would share the port unknowingly.
    server_.set_socket_options([](socket_t socket) {
      const int on = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    });
    server_.set_payload_max_length(1024);
    for (const HttpPage& page : pages) serve(page);
  }

  HttplibServer(const HttplibServer&) = delete;
  HttplibServer& operator=(const HttplibServer&) = delete;
  ~HttplibServer() override {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  Status listen(const std::string& ip, uint16_t port, const std::string& purpose) {
    errno = 0;
    if (!server_.bind_to_port(ip, port)) {
      const int reason = errno;
      auto error = fail_errno(reason, "cannot listen on {}:{} for {}", ip, port, purpose);
      if (reason == EADDRINUSE) error.value().kind = ErrorKind::exists;
      return with_remedy(std::move(error), "is another process (flanneld?) listening there, and does this node have the address?");
    }
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    // stop() has no effect on a server that does not run yet.
    while (!server_.is_running()) std::this_thread::yield();
    return ok();
  }

 private:
  void serve(const HttpPage& page) {
    server_.Get(page.path, [answer = page.answer](const httplib::Request&, httplib::Response& response) {
      const HttpAnswer its = answer();
      response.status = its.code;
      response.set_content(its.body, its.content_type);
    });
  }

  httplib::Server server_;
  std::thread thread_;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::start(const std::string& ip, uint16_t port, const std::string& purpose,
                                                      const std::vector<HttpPage>& pages) {
  auto server = std::make_unique<HttplibServer>(pages);
  TRY(server->listen(ip, port, purpose));
  return server;
}

}  // namespace merino
