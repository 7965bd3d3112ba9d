// An API server for tests: Nodes with lists in pages, watches and patches over TLS, on an ephemeral port of the loopback interface; it
// misbehaves as it is told to.
#pragma once

#ifndef CPPHTTPLIB_OPENSSL_SUPPORT
#define CPPHTTPLIB_OPENSSL_SUPPORT  // as pkg-config gives it
#endif
#include <httplib.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "base/process.h"
#include "support/golden.h"
#include "support/kube_node.h"
#include "support/temp_dir.h"

#if defined(__SANITIZE_THREAD__)
// cpp-httplib is built without the sanitizer, which does not see that one of its threads makes a function's static variable before the
// others read it.
extern "C" [[gnu::used]] inline const char* __tsan_default_suppressions() { return "race:libcpp-httplib\n"; }
#endif

namespace merino::test {

class ApiServer {
 public:
  // What it does wrong; each number counts down.
  struct Faults {
    int continue_gone = 0;               // a page that is asked for by a token: 410
    int watch_gone = 0;                  // a watch: 410
    int watch_gone_event = 0;            // a watch: an ERROR event with 410
    int watch_ends = 0;                  // a watch: ends at once
    int status = 0;                      // of every answer, if it is not 0
    std::optional<std::string> list{};   // the body of every list
    std::optional<std::string> watch{};  // what every watch begins with
    bool no_content_length = false;      // bodies of lists in chunks, slowly
    size_t flood = 0;                    // mebibytes that follow `list` or `watch`
  };

