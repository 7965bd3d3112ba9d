// A real etcd of one or more members, on loopback addresses or those of a lab's underlay.
#pragma once

#include <string>
#include <vector>

#include "lab/place.h"

namespace merino::lab {

struct EtcdSetup {
  int members = 1;
  std::string address = "127.0.0.1";
  std::string scheme = "http";  // of the clients' side
  std::string flags{};          // of every member
  std::string ctl_flags{};      // see EtcdMembers::ctl_flags
};

// Ends with its processes when this goes. Failures say what etcd logged.
class EtcdMembers {
 public:
  // Starts all, and waits until they answer.
  explicit EtcdMembers(const Place& place, EtcdSetup setup = {});

  void start(int member);
  void kill(int member) { processes_.at(member).kill(); }
  void signal(int member, int number) { processes_.at(member).signal(number); }
  void wait_healthy() const;

  // Each member runs as a user of its own.
  [[nodiscard]] static int user_of(int member) { return 60000 + member; }
  // The port on which it talks to the others.
  [[nodiscard]] static int peer_port(int member) { return 2380 + member * 10; }
  [[nodiscard]] std::string url(int member) const;
  [[nodiscard]] std::vector<std::string> urls() const;
  [[nodiscard]] int leader() const;

  // What `etcdctl ARGUMENTS` prints, without the last newline; a Failure if it fails. Asks the first member that runs.
  std::string ctl(const std::string& arguments) const;
  // `etcdctl put KEY VALUE FLAGS`, whatever is in the value.
  void put(const std::string& key, const std::string& value, const std::string& flags = "") const;
  // The value's bytes.
  [[nodiscard]] std::string value(const std::string& key) const { return ctl("get --print-value-only " + key); }
  // The etcd lease of a key in hexadecimal, as etcdctl names it; "0": none.
  [[nodiscard]] std::string lease_of(const std::string& key) const;
  [[nodiscard]] std::vector<std::string> leases() const;
  [[nodiscard]] std::vector<std::string> keys(const std::string& prefix) const;

  // Arguments of every etcdctl: certificates, users.
  std::string ctl_flags{};

 private:
  [[nodiscard]] std::string peer_url(int member) const;

  const Place& place_;
  EtcdSetup setup_;
  std::string directory_;
  std::vector<Process> processes_;
};

}  // namespace merino::lab
