// A gateway of etcd's that answers what a test says, and counts what it is asked.
#pragma once

#include <httplib.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cluster/etcd_json.h"
#include "cluster/lease.h"
#include "support/lease_dir.h"

namespace merino::test {

inline const std::string kEtcdHeader = R"("header":{"cluster_id":"1","member_id":"2","revision":"100","raft_term":"3"})";

inline std::string etcd_answer(const std::string& rest = "") { return "{" + kEtcdHeader + (rest.empty() ? "" : ",") + rest + "}"; }

inline std::string etcd_kv(const std::string& name, const std::string& value, int mod_revision = 10, const std::string& lease = "77") {
  return R"({"key":")" + encode_base64("/coreos.com/network/subnets/" + name) + R"(","create_revision":")" + std::to_string(mod_revision) +
         R"(","mod_revision":")" + std::to_string(mod_revision) + R"(","value":")" + encode_base64(value) + R"(","lease":")" + lease +
         "\"}";
}

inline std::string etcd_lease(const std::string& subnet_key, const std::string& public_ip, int mod_revision = 10) {
  return etcd_kv(subnet_key, format_lease_attributes(attributes(public_ip)), mod_revision);
}

inline std::string etcd_range(const std::vector<std::string>& kvs) {
  std::string list;
  for (const std::string& kv : kvs) list += (list.empty() ? "" : ",") + kv;
  return etcd_answer(kvs.empty() ? "" : "\"kvs\":[" + list + "],\"count\":\"" + std::to_string(kvs.size()) + "\"");
}

inline const std::string kWatchCreated = R"({"result":{)" + kEtcdHeader + R"(,"created":true}})" + "\n";

struct EtcdReply {
  int status = 200;
  std::string body;
};

class FakeEtcd {
 public:
  using Handler = std::function<EtcdReply(const httplib::Request&)>;

  FakeEtcd() : port_(server_.bind_to_any_port("127.0.0.1")) {
    answer("/v3/kv/range", etcd_range({}));
    answer("/v3/kv/txn", etcd_answer(R"("succeeded":true)"));
    answer("/v3/lease/grant", etcd_answer(R"("ID":"55","TTL":"86400")"));
    answer("/v3/lease/keepalive", R"({"result":{"ID":"55","TTL":"86400"}})");
    answer("/v3/lease/timetolive", etcd_answer(R"("ID":"77","TTL":"100")"));
    answer("/v3/lease/revoke", etcd_answer());
    server_.Post("/v3/watch", [this](const httplib::Request&, httplib::Response& response) {
      count("/v3/watch");
      response.set_chunked_content_provider("application/json",
                                            [this](size_t offset, httplib::DataSink& sink) { return stream(offset, sink); });
    });
    server_.Post(".*", [this](const httplib::Request& request, httplib::Response& response) {
      count(request.path);
      if (is_flooded(request.path)) {
        response.set_chunked_content_provider("application/json",
                                              [this, path = request.path](size_t, httplib::DataSink& sink) { return pour(path, sink); });
        return;
      }
      const EtcdReply reply = handler_of(request.path)(request);
      response.status = reply.status;
      response.set_content(reply.body, "application/json");
    });
    thread_ = std::thread([this] { server_.listen_after_bind(); });
    while (!server_.is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  ~FakeEtcd() {
    ending_ = true;
    server_.stop();
    thread_.join();
  }
  FakeEtcd(const FakeEtcd&) = delete;
  FakeEtcd& operator=(const FakeEtcd&) = delete;

  void handle(const std::string& path, Handler handler) {
    const std::lock_guard lock(mutex_);
    handlers_[path] = std::move(handler);
  }
  void answer(const std::string& path, const std::string& body, int status = 200) {
    handle(path, [=](const httplib::Request&) { return EtcdReply{status, body}; });
  }
  // A path answers without end, until flood("").
  void flood(const std::string& path) {
    const std::lock_guard lock(mutex_);
    flooded_ = path;
  }
  // What every watch says when it is made; then it stays open and says nothing, or ends.
  void answer_watch(const std::string& lines, bool ends = false) {
    const std::lock_guard lock(mutex_);
    watch_lines_ = lines;
    watch_ends_ = ends;
  }

  [[nodiscard]] std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] int asked(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(path);
    return found == counts_.end() ? 0 : found->second;
  }
  [[nodiscard]] int asked() const {
    const std::lock_guard lock(mutex_);
    int sum = 0;
    for (const auto& [path, count] : counts_) sum += count;
    return sum;
  }

 private:
  void count(const std::string& path) {
    const std::lock_guard lock(mutex_);
    ++counts_[path];
  }
  Handler handler_of(const std::string& path) {
    const std::lock_guard lock(mutex_);
    const auto found = handlers_.find(path);
    return found != handlers_.end() ? found->second : [](const httplib::Request&) { return EtcdReply{404, "Not Found\n"}; };
  }
  [[nodiscard]] bool is_flooded(const std::string& path) const {
    const std::lock_guard lock(mutex_);
    return flooded_ == path;
  }
  bool pour(const std::string& path, httplib::DataSink& sink) const {
    static const std::string kWater(1U << 20U, ' ');
    return !ending_ && is_flooded(path) && sink.is_writable() && sink.write(kWater.data(), kWater.size());
  }
  bool stream(size_t offset, httplib::DataSink& sink) {
    if (offset > 0 && is_flooded("/v3/watch")) return pour("/v3/watch", sink);
    std::string lines;
    bool ends = false;
    {
      const std::lock_guard lock(mutex_);
      lines = watch_lines_;
      ends = watch_ends_;
    }
    if (offset == 0 && !lines.empty()) return sink.write(lines.data(), lines.size());
    if (ends) {
      sink.done();
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    return !ending_ && sink.is_writable();
  }

  httplib::Server server_;
  int port_;
  std::atomic<bool> ending_{false};
  mutable std::mutex mutex_;
  std::map<std::string, Handler> handlers_;
  std::map<std::string, int> counts_;
  std::string flooded_;
  std::string watch_lines_ = kWatchCreated;
  bool watch_ends_ = false;
  std::thread thread_;
};

}  // namespace merino::test
