// The programs at their places on real devices, as the agent and the CNI plugin attach them.
#pragma once

#include <bpf/libbpf.h>

#include <utility>

#include "bpf/fixture.h"
#include "bpf/packet_socket.h"

namespace merino::test {

enum class Direction { ingress, egress };

// A program at its place, for as long as this lives: a tcx link, or, on kernels before 6.6, a filter below clsact.
class Attachment {
 public:
  explicit Attachment(Fd link) : link_(std::move(link)) {}
  Attachment(const bpf_tc_hook& hook, uint32_t priority) : hook_(hook), priority_(priority) {}
  Attachment(Attachment&& other) noexcept
      : link_(std::move(other.link_)), hook_(std::exchange(other.hook_, {})), priority_(other.priority_) {}
  Attachment& operator=(Attachment&&) = delete;
  ~Attachment();

 private:
  Fd link_;
  bpf_tc_hook hook_{};  // without a size: no filter
  uint32_t priority_ = 0;
};

// Behind what was attached by this before.
Attachment attach_next(int program, const std::string& interface, Direction direction);
// A direct-action filter at the clsact ingress, which stays as long as the interface; smaller priorities come first, and those below
// kFirstPriority before attach_next()'s.
void attach_clsact(int program, const std::string& interface, uint32_t priority);
inline constexpr uint32_t kFirstPriority = 0x100;

class AttachedTest : public BpfTest {
 protected:
  void attach_all();
  void attach(Program program, const std::string& interface);

  // Sends into a pod's interface or from the wire, and waits until `packets` more have been counted; what was counted.
  std::vector<Count> send(PacketSocket& socket, const Frame& frame, const Offload& offload = {}, uint64_t packets = 1);
  std::vector<Count> wait_for(const std::vector<merino_counter>& before, uint64_t packets) { return wait_for(programs, before, packets); }
  static std::vector<Count> wait_for(const LoadedPrograms& loaded, const std::vector<merino_counter>& before, uint64_t packets);

  std::vector<Attachment> links;
  PacketSocket pod_a{topology.pod_a(), "eth0"};
  PacketSocket pod_b{topology.pod_b(), "eth0"};
  PacketSocket wire{topology.wire(), "wire"};
};

}  // namespace merino::test
