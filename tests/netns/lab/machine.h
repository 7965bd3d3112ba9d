// A machine of the lab: its own network, and its own /run, /etc, /var/lib, /sys and bpffs, so that programs find their fixed paths.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "lab/cni.h"
#include "lab/place.h"
#include "lab/pod_network.h"

namespace merino::lab {

// A process that only holds the namespaces open; its pid lets people enter them (nsenter -t PID -n -m).
class Holder {
 public:
  explicit Holder(const std::string& name);
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder();
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

struct PodOptions {
  std::string runtime_config = "{}";  // capability arguments by name: {"portMappings": [...]}
  std::string conflist{};             // empty: the machine's own
};

class Machine;

// A pod: a network namespace below the machine's /run/netns, attached by a chain of CNI plugins. It goes with its
// machine; remove() deletes it as a runtime does.
class Pod : public Place {
 public:
  Pod(Machine& machine, const std::string& name, const PodOptions& options);

  [[nodiscard]] const std::string& address(Family family = Family::v4) const { return result_.address.of(family); }  // "10.244.1.2"
  [[nodiscard]] const CniResult& result() const { return result_; }
  [[nodiscard]] const CniAttachment& attachment() const { return attachment_; }
  [[nodiscard]] CniNetwork& network() { return network_; }
  [[nodiscard]] std::string mac() const;
  // CNI DEL, then the namespace goes. Once.
  void remove();

 private:
  Machine& machine_;
  CniNetwork network_;
  CniAttachment attachment_;
  CniResult result_;
  bool removed_ = false;
};

class Machine : public Place {
 public:
  // The name is also the interface's in the lab's bridge: 8 characters at most.
  explicit Machine(const std::string& name) : Machine(name, std::make_unique<Holder>(name)) {}

  // "192.168.88.11" or "fd00:88::11", on eth0; the lab says so when it connects the machine.
  [[nodiscard]] const std::string& address(Family family = Family::v4) const { return address_.of(family); }
  void set_address(const PerFamilyText& address) { address_ = address; }
  [[nodiscard]] pid_t pid() const { return holder_->pid(); }
  // The path by which the test itself reaches a file of the machine.
  [[nodiscard]] std::string outside_path(const std::string& path) const;

  // Attaches a new pod; it lives as long as the machine, or until Pod::remove().
  Pod& add_pod(const std::string& name, const PodOptions& options = {});
  // The network's configuration (a conflist) for pods that bring none.
  [[nodiscard]] virtual std::string conflist() const;
  // A shell command for every new pod's network, before it is attached.
  [[nodiscard]] virtual std::string before_attach() const { return ":"; }
  // Says what helps to understand a failure.
  virtual void explain() const {}

 protected:
  std::deque<std::unique_ptr<Pod>> pods_;

 private:
  Machine(const std::string& name, std::unique_ptr<Holder> holder) : Place(name, holder->pid()), holder_(std::move(holder)) {}

  std::unique_ptr<Holder> holder_;
  PerFamilyText address_;
};

}  // namespace merino::lab
