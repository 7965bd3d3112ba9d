// The programs under test, loaded with a configuration of the test's choice, with maps of their own that are not pinned.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "abi.h"
#include "base/fd.h"
#include "bpf/frames.h"
#include "datapath/programs.h"

struct merino_bpf;
struct stage_bpf;

namespace merino::test {

inline constexpr Program kPrograms[] = {Program::from_pod, Program::from_wire, Program::from_tunnel, Program::from_host};
const char* name_of(Program program);
const char* name_of(merino_reason reason);

// What abi.h says becomes of a packet with this reason, as a TC_ACT_* value.
int verdict_of(merino_reason reason);
// Like name_of, for TC_ACT_UNSPEC, SHOT and REDIRECT.
std::string verdict_name(int verdict);

// What a packet has besides its bytes.
struct Metadata {
  struct TunnelKey {
    uint32_t vni = kVni;
    std::string remote = kPeer2;
    std::string local = kNode;
  };
  std::string interface = {};            // where it was received; empty: vetha, uplink or merino0, as the program is for
  uint32_t gso_size = 0;                 // without a GSO type: BPF_PROG_TEST_RUN sets none
  std::optional<uint16_t> vlan = {};     // a tag that the device took out of the frame
  std::optional<TunnelKey> tunnel = {};  // put there by the VXLAN driver
};

struct Count {
  merino_reason reason;
  uint64_t packets;
  uint64_t bytes;
  bool operator==(const Count&) const = default;
};
std::ostream& operator<<(std::ostream& out, const Count& count);

struct Outcome {
  int verdict = 0;
  Frame frame;
  std::vector<Count> counted;  // what the run added to the counters

  // The one reason that was counted; throws if there was not exactly one.
  [[nodiscard]] merino_reason reason() const;
};

class LoadedPrograms {
 public:
  // Throws std::runtime_error with the verifier's last lines.
  explicit LoadedPrograms(const merino_config& config);
  ~LoadedPrograms();
  LoadedPrograms(const LoadedPrograms&) = delete;
  LoadedPrograms& operator=(const LoadedPrograms&) = delete;

  // The maps as the tests' node has them: pods A and B, peers 2 and 3, each in both families (see topology.h).
  void fill();
  void add_pod(const std::string& address, const std::string& host_interface, const std::string& pod_mac, const std::string& host_mac,
               merino_delivery delivery = MERINO_DELIVER_PEER);
  void add_peer(const std::string& subnet, const std::string& underlay, const std::string& vtep_mac);
  // As fill(), with peers on the node's own segment.
  void fill_direct();
  void add_direct_peer(const std::string& subnet, const std::string& next_hop, const std::string& neighbour_mac);
  // As fill(), with IPv4 peers of the udp backend.
  void fill_udp();
  void add_node(const std::string& underlay);
  void remove_peer(const std::string& subnet);
  // Longest first.
  void set_prefix_lengths(const std::vector<int>& v4, const std::vector<int>& v6 = {});

  // Runs the packet through the program with BPF_PROG_TEST_RUN.
  Outcome run(Program program, const Frame& frame, const Metadata& metadata = {});
  // As run(), without asking for the counters: for many packets.
  Outcome run_uncounted(Program program, const Frame& frame, const Metadata& metadata = {});
  [[nodiscard]] std::vector<merino_counter> counters() const;
  // How much the counters have grown since `before`; reasons that did not grow are left out.
  [[nodiscard]] std::vector<Count> counted_since(const std::vector<merino_counter>& before) const;

  [[nodiscard]] int fd(Program program) const;
  // Instructions that the verifier walked through, and that were left of the program.
  struct Size {
    uint32_t verified;
    uint32_t instructions;
  };
  [[nodiscard]] Size size(Program program) const;
  [[nodiscard]] int peers_fd() const;
  [[nodiscard]] int pods_fd() const;
  // A program that counts and leaves the packet to the next, and its count.
  [[nodiscard]] int counting_program() const;
  [[nodiscard]] uint64_t seen() const;

 private:
  void put_peer(const std::string& subnet, const std::string& underlay, const std::string& mac, merino_peer_kind kind);
  int prepare(Program program, const Metadata& metadata);

  merino_bpf* programs_ = nullptr;
  stage_bpf* stage_ = nullptr;
};

}  // namespace merino::test