  ApiServer() {
    make_certificate();
    start(0);
  }
  ~ApiServer() { stop(); }
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  void start(int port) {
    ending_ = false;
    server_ = std::make_unique<httplib::SSLServer>(dir_.file("server.crt").c_str(), dir_.file("server.key").c_str());
    if (!server_->is_valid()) throw std::runtime_error("the test's certificate is not usable");
    server_->set_keep_alive_timeout(1);
    add_routes();
    add_event_routes();
    if (port == 0) {
      port_ = server_->bind_to_any_port("127.0.0.1");
    } else if (!server_->bind_to_port("127.0.0.1", port)) {
      throw std::runtime_error("the port was taken by another");
    }
    thread_ = std::thread([this] { server_->listen_after_bind(); });
    while (!server_->is_running()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  void stop() {
    if (!server_) return;
    ending_ = true;
    server_->stop();
    thread_.join();
    server_.reset();
  }
  void restart() {
    stop();
    start(port_);
  }

  [[nodiscard]] std::string url() const { return "https://127.0.0.1:" + std::to_string(port_); }
  [[nodiscard]] std::string ca_file() const { return dir_.file("server.crt"); }

  template <class Change>
  void set(const Change& change) {
    const std::lock_guard lock(mutex_);
    change(*this);
  }

  void put(const NodeText& node) { put(node.name, node.json()); }
  void put(const std::string& name, nlohmann::json node) {
    const std::lock_guard lock(mutex_);
    const char* type = nodes_.contains(name) ? "MODIFIED" : "ADDED";
    node["metadata"]["resourceVersion"] = std::to_string(++version_);
    nodes_[name] = node;
    tell(type, node);
  }
  void remove(const std::string& name) {
    const std::lock_guard lock(mutex_);
    auto node = nodes_.at(name);
    nodes_.erase(name);
    node["metadata"]["resourceVersion"] = std::to_string(++version_);
    tell("DELETED", node);
  }
  // The version moves on without an event for anybody but a bookmark.
  void bookmark(uint64_t version) {
    const std::lock_guard lock(mutex_);
    version_ = version;
    tell("BOOKMARK", {{"kind", "Node"}, {"metadata", {{"resourceVersion", std::to_string(version)}}}});
  }
  // Watches can begin at the present version only, and those that run end.
  void compact() {
    const std::lock_guard lock(mutex_);
    events_.clear();
    compacted_ = version_;
    ++generation_;
  }
  void end_watches() {
    const std::lock_guard lock(mutex_);
    ++generation_;
  }

  [[nodiscard]] nlohmann::json node(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    return nodes_.at(name);
  }
  // "GET /api/v1/nodes?limit=500", since the last call.
  std::vector<std::string> requests() {
    const std::lock_guard lock(mutex_);
    return std::exchange(requests_, {});
  }
  std::vector<std::string> patches() {
    const std::lock_guard lock(mutex_);
    return std::exchange(patches_, {});
  }

  // By name.
  [[nodiscard]] std::map<std::string, nlohmann::json> events() const {
    const std::lock_guard lock(mutex_);
    return node_events_;
  }
  void forget_events() {
    const std::lock_guard lock(mutex_);
    node_events_.clear();
  }

  // Under set().
  Faults faults;
  std::string token = "token-1";
  size_t page = 500;                        // a limit of its own
  std::map<std::string, std::string> pods;  // node by "namespace/name"

 private:
  using Request = httplib::Request;
  using Response = httplib::Response;

  void make_certificate() const {
    ProcessRequest openssl;
    openssl.argv = {"openssl",
                    "req",
                    "-x509",
                    "-newkey",
                    "ec",
                    "-pkeyopt",
                    "ec_paramgen_curve:prime256v1",
                    "-nodes",
                    "-keyout",
                    dir_.file("server.key"),
                    "-out",
                    dir_.file("server.crt"),
                    "-days",
                    "2",
                    "-subj",
                    "/CN=test",
                    "-addext",
                    "subjectAltName=IP:127.0.0.1"};
    const auto made = run_process(openssl);
    if (!made || !made->succeeded()) throw std::runtime_error("openssl: " + (made ? made->err : made.error().message()));
  }

  void tell(const std::string& type, const nlohmann::json& object) {
    events_.emplace_back(version_, nlohmann::json{{"type", type}, {"object", object}}.dump() + "\n");
  }

  static bool due(int& count) { return count > 0 && count-- > 0; }

  static void answer(Response& response, int status, const std::string& reason) {
    response.status = status;
    response.set_content(
        nlohmann::json{
            {"kind", "Status"}, {"status", "Failure"}, {"message", reason + " by the test"}, {"reason", reason}, {"code", status}}
            .dump(),
        "application/json");
  }

  // True if the request is not to be answered any further.
  bool refuse(const Request& request, Response& response) {
    requests_.push_back(request.method + " " + request.target);
    if (request.get_header_value("Authorization") != "Bearer " + token) {
      answer(response, 401, "Unauthorized");
      return true;
    }
    if (faults.status != 0) answer(response, faults.status, "Fault");
    return faults.status != 0;
  }

  void add_routes() {
    server_->Get("/api/v1/nodes", [this](const Request& request, Response& response) {
      const std::lock_guard lock(mutex_);
      if (refuse(request, response)) return;
      request.has_param("watch") ? watch(request, response) : list(request, response);
    });
    server_->Get(R"(/api/v1/nodes/([^/]+))", [this](const Request& request, Response& response) {
      const std::lock_guard lock(mutex_);
      if (refuse(request, response)) return;
      const auto found = nodes_.find(request.matches[1]);
      if (found == nodes_.end()) return answer(response, 404, "NotFound");
      response.set_content(found->second.dump(), "application/json");
    });
    server_->Get(R"(/api/v1/namespaces/([^/]+)/pods/([^/]+))", [this](const Request& request, Response& response) {
      const std::lock_guard lock(mutex_);
      if (refuse(request, response)) return;
      const auto found = pods.find(request.matches[1].str() + "/" + request.matches[2].str());
      if (found == pods.end()) return answer(response, 404, "NotFound");
      nlohmann::json pod = {{"kind", "Pod"}, {"spec", {{"containers", nlohmann::json::array()}}}};
      if (!found->second.empty()) pod["spec"]["nodeName"] = found->second;
      response.set_content(pod.dump(), "application/json");
    });
    server_->Patch(R"(/api/v1/nodes/([^/]+)/status)", [this](const Request& request, Response& response) {
      const std::lock_guard lock(mutex_);
      if (refuse(request, response)) return;
      if (request.get_header_value("Content-Type") != "application/strategic-merge-patch+json") return answer(response, 415, "MediaType");
      const auto found = nodes_.find(request.matches[1]);
      if (found == nodes_.end()) return answer(response, 404, "NotFound");
      patches_.push_back(request.body);
      merge(found->second, nlohmann::json::parse(request.body));
      found->second["metadata"]["resourceVersion"] = std::to_string(++version_);
      tell("MODIFIED", found->second);
      response.set_content(found->second.dump(), "application/json");
    });
  }

  void add_event_routes() {
    server_->Post("/api/v1/namespaces/default/events", [this](const Request& request, Response& response) {
      const std::lock_guard lock(mutex_);
      if (refuse(request, response)) return;
      const auto event = nlohmann::json::parse(request.body);
      const std::string name = event.at("metadata").at("name");
      if (node_events_.contains(name)) return answer(response, 409, "AlreadyExists");
      node_events_[name] = event;
      response.status = 201;
      response.set_content(request.body, "application/json");
    });
    server_->Patch(R"(/api/v1/namespaces/default/events/([^/]+))", [this](const Request& request, Response& response) {
      const std::lock_guard lock(mutex_);
      if (refuse(request, response)) return;
      if (request.get_header_value("Content-Type") != "application/merge-patch+json") return answer(response, 415, "MediaType");
      const auto found = node_events_.find(request.matches[1]);
      if (found == node_events_.end()) return answer(response, 404, "NotFound");
      found->second.merge_patch(nlohmann::json::parse(request.body));
      response.set_content(found->second.dump(), "application/json");
    });
  }

  static void merge(nlohmann::json& node, nlohmann::json patch) {
    if (patch.contains("status")) {
      for (auto& condition : patch["status"]["conditions"]) {
        auto& all = node["status"]["conditions"];
        for (auto at = all.begin(); at != all.end(); ++at) {
          if ((*at)["type"] != condition["type"]) continue;
          all.erase(at);
          break;
        }
        all.push_back(condition);
      }
      patch.erase("status");
    }
    node.merge_patch(patch);
  }

  void flood(const std::string& first, Response& response) const {
    response.set_chunked_content_provider("application/json",
                                          [this, first = std::string(first), left = faults.flood](size_t, httplib::DataSink& sink) mutable {
                                            static const std::string kWater(1U << 20U, 'x');
                                            if (!first.empty() && !sink.write(first.data(), first.size())) return false;
                                            first.clear();
                                            if (left-- == 0) {
                                              sink.done();
                                              return true;
                                            }
                                            return !ending_ && sink.write(kWater.data(), kWater.size());
                                          });
  }

  void list(const Request& request, Response& response) {
    if (faults.list && faults.flood > 0) return flood(*faults.list, response);
    if (faults.list) return response.set_content(*faults.list, "application/json");
    const std::string after = request.get_param_value("continue");
    if (!after.empty() && due(faults.continue_gone)) return answer(response, 410, "Expired");
    const size_t limit = request.has_param("limit") ? std::min(page, std::stoul(request.get_param_value("limit"))) : page;
    nlohmann::json out = {{"kind", "NodeList"}, {"apiVersion", "v1"}, {"items", nlohmann::json::array()}};
    auto at = after.empty() ? nodes_.begin() : nodes_.upper_bound(after.substr(after.find('=') + 1));
    for (; at != nodes_.end() && out["items"].size() < limit; ++at) out["items"].push_back(at->second);
    out["metadata"]["resourceVersion"] = std::to_string(version_);
    if (at != nodes_.end()) out["metadata"]["continue"] = "after=" + std::prev(at)->first;  // to be escaped
    if (!faults.no_content_length) return response.set_content(out.dump(), "application/json");
    response.set_chunked_content_provider("application/json",
                                          [text = out.dump(), done = size_t{0}](size_t, httplib::DataSink& sink) mutable {
                                            std::this_thread::sleep_for(std::chrono::milliseconds(1));
                                            const size_t size = std::min<size_t>(97, text.size() - done);
                                            if (!sink.write(text.data() + done, size)) return false;
                                            done += size;
                                            if (done == text.size()) sink.done();
                                            return true;
                                          });
  }

  void watch(const Request& request, Response& response) {
    const uint64_t from = std::stoull(request.get_param_value("resourceVersion"));
    if (due(faults.watch_gone) || from < compacted_) return answer(response, 410, "Expired");
    std::string first = faults.watch.value_or("");
    if (due(faults.watch_gone_event)) {
      first = R"({"type":"ERROR","object":{"kind":"Status","message":"too old resource version","reason":"Expired","code":410}})";
    }
    if (faults.watch && faults.flood > 0) return flood(first, response);
    const bool ends = due(faults.watch_ends) || faults.watch;
    response.set_chunked_content_provider(
        "application/json", [this, ends, cursor = from, generation = generation_, first](size_t, httplib::DataSink& sink) mutable {
          if (!first.empty() && !sink.write(first.data(), first.size())) return false;
          first.clear();
          std::string news;
          bool over = ends;
          {
            const std::lock_guard lock(mutex_);
            for (const auto& [version, text] : events_) {
              if (version <= cursor) continue;
              cursor = version;
              news += text;
            }
            over = over || generation != generation_;
          }
          if (!news.empty() && !sink.write(news.data(), news.size())) return false;
          if (over) sink.done();
          if (!over) std::this_thread::sleep_for(std::chrono::milliseconds(2));
          return !ending_.load();
        });
  }

  TempDir dir_;
  int port_ = 0;
  std::unique_ptr<httplib::SSLServer> server_;
  std::thread thread_;
  std::atomic<bool> ending_ = false;

  mutable std::mutex mutex_;
  std::map<std::string, nlohmann::json> nodes_;
  std::map<std::string, nlohmann::json> node_events_;
  std::deque<std::pair<uint64_t, std::string>> events_;
  uint64_t version_ = 100;
  uint64_t compacted_ = 0;
  int generation_ = 0;
  std::vector<std::string> requests_;
  std::vector<std::string> patches_;
};

}  // namespace merino::test
