#include "bpf/packet_rules.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstdio>

namespace merino::test {
namespace {

constexpr size_t kEth = 14;
constexpr uint16_t kIpv4 = 0x0800;
constexpr uint16_t kIpv6 = 0x86dd;
constexpr uint16_t kArp = 0x0806;
constexpr uint16_t kTag = 0x8100;
constexpr uint16_t kServiceTag = 0x88a8;
constexpr int kTcp = 6;
constexpr int kUdp = 17;

uint32_t number(Bytes frame, size_t offset, size_t size) {
  uint32_t value = 0;
  for (size_t i = 0; i < size; i++) value = value << 8U | frame[offset + i];
  return value;
}

Ruling dropped(std::string why) { return {.why = std::move(why), .drop = true}; }
Ruling to_stack(std::string why) { return {.why = std::move(why)}; }
Ruling stack_or_drop(std::string why) { return {.why = std::move(why), .may_drop = true}; }

// An IPv4 packet, as far as the rules ask.
struct Packet {
  Address src, dst;
  int protocol = 0;
  int ttl = 0;
  size_t len = 0;  // by its header
  bool has_options = false;
  bool is_fragment = false;
  bool is_later_fragment = false;
  std::optional<uint16_t> dport;  // TCP and UDP, not in later fragments
};

// nullopt: no packet that is whole and consistent begins at `at`.
std::optional<Packet> parse(Bytes frame, size_t at) {
  if (frame.size() < at + 20 || frame[at] >> 4U != 4) return std::nullopt;
  Packet packet;
  const size_t header = (frame[at] & 15U) * 4U;
  packet.len = number(frame, at + 2, 2);
  if (header < 20 || packet.len < header || frame.size() - at < packet.len) return std::nullopt;
  packet.src = Address::v4_at(frame, at + 12);
  packet.dst = Address::v4_at(frame, at + 16);
  packet.protocol = frame[at + 9];
  packet.ttl = frame[at + 8];
  packet.has_options = header > 20;
  const uint32_t fragment = number(frame, at + 6, 2);
  packet.is_fragment = (fragment & 0x3fffU) != 0;
  packet.is_later_fragment = (fragment & 0x1fffU) != 0;
  const bool has_ports = packet.protocol == kTcp || packet.protocol == kUdp;
  if (has_ports && !packet.is_fragment && packet.len - header < 4) return std::nullopt;
  if (has_ports && !packet.is_later_fragment) {
    if (frame.size() < at + header + 4) return std::nullopt;
    packet.dport = static_cast<uint16_t>(number(frame, at + header + 2, 2));
  }
  return packet;
}

// Nothing about it needs the stack: a TCP or UDP packet in one piece, without options, with hops left.
bool is_plain(const Packet& packet) { return packet.dport && !packet.has_options && !packet.is_fragment && packet.ttl > 1; }

uint16_t ethertype(const Seen& seen) { return static_cast<uint16_t>(number(seen.frame, 12, 2)); }

// One tag is beside the frame; a second one stands in it, and what is behind that cannot be judged.
bool has_two_tags(const Seen& seen) { return seen.vlan && (ethertype(seen) == kTag || ethertype(seen) == kServiceTag); }

// As the kernel sees it: is the frame addressed to the interface that it came in by?
bool is_for(const Mac& interface, const Seen& seen) { return Mac::at(seen.frame, 0) == interface; }

// Who owns `address`, if that is the one behind the interface and `mac` is its own.
const World::Pod* honest_sender(const World& world, const Seen& seen, const Address& address, const Mac& mac) {
  const World::Pod* pod = world.pod(address);
  return pod != nullptr && pod->interface == seen.interface && pod->mac == mac ? pod : nullptr;
}

// Whom a plain packet may be delivered to past the stack.
const World::Pod* receiver(const World& world, const Address& address) {
  const World::Pod* pod = world.pod(address);
  return pod == nullptr || pod->by_stack ? nullptr : pod;
}

Ruling rule_arp(const World& world, const Seen& seen) {
  const Bytes frame = seen.frame;
  if (frame.size() < kEth + 28) return dropped("a cut ARP packet");
  const uint32_t hardware = number(frame, kEth, 2);
  const bool is_ethernet_ipv4 =
      (hardware == 1 || hardware == 6) && number(frame, kEth + 2, 2) == kIpv4 && frame[kEth + 4] == 6 && frame[kEth + 5] == 4;
  if (!is_ethernet_ipv4) return to_stack("not ARP for IPv4 over Ethernet");
  if (number(frame, kEth + 14, 4) == 0) return to_stack("an ARP probe");
  const World::Pod* pod = honest_sender(world, seen, Address::v4_at(frame, kEth + 14), Mac::at(frame, 6));
  if (pod == nullptr || Mac::at(frame, kEth + 8) != pod->mac) return dropped("ARP with another's address");
  Ruling ruling = to_stack("ARP");
  ruling.answer = !seen.vlan && number(frame, kEth + 6, 2) == 1 && Address::v4_at(frame, kEth + 24) == pod->gateway;
  return ruling;
}

// The frame inside of a tunnel packet that `sender` sent.
Ruling rule_inner(const World& world, const Seen& seen, size_t at, const Address& sender) {
  const Bytes frame = seen.frame;
  if (frame.size() < at + kEth) return dropped("no inner frame");
  const bool is_peer = world.is_node(sender);
  const uint32_t type = number(frame, at + 12, 2);
  if (type == kIpv6) return stack_or_drop("IPv6 in the tunnel");
  if (type != kIpv4) {
    if (!is_peer) return dropped("not IP, from a stranger");
    return has_two_tags(seen) ? dropped("behind two tags") : to_stack("not IP, from a peer");
  }
  const auto packet = parse(frame, at + kEth);
  if (!packet) return dropped("the inner packet is malformed");
  const World::Peer* owner = world.peer(packet->src);
  const bool is_owners = owner != nullptr && owner->underlay == sender;
  const bool is_its_own = is_peer && packet->src == sender;
  if (!is_owners && !is_its_own) return dropped("the inner source is not the sender's");
  Ruling ruling = to_stack("from a peer");
  ruling.packet = at + kEth;
  if (!seen.vlan && Mac::at(frame, at) == world.vtep_mac && is_plain(*packet)) ruling.deliver = receiver(world, packet->dst);
  return ruling;
}

// To the pod network without a tunnel, where there are peers on the segment.
Ruling rule_direct(const World& world, const Seen& seen) {
  const Bytes frame = seen.frame;
  if (!is_for(world.uplink_mac, seen)) return to_stack("for another host");
  if (seen.vlan && (*seen.vlan & 0x0fffU) != 0) return to_stack("of a VLAN");
  if (has_two_tags(seen)) {
    if (frame.size() >= kEth + 2 && (number(frame, kEth, 2) & 0x0fffU) != 0) return to_stack("of an inner VLAN");
    return dropped("behind two tags");
  }
  if (ethertype(seen) == kIpv6) return stack_or_drop("IPv6");
  if (ethertype(seen) != kIpv4 || frame.size() < kEth + 20) return to_stack("not IP");
  if (!Address::v4_at(frame, kEth + 16).within(world.network, world.network_bits)) return to_stack("not for the pod network");
  const auto packet = parse(frame, kEth);
  if (!packet) return dropped("malformed");
  const World::Peer* peer = world.peer(packet->src);
  if (peer == nullptr || !peer->direct) return to_stack("from no peer of the segment");
  if (!peer->mac_known) return to_stack("the neighbour is not known");
  if (Mac::at(frame, 6) != peer->mac) return dropped("a peer's source, from another's MAC");
  Ruling ruling = to_stack("from a peer of the segment");
  ruling.packet = kEth;
  if (!seen.vlan && is_plain(*packet) && frame.size() - kEth <= world.pod_mtu) ruling.deliver = receiver(world, packet->dst);
  return ruling;
}

bool is_tunnel_packet(const World& world, const Seen& seen) {
  const Bytes frame = seen.frame;
  return world.tunnel_port != 0 && !seen.vlan && ethertype(seen) == kIpv4 && is_for(world.uplink_mac, seen) && frame.size() >= kEth + 28 &&
         frame[kEth] == 0x45 && frame[kEth + 9] == kUdp && Address::v4_at(frame, kEth + 16) == world.underlay &&
         (number(frame, kEth + 6, 2) & 0x3fffU) == 0 && number(frame, kEth + 22, 2) == world.tunnel_port;
}

}  // namespace

Mac Mac::of(const std::string& text) {
  Mac mac;
  unsigned values[6] = {};
  std::sscanf(text.c_str(), "%x:%x:%x:%x:%x:%x", &values[0], &values[1], &values[2], &values[3], &values[4], &values[5]);
  std::copy(std::begin(values), std::end(values), mac.bytes.begin());
  return mac;
}

Mac Mac::at(Bytes frame, size_t offset) {
  Mac mac;
  std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(offset), 6, mac.bytes.begin());
  return mac;
}

