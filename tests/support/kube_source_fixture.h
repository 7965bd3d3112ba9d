// The Kubernetes lease source, and an API server for it that is the test's own, over TLS.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <mutex>
#include <thread>

#include "cluster/kube_source.h"
#include "support/api_server.h"
#include "support/lease_dir.h"

namespace merino::test {

class KubeSourceTest : public testing::Test {
 protected:
  KubeSourceTest() {
    write_text(dir_.file("token"), "token-1\n");
    write_text(dir_.file("net-conf.json"), R"({"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}})");
    options_.kubeconfig_file = dir_.file("kubeconfig");
    options_.node_name = "node1";
    trust(api_.ca_file());
  }
  ~KubeSourceTest() override { end_following(); }

  void trust(const std::string& ca_file) const {
    write_text(dir_.file("kubeconfig"),
               "current-context: a\ncontexts: [{name: a, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: '" +
                   api_.url() + "', certificate-authority: '" + ca_file + "'}}]\nusers: [{name: u, user: {tokenFile: token}}]\n");
  }

  LeaseSource& source() {
    if (!source_) {
      auto opened = open_kube_source(options_, stop_);
      if (!opened) throw std::runtime_error(opened.error().message());
      source_ = std::move(*opened);
    }
    return *source_;
  }
  NetConf conf() { return source().load_conf(dir_.file("net-conf.json")).value(); }
  Result<Lease> acquire(const std::string& public_ip = "192.168.88.11") { return source().acquire(conf(), request(public_ip)); }

  // Calls follow() again and again, as the remote store does.
  void begin_following() {
    LeaseSource& followed = source();
    follower_ = std::thread([this, &followed] {
      while (!stop_.is_raised()) {
        auto ended = followed.follow([this](LeaseSet set) {
          const std::lock_guard lock(mutex_);
          set_ = std::move(set);
          ++sets_;
        });
        const std::lock_guard lock(mutex_);
        if (!ended) errors_.push_back(ended.error().message());
        if (errors_.size() > 1) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      }
    });
  }
  void end_following() {
    stop_.raise();
    if (follower_.joinable()) follower_.join();
  }

  [[nodiscard]] std::vector<std::string> known() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const Lease& lease : set_.leases) out.push_back(to_string(lease.subnet) + " " + to_string(lease.attributes.public_ip));
    return out;
  }
  [[nodiscard]] std::vector<std::string> rejected() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const RejectedLease& lease : set_.rejected) out.push_back(lease.key);
    return out;
  }
  [[nodiscard]] std::vector<std::string> errors() const {
    const std::lock_guard lock(mutex_);
    return errors_;
  }
  [[nodiscard]] size_t sets() const {
    const std::lock_guard lock(mutex_);
    return sets_;
  }

  static bool wait_for(const std::function<bool()>& done) {
    for (int i = 0; i < 3000 && !done(); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
    return done();
  }
  bool comes_to_know(const std::vector<std::string>& wanted) const {
    const bool known_now = wait_for([&] { return known() == wanted; });
    EXPECT_EQ(known(), wanted);
    return known_now;
  }

  void put_nodes(int count) {
    for (int i = 1; i <= count; ++i) {
      api_.put({.name = "node" + std::to_string(i),
                .pod_cidr = "10.244." + std::to_string(i) + ".0/24",
                .public_ip = "1.1.1." + std::to_string(i)});
    }
  }

  TempDir dir_;
  ApiServer api_;
  KubeOptions options_;
  StopSignal stop_ = StopSignal::open().value();
  std::unique_ptr<LeaseSource> source_;
  std::thread follower_;
  mutable std::mutex mutex_;
  LeaseSet set_;
  size_t sets_ = 0;
  std::vector<std::string> errors_;
};

}  // namespace merino::test
