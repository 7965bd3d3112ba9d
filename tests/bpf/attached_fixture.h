// The programs at their places on real devices, as the agent and the CNI plugin attach them.
#pragma once

#include "bpf/fixture.h"
#include "bpf/packet_socket.h"

namespace merino::test {

enum class Direction { ingress, egress };

// Behind what was attached by this before: a tcx link, detached with the descriptor, or, on kernels before 6.6, a filter below clsact and
// no descriptor; the filter goes with the interface.
Fd attach_next(int program, const std::string& interface, Direction direction);
// A direct-action filter at the clsact ingress; smaller priorities come first, and those below kFirstPriority before attach_next()'s.
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

  std::vector<Fd> links;
  PacketSocket pod_a{topology.pod_a(), "eth0"};
  PacketSocket pod_b{topology.pod_b(), "eth0"};
  PacketSocket wire{topology.wire(), "wire"};
};

}  // namespace merino::test
