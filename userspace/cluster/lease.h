// A lease: which node has which subnet, and how to reach it. The JSON value is that of flannel's etcd leases, byte for byte:
//   {"PublicIP":"192.168.88.12","PublicIPv6":null,"BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"f2:91:b4:a4:d8:06"}}
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/address.h"
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
  IpAddress public_ip;
  std::optional<IpAddress> public_ip_v6;
  std::string backend_type;         // "vxlan"; empty for udp and alloc
  std::optional<VxlanLease> vxlan;  // BackendData when backend_type is vxlan
  bool operator==(const LeaseAttributes&) const = default;
};

struct Lease {
  Prefix subnet;  // masked
  LeaseAttributes attributes;
  std::chrono::system_clock::time_point expires;  // kNeverExpires for a reservation
  bool operator==(const Lease&) const = default;
};

// flannel's BackendData of vxlan: {"VNI":1,"VtepMAC":"f2:91:b4:a4:d8:06"}
std::string format_vxlan_lease(const VxlanLease& vxlan);
// A key that is missing or of a wrong type, and a MAC that is none of one interface, are decode or invalid errors that name the key.
Result<VxlanLease> parse_vxlan_lease(const JsonObject& data);

// An address at which one node can be reached: not this host's own loopback, not many nodes, not none.
bool is_node_address(const IpAddress& address);

std::string format_lease_attributes(const LeaseAttributes& attributes);

// Hostile input: wrong types, missing keys, a multicast or zero MAC, a non-unicast public IP are decode or invalid errors that name the
// key. A lease of another backend type parses (vxlan stays empty).
Result<LeaseAttributes> parse_lease_attributes(const std::string& json);

// "10.244.98.0-24" <-> 10.244.98.0/24, flannel's key. Host bits must be zero.
std::string format_subnet_key(const Prefix& subnet);
Result<Prefix> parse_subnet_key(const std::string& key);

}  // namespace merino
