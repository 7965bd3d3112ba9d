// A machine on which the CNI plugin runs as if an agent had been there: programs pinned, subnet.env written. What the plugin leaves
// behind is read from the machine itself.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lab/machine.h"

namespace merino::lab {

// Runs the plugin with system calls that fail or kill. (The leak sanitizer, where the plugin is built with it, cannot look at a program
// that is traced. Where its lines are counted, its counts go where nobody reads them: they would be spoiled for all others.)
inline constexpr const char* kStrace = "ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0 GCOV_PREFIX=/media GCOV_PREFIX_STRIP=99 strace -f -qq";

// A shell command with one directory: a file system of one page in which nothing is free.
inline constexpr const char* kFullDisk =
    "mkdir -p {0} && mount -t tmpfs -o size=4k tmpfs {0} && dd if=/dev/zero of={0}/ballast bs=4k count=1 2>/dev/null";

struct CniCall {
  std::string container = "c1";
  std::string netns = "/run/netns/c1";
  std::string ifname = "eth0";
  std::string args = "IgnoreUnknown=1;K8S_POD_NAME=web";
  std::string prefix{};  // a command that runs the plugin: kStrace and its options
};

class CniNode : public Machine {
 public:
  CniNode();

  // An empty network namespace at /run/netns/<name>.
  void make_netns(const std::string& name);
  void remove_netns(const std::string& name);
  // A command in the network namespace.
  [[nodiscard]] Output in(const std::string& name, const std::string& command) const;

  [[nodiscard]] Output call(const std::string& command, const nlohmann::json& conf, const CniCall& call = {}) const;
  // ADD that must succeed: its result.
  [[nodiscard]] nlohmann::json add(const nlohmann::json& conf, const CniCall& call = {}) const;
  // A call that must fail: the error object.
  [[nodiscard]] nlohmann::json error(const std::string& command, const nlohmann::json& conf, const CniCall& call = {}) const;

  // One line for everything that exists because of a pod: host interfaces, routes, neighbours, records, map entries, link pins, address
  // files. Empty when there is nothing.
  [[nodiscard]] std::string leftovers() const;
};

// A configuration of network "cbr0" with more keys in it: R"("mtu":1400)".
nlohmann::json cni_conf(const std::string& keys = "", const std::string& version = "1.1.0");
nlohmann::json with(nlohmann::json conf, const std::string& key, const nlohmann::json& value);

}  // namespace merino::lab
