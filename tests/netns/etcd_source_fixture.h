// What tests of the etcd source against a real etcd share.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cluster/etcd_source.h"
#include "etcd_members.h"
#include "support/lease_dir.h"

namespace merino::lab {

inline const std::string kPrefix = "/coreos.com/network";
inline const std::string kSubnets = kPrefix + "/subnets/";

// A source with a stop signal of its own.
class Source {
 public:
  explicit Source(const EtcdOptions& options)
      : stop_(StopSignal::open().value()), source_(std::move(open_etcd_source(options, stop_)).value()) {}
  LeaseSource* operator->() const { return source_.get(); }
  LeaseSource& operator*() const { return *source_; }
  [[nodiscard]] const StopSignal& stop() const { return stop_; }

 private:
  StopSignal stop_;
  std::unique_ptr<LeaseSource> source_;
};

inline EtcdOptions options_for(const EtcdMembers& etcd) {
  EtcdOptions options;
  options.endpoints = etcd.urls();
  return options;
}

// Follows a source in a thread, again and again, as a store does.
class Following {
 public:
  explicit Following(const Source& source) : source_(source), thread_([this] { run(); }) {}
  ~Following() {
    source_.stop().raise();
    thread_.join();
  }
  Following(const Following&) = delete;
  Following& operator=(const Following&) = delete;

  // "10.244.1.0/24 192.168.0.1" for each lease of the newest set.
  [[nodiscard]] std::vector<std::string> leases() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const Lease& lease : set_.leases) out.push_back(to_string(lease.subnet) + " " + to_string(lease.attributes.public_ip));
    return out;
  }
  [[nodiscard]] LeaseSet set() const {
    const std::lock_guard lock(mutex_);
    return set_;
  }
  [[nodiscard]] std::string last_error() const {
    const std::lock_guard lock(mutex_);
    return error_;
  }
  [[nodiscard]] int sets() const {
    const std::lock_guard lock(mutex_);
    return sets_;
  }
  // Whether the set becomes `wanted`.
  [[nodiscard]] testing::AssertionResult becomes(const std::vector<std::string>& wanted) const {
    if (eventually([&] { return sets() > 0 && leases() == wanted; }, std::chrono::seconds(30))) return testing::AssertionSuccess();
    return testing::AssertionFailure() << testing::PrintToString(leases()) << " instead of " << testing::PrintToString(wanted)
                                       << "; last error: " << last_error();
  }

 private:
  void run() {
    while (!source_.stop().is_raised()) {
      const Status ended = source_->follow([this](LeaseSet set) {
        const std::lock_guard lock(mutex_);
        set_ = std::move(set);
        ++sets_;
      });
      {
        const std::lock_guard lock(mutex_);
        error_ = ended ? "" : ended.error().message();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
  }

  const Source& source_;
  mutable std::mutex mutex_;
  LeaseSet set_;
  int sets_ = 0;
  std::string error_;
  std::thread thread_;
};

// A program with an own network, in which etcd listens on loopback addresses.
class EtcdTest : public testing::Test {
 protected:
  EtcdTest() : here_("test", ::getpid()) { here_.must("ip link set lo up"); }

  Place here_;
};

}  // namespace merino::lab