Address Address::of(const std::string& text) {
  Address address;
  if (::inet_pton(AF_INET6, text.c_str(), address.bytes.data()) == 1) return address;
  address.bytes[10] = address.bytes[11] = 0xff;
  ::inet_pton(AF_INET, text.c_str(), address.bytes.data() + 12);
  return address;
}

Address Address::v4_at(Bytes frame, size_t offset) {
  Address address;
  address.bytes[10] = address.bytes[11] = 0xff;
  std::copy_n(frame.begin() + static_cast<std::ptrdiff_t>(offset), 4, address.bytes.begin() + 12);
  return address;
}

bool Address::within(const Address& network, int bits) const {
  for (int bit = 0; bit < bits; bit++) {
    const unsigned shift = 7U - static_cast<unsigned>(bit) % 8U;
    const size_t byte = static_cast<size_t>(bit) / 8;
    if (((bytes[byte] ^ network.bytes[byte]) >> shift & 1U) != 0) return false;
  }
  return true;
}

const World::Pod* World::pod(const Address& address) const {
  const auto found = std::find_if(pods.begin(), pods.end(), [&](const Pod& pod) { return pod.address == address; });
  return found == pods.end() ? nullptr : &*found;
}

const World::Peer* World::peer(const Address& address) const {
  const Peer* best = nullptr;
  for (const Peer& each : peers) {
    if (address.within(each.subnet, each.bits) && (best == nullptr || each.bits > best->bits)) best = &each;
  }
  return best;
}

