#include "bpf/network.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "base/process.h"

namespace merino::test {

namespace {

std::string run_here(const ProcessRequest& request) {
  const auto output = run_process(request);
  const std::string line = fmt::format("{}", fmt::join(request.argv, " "));
  if (!output) throw std::runtime_error(fmt::format("{}: {}", line, output.error().message()));
  if (!output->succeeded()) throw std::runtime_error(fmt::format("{}: {}: {}{}", line, output->outcome(), output->err, request.input));
  return output->out;
}

}  // namespace

Netns Netns::current() {
  Fd fd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!fd) throw std::runtime_error(fmt::format("open the network namespace: {}", std::strerror(errno)));
  return Netns(std::move(fd));
}

Netns::Netns() {
  const Netns before = current();
  if (::unshare(CLONE_NEWNET) != 0)
    throw std::runtime_error(fmt::format("make a network namespace: {}; run the test as root", std::strerror(errno)));
  fd_ = std::move(current().fd_);
  if (::access("/proc/sys/net/ipv6", F_OK) == 0) {
    sysctl("ipv6.conf.all.disable_ipv6", "1");
    sysctl("ipv6.conf.default.disable_ipv6", "1");
  }
  before.enter();
}

std::string Netns::path() const { return fmt::format("/proc/{}/fd/{}", ::getpid(), fd_.get()); }

void Netns::enter() const {
  if (::setns(fd_.get(), CLONE_NEWNET) != 0) throw std::runtime_error(fmt::format("enter a network namespace: {}", std::strerror(errno)));
}

void Netns::ip(const std::string& batch) const {
  const InNetns there(*this);
  ProcessRequest request;
  request.argv = {"ip", "-batch", "-"};
  request.input = batch + "\n";
  run_here(request);
}

std::string Netns::run(const std::string& command_line) const {
  const InNetns there(*this);
  ProcessRequest request;
  std::istringstream words(command_line);
  for (std::string word; words >> word;) request.argv.push_back(word);
  return run_here(request);
}

void Netns::sysctl(const std::string& name, const std::string& value) const {
  const InNetns there(*this);
  std::string path = "/proc/sys/net/" + name;
  for (char& c : path) c = c == '.' ? '/' : c;
  std::ofstream file(path);
  if (!(file << value << std::flush)) throw std::runtime_error(fmt::format("write {} to {}: {}", value, path, std::strerror(errno)));
}

}  // namespace merino::test
