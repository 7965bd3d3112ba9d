// The rules of the programs once more, written from docs/design.md and the RFCs and not from the programs: what may become of a packet.
// IPv4 and VXLAN. Made to be read, not to be fast; tests/bpf/packets_test.cpp holds the programs against it.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace merino::test {

using Bytes = std::span<const uint8_t>;

struct Mac {
  std::array<uint8_t, 6> bytes{};
  static Mac of(const std::string& text);
  static Mac at(Bytes frame, size_t offset);
  bool operator==(const Mac&) const = default;
};

// IPv4 as ::ffff:a.b.c.d.
struct Address {
  std::array<uint8_t, 16> bytes{};
  static Address of(const std::string& text);
  static Address v4_at(Bytes frame, size_t offset);
  [[nodiscard]] bool within(const Address& network, int bits) const;
  bool operator==(const Address&) const = default;
};

// What the node knows, as the maps and the configuration say it.
struct World {
  struct Pod {
    Address address;
    Mac mac, host_mac;
    std::string interface;
    Address gateway;
    bool by_stack = false;
  };
  struct Peer {
    Address subnet;
    int bits = 0;
    Address underlay;
    Mac mac;  // of its VTEP; direct: of the neighbour
    bool direct = false;
    bool mac_known = true;
  };
  std::vector<Pod> pods;
  std::vector<Peer> peers;
  Address underlay;
  Address network;
  int network_bits = 0;
  Mac vtep_mac, uplink_mac;
  uint32_t vni = 0;
  uint16_t tunnel_port = 0;
  uint32_t pod_mtu = 0;
  bool direct = false;

  [[nodiscard]] const Pod* pod(const Address& address) const;
  [[nodiscard]] const Peer* peer(const Address& address) const;  // whose subnet it is in
  [[nodiscard]] bool is_node(const Address& address) const;      // a peer's underlay address
};

// A packet as a program gets it: the frame, and what the device or the VXLAN driver put beside it.
struct Seen {
  Bytes frame;
  std::string interface;
  std::optional<uint16_t> vlan;
  struct Tunnel {
    uint32_t vni;
    Address remote, local;
  };
  std::optional<Tunnel> tunnel;
};

// What the rules say. `drop`: it must be dropped, and nothing else may be. Otherwise it may always go to the stack; past the stack only to
// where `deliver`, `send` or `answer` says. `may_drop`: IPv6, whose rules are not here: nobody's address in this world, it gets nowhere.
struct Ruling {
  std::string why;
  bool drop = false;
  bool may_drop = false;
  const World::Pod* deliver = nullptr;  // into this pod
  const World::Peer* send = nullptr;    // to this peer
  bool answer = false;                  // an ARP answer to the pod that asked
  size_t packet = 0;                    // where the pod's IP packet begins in the frame
};

Ruling rule_from_pod(const World& world, const Seen& seen);
Ruling rule_from_wire(const World& world, const Seen& seen);
Ruling rule_from_tunnel(const World& world, const Seen& seen);
Ruling rule_from_host(const World& world, const Seen& seen);

}  // namespace merino::test
