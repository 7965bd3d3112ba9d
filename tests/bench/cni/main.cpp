// cni_cost: how long attaching and detaching pods takes, many calls one after the other or at once.
//   cni_cost plugin ADD|DEL PATH CONF AT_ONCE NAME...     the CNI plugin at PATH with configuration CONF
//   cni_cost kernel ADD|DEL veth|program AT_ONCE NAME...  what the kernel is asked for, by itself: the veth with its addresses and
//                                                         routes, or that and the BPF program on it
// NAMEs are network namespaces below /run/netns. Prints the milliseconds of each call, one a line, and those of all together last.
#include <fmt/format.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/process.h"
#include "cni/kernel_cost.h"

namespace {

using Clock = std::chrono::steady_clock;
using merino::Result;
using merino::Status;

double milliseconds_since(Clock::time_point start) { return std::chrono::duration<double, std::milli>(Clock::now() - start).count(); }

Status call_plugin(const std::string& command, const std::string& path, const std::string& conf, const std::string& name) {
  merino::ProcessRequest request;
  request.argv = {path};
  request.input = conf;
  request.environment = {{"CNI_COMMAND", command},
                         {"CNI_CONTAINERID", name},
                         {"CNI_NETNS", "/run/netns/" + name},
                         {"CNI_IFNAME", "eth0"},
                         {"CNI_PATH", path.substr(0, path.rfind('/'))}};
  const merino::ProcessOutput output = TRY(merino::run_process(request));
  if (output.succeeded()) return merino::ok();
  return merino::fail(merino::ErrorKind::invalid, "{} of {}: {}: {}{}", command, name, output.outcome(), output.out, output.err);
}

// Calls `call` for each name, `at_once` at the same time, and prints how long each took.
Status time_calls(const std::vector<std::string>& names, size_t at_once, const std::function<Status(const std::string&)>& call) {
  std::vector<double> took(names.size());
  std::vector<Status> results(names.size());
  std::atomic<size_t> next = 0;
  const auto work = [&] {
    for (size_t i = next++; i < names.size(); i = next++) {
      const auto start = Clock::now();
      results[i] = call(names[i]);
      took[i] = milliseconds_since(start);
    }
  };
  const auto start = Clock::now();
  std::vector<std::thread> threads;
  for (size_t i = 0; i < at_once; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  const double together = milliseconds_since(start);
  for (Status& result : results) TRY(std::move(result));
  for (const double each : took) fmt::print("{:.3f}\n", each);
  fmt::print("{:.3f}\n", together);
  return merino::ok();
}

Status run(const std::vector<std::string>& words) {
  if (words.size() < 5) return merino::fail(merino::ErrorKind::invalid, "see the head of tests/bench/cni/main.cpp for the arguments");
  const std::string& command = words[1];
  if (words[0] == "plugin") {
    const std::string conf = TRY(merino::read_file(words[3]));
    return time_calls({words.begin() + 5, words.end()}, std::stoul(words[4]),
                      [&](const std::string& name) { return call_plugin(command, words[2], conf, name); });
  }
  const auto part = words[2] == "program" ? merino::bench::KernelPart::veth_and_program : merino::bench::KernelPart::veth;
  return time_calls({words.begin() + 4, words.end()}, std::stoul(words[3]), [&](const std::string& name) {
    return command == "ADD" ? merino::bench::attach_pod(name, part) : merino::bench::detach_pod(name, part);
  });
}

}  // namespace

int main(int argc, char** argv) {
  const Status ran = run({argv + 1, argv + argc});
  if (ran) return 0;
  fmt::print(stderr, "cni_cost: {}\n", ran.error().message());
  return 1;
}
