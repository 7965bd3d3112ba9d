// Network namespaces of the test's own, without names: they are gone when the last descriptor is closed.
#pragma once

#include <string>

#include "base/fd.h"

namespace merino::test {

class Netns {
 public:
  // A new, empty namespace with IPv6 switched off, so that nothing but the test sends into it. Throws std::runtime_error, as all here:
  // a test that cannot make its network fails.
  Netns();
  // The namespace that the calling thread is in.
  static Netns current();

  // "/proc/PID/fd/N", as `ip link ... netns` takes it.
  [[nodiscard]] std::string path() const;
  // Moves the calling thread there.
  void enter() const;
  // Runs `ip -batch` with these lines in the namespace.
  void ip(const std::string& batch) const;
  // Runs a program in the namespace; its standard output.
  std::string run(const std::string& command_line) const;
  // net.<name> = value
  void sysctl(const std::string& name, const std::string& value) const;

 private:
  explicit Netns(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

// The calling thread is in `netns` while this lives.
class InNetns {
 public:
  explicit InNetns(const Netns& netns) : before_(Netns::current()) { netns.enter(); }
  ~InNetns() { before_.enter(); }
  InNetns(const InNetns&) = delete;
  InNetns& operator=(const InNetns&) = delete;

 private:
  Netns before_;
};

}  // namespace merino::test
