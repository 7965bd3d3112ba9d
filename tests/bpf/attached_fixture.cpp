#include "bpf/attached_fixture.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace merino::test {

namespace {

// Newer than Debian 12's headers.
constexpr auto kTcxIngress = static_cast<bpf_attach_type>(46);
constexpr auto kTcxEgress = static_cast<bpf_attach_type>(47);

bpf_tc_hook attach_filter(int program, const std::string& interface, Direction direction, uint32_t priority) {
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(Topology::ifindex(interface)),
              .attach_point = direction == Direction::ingress ? BPF_TC_INGRESS : BPF_TC_EGRESS);
  if (const int error = bpf_tc_hook_create(&hook); error != 0 && error != -EEXIST)
    throw std::runtime_error(fmt::format("clsact on {}: {}", interface, std::strerror(-error)));
  LIBBPF_OPTS(bpf_tc_opts, options, .prog_fd = program, .handle = 1, .priority = priority);
  if (const int error = bpf_tc_attach(&hook, &options); error != 0)
    throw std::runtime_error(fmt::format("filter on {}: {}", interface, std::strerror(-error)));
  return hook;
}

}  // namespace

Attachment::~Attachment() {
  if (hook_.sz == 0) return;
  LIBBPF_OPTS(bpf_tc_opts, options, .handle = 1, .priority = priority_);
  bpf_tc_detach(&hook_, &options);
}

Attachment attach_next(int program, const std::string& interface, Direction direction) {
  const auto type = direction == Direction::ingress ? kTcxIngress : kTcxEgress;
  Fd link(bpf_link_create(program, static_cast<int>(Topology::ifindex(interface)), type, nullptr));
  if (link) return Attachment(std::move(link));
  if (errno != EINVAL) throw std::runtime_error(fmt::format("tcx link on {}: {}", interface, std::strerror(errno)));
  static uint32_t priority = kFirstPriority;
  const bpf_tc_hook hook = attach_filter(program, interface, direction, priority);
  return {hook, priority++};
}

void attach_clsact(int program, const std::string& interface, uint32_t priority) {
  attach_filter(program, interface, Direction::ingress, priority);
}

void AttachedTest::attach(Program program, const std::string& interface) {
  links.push_back(attach_next(programs.fd(program), interface, program == Program::from_host ? Direction::egress : Direction::ingress));
}

void AttachedTest::attach_all() {
  attach(Program::from_pod, "vetha");
  attach(Program::from_pod, "vethb");
  attach(Program::from_wire, "uplink");
  attach(Program::from_tunnel, "merino0");
  attach(Program::from_host, "merino0");
}

std::vector<Count> AttachedTest::wait_for(const LoadedPrograms& loaded, const std::vector<merino_counter>& before, uint64_t packets) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  for (;;) {
    auto counts = loaded.counted_since(before);
    uint64_t total = 0;
    for (const auto& count : counts) total += count.packets;
    if (total >= packets || std::chrono::steady_clock::now() > deadline) return counts;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

std::vector<Count> AttachedTest::send(PacketSocket& socket, const Frame& frame, const Offload& offload, uint64_t packets) {
  const auto before = programs.counters();
  socket.send(frame, offload);
  return wait_for(before, packets);
}

}  // namespace merino::test
