// A test process in a network namespace of its own, with `ip` as the second opinion.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>

#include "base/process.h"
#include "netlink/netlink.h"

namespace merino {

// The value, or a failed test that says why there is none.
template <class T>
T must(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().message());
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

// The error, or a failed test.
template <class T>
Error error_of(Result<T> result) {
  if (result) throw std::runtime_error("succeeded where it must fail");
  return std::move(result).error();
}

inline IpAddress ip(const char* text) { return must(IpAddress::parse(text)); }
inline Prefix prefix(const char* text) { return must(Prefix::parse(text)); }
inline MacAddress mac(const char* text) { return must(MacAddress::parse(text)); }

// A shell command in the current namespace; its output.
inline std::string run(const std::string& command) {
  ProcessRequest request;
  request.argv = {"/bin/sh", "-c", command};
  const ProcessOutput output = must(run_process(request));
  if (!output.succeeded()) throw std::runtime_error(command + ": " + output.outcome() + ": " + output.err);
  return output.out;
}

// By hand as an operator does it: run_ip("link set x up").
inline std::string run_ip(const std::string& arguments) { return run("ip " + arguments); }

inline Fd current_namespace() { return must(open_network_namespace("/proc/thread-self/ns/net")); }

class NetlinkTest : public testing::Test {
 protected:
  void SetUp() override {
    enter_new_namespace();
    netlink_.emplace(must(Netlink::open()));
    run_ip("link set lo up");
  }

  static void enter_new_namespace() {
    if (unshare(CLONE_NEWNET) != 0) throw std::runtime_error(std::string("these tests need root: unshare: ") + strerror(errno));
  }

  // Another namespace, which lives as long as the Fd.
  static Fd new_namespace() {
    const Fd home = current_namespace();
    enter_new_namespace();
    Fd made = current_namespace();
    if (setns(home.get(), CLONE_NEWNET) != 0) throw std::runtime_error("cannot return to the test's namespace");
    return made;
  }

  // An Ethernet interface made by hand, down, that has a carrier when up and no address of the kernel's; its index.
  unsigned make_device(const std::string& name) {
    run_ip("link add " + name + " type veth peer name " + name + "peer");
    run_ip("link set " + name + " addrgenmode none");
    run_ip("link set " + name + "peer addrgenmode none up");
    return index_of(name);
  }

  unsigned index_of(const std::string& name) {
    const auto link = must(netlink().link_by_name(name));
    if (!link) throw std::runtime_error("no interface " + name);
    return link->index;
  }

  // Whether `action` raises no event. What was done before may still raise some late: then it is done again.
  template <class Action>
  static bool raises_no_event(Action action) {
    for (int attempt = 0; attempt < 100; ++attempt) {
      auto events = must(NetlinkEvents::open());
      action();
      if (!must(events.drain())) return true;
      usleep(100000);
    }
    return false;
  }

  Netlink& netlink() { return *netlink_; }

 private:
  std::optional<Netlink> netlink_;
};

}  // namespace merino