bool World::is_node(const Address& address) const {
  return std::any_of(peers.begin(), peers.end(), [&](const Peer& each) { return each.underlay == address; });
}

Ruling rule_from_pod(const World& world, const Seen& seen) {
  if (has_two_tags(seen)) return dropped("behind two tags");
  if (ethertype(seen) == kArp) return rule_arp(world, seen);
  if (ethertype(seen) == kIpv6) return stack_or_drop("IPv6");
  if (ethertype(seen) != kIpv4) return to_stack("not IP");
  const auto packet = parse(seen.frame, kEth);
  if (!packet) return dropped("malformed");
  const World::Pod* pod = honest_sender(world, seen, packet->src, Mac::at(seen.frame, 6));
  if (pod == nullptr) return dropped("spoofed");
  const bool to_a_node = packet->dst == world.underlay || world.is_node(packet->dst);
  if (world.tunnel_port != 0 && packet->protocol == kUdp && packet->dport == world.tunnel_port && to_a_node)
    return dropped("to the tunnel port of a node");
  Ruling ruling = to_stack("a pod's own");
  ruling.packet = kEth;
  if (seen.vlan || !is_for(pod->host_mac, seen) || !is_plain(*packet) || pod->by_stack) return ruling;
  ruling.deliver = receiver(world, packet->dst);
  if (ruling.deliver != nullptr || seen.frame.size() - kEth > world.pod_mtu) return ruling;
  ruling.send = world.peer(packet->dst);
  if (ruling.send != nullptr && ruling.send->direct && !ruling.send->mac_known) ruling.send = nullptr;
  return ruling;
}

Ruling rule_from_wire(const World& world, const Seen& seen) {
  if (ethertype(seen) == kIpv6) return stack_or_drop("IPv6");
  if (!is_tunnel_packet(world, seen)) return world.direct ? rule_direct(world, seen) : to_stack("not a tunnel packet");
  const Bytes frame = seen.frame;
  if (frame.size() < kEth + 50) return dropped("a cut tunnel packet");
  const uint32_t len = number(frame, kEth + 2, 2);
  if (len < 50 || len > frame.size() - kEth) return dropped("the outer length is wrong");
  const bool is_whole = len == frame.size() - kEth && number(frame, kEth + 24, 2) == len - 20;
  if (!is_whole) return world.direct ? rule_direct(world, seen) : to_stack("something lies behind the packet");
  if (number(frame, kEth + 28, 4) != 0x08000000 || number(frame, kEth + 32, 4) != world.vni << 8U) return dropped("another VNI");
  Ruling ruling = rule_inner(world, seen, kEth + 36, Address::v4_at(frame, kEth + 12));
  if ((frame[kEth + 1] & 3U) == 3) ruling.deliver = nullptr;  // congestion was marked on the way
  return ruling;
}

Ruling rule_from_tunnel(const World& world, const Seen& seen) {
  if (!seen.tunnel) return dropped("without a sender");
  if (world.tunnel_port == 0 || seen.tunnel->vni != world.vni) return dropped("another VNI");
  if (seen.tunnel->local != world.underlay) return dropped("another endpoint");
  return rule_inner(world, seen, 0, seen.tunnel->remote);
}

Ruling rule_from_host(const World& world, const Seen& seen) {
  if (!seen.vlan && ethertype(seen) == kIpv6) return stack_or_drop("IPv6");
  if (seen.vlan || ethertype(seen) != kIpv4) return to_stack("not IP");
  const auto packet = parse(seen.frame, kEth);
  if (!packet) return dropped("malformed");
  Ruling ruling = to_stack("the host's");
  ruling.packet = kEth;
  ruling.send = world.peer(packet->dst);
  return ruling.send == nullptr ? dropped("no node has that subnet") : ruling;
}

}  // namespace merino::test
