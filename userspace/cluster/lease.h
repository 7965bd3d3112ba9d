// A lease: which node has which subnet, and how to reach it. The JSON value is that of flannel's etcd leases, byte for byte:
//   {"PublicIP":"192.168.88.12","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"f2:91:b4:a4:d8:06"}}
// With both families PublicIPv6 is an address and BackendV6Data stands at the end; a node without IPv4 has the PublicIP "0.0.0.0", which
// flannel's etcd store cannot have.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/address.h"
#include "base/per_family.h"
#include "base/result.h"

namespace merino {

class JsonObject;

// flannel's TTL of a lease.
inline constexpr std::chrono::seconds kLeaseTtl{86400};

// A reservation: a subnet that its node keeps for ever.
inline constexpr std::chrono::system_clock::time_point kNeverExpires = std::chrono::system_clock::time_point::max();

inline constexpr uint32_t kLargestVni = (1U << 24U) - 1;

struct VxlanLease {
  uint32_t vni = 1;
  MacAddress vtep_mac;
  bool operator==(const VxlanLease&) const = default;
};

// What a node says of itself.
struct LeaseAttributes {
  PerFamily<IpAddress> public_ip;  // at least one
  std::string backend_type;        // "vxlan"; empty for udp and alloc
  PerFamily<VxlanLease> vxlan;     // BackendData and BackendV6Data when backend_type is vxlan
  bool operator==(const LeaseAttributes&) const = default;
};

// A node's subnets, masked: one, or one of each family.
using Subnets = PerFamily<Prefix>;

struct Lease {
  Subnets subnet;
  LeaseAttributes attributes;
  std::chrono::system_clock::time_point expires;  // kNeverExpires for a reservation
  std::string node_name = {};                     // for people: printable, and empty where the store knows no names
  bool operator==(const Lease&) const = default;
};

// flannel's BackendData of vxlan: {"VNI":1,"VtepMAC":"f2:91:b4:a4:d8:06"}
std::string format_vxlan_lease(const VxlanLease& vxlan);
// A key that is missing or of a wrong type, and a MAC that is none of one interface, are decode or invalid errors that name the key.
Result<VxlanLease> parse_vxlan_lease(const JsonObject& data);

// An address at which one node can be reached: not this host's own loopback, not many nodes, not none, not one of a single link only.
bool is_node_address(const IpAddress& address);

// Do both say the same node? By the IPv4 address if both have one, else by the IPv6 address.
bool is_same_node(const PerFamily<IpAddress>& a, const PerFamily<IpAddress>& b);

// Do subnets of one family overlap?
bool overlap(const Subnets& a, const Subnets& b);

std::string format_lease_attributes(const LeaseAttributes& attributes);

// Hostile input: wrong types, missing keys, a multicast or zero MAC, a non-unicast public IP are decode or invalid errors that name the
// key. A lease of another backend type parses (vxlan stays empty), and so does one whose BackendV6Data is missing.
Result<LeaseAttributes> parse_lease_attributes(const std::string& json);

// flannel's key: "10.244.98.0-24", and with both families "10.244.98.0-24&fd10:244:0:5::-64"; of IPv6 alone, which flannel does not
// have, "fd10:244:0:5::-64". Host bits must be zero.
std::string format_subnet_key(const Subnets& subnets);
Result<Subnets> parse_subnet_key(const std::string& key);

}  // namespace merino
