// A made packet, as bytes: for questions to the programs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"

namespace merino::ctl {

enum class Protocol { tcp, udp, icmp };
// "tcp", "udp", "icmp"
const char* protocol_name(Protocol protocol);

struct PacketFlow {
  IpAddress source;
  IpAddress destination;
  Protocol protocol = Protocol::tcp;
  uint16_t source_port = 40000;
  uint16_t destination_port = 80;
};

using Bytes = std::vector<uint8_t>;

// A TCP SYN, a UDP datagram of 8 bytes, or an echo request. Both addresses are of one family.
Bytes make_ip_packet(const PacketFlow& flow);

// Behind an Ethernet header.
Bytes make_frame(const MacAddress& source, const MacAddress& destination, const Bytes& ip_packet, Family family);

// A tunnel's outer addresses, and its port.
struct Envelope {
  IpAddress source;
  IpAddress destination;
  uint16_t port = 0;
};

// The IP packet that carries `payload` in UDP; with a checksum over IPv6, where it must not be zero.
Bytes make_tunnel_packet(const Envelope& envelope, const Bytes& payload);

// What stands behind VXLAN's UDP header: its own, and the inner frame.
Bytes make_vxlan(uint32_t vni, const Bytes& inner_frame);

}  // namespace merino::ctl
