// A made packet, as bytes: for questions to the programs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/address.h"
#include "base/result.h"

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

struct VxlanEnvelope {
  IpAddress source;  // IPv4
  IpAddress destination;
  uint16_t port = 0;
  uint32_t vni = 0;
};

// The IP packet that carries `inner` through a VXLAN tunnel.
Bytes make_vxlan_packet(const VxlanEnvelope& envelope, const Bytes& inner);

// Where an outer header goes to: the destination of an IPv4 or IPv6 packet in a frame; nothing for other frames.
Result<IpAddress> destination_of(const Bytes& frame);

}  // namespace merino::ctl
