// Addresses of both families in one type, prefixes and MAC addresses.
//
// The bytes are those of merino_addr in bpf/abi.h: IPv6 as it is, IPv4 as ::ffff:a.b.c.d, network byte order.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace merino {

enum class Family { v4, v6 };

// The number of bits that an address of the family has: 32 or 128.
constexpr int address_bits(Family family) { return family == Family::v4 ? 32 : 128; }

class IpAddress {
 public:
  IpAddress() = default;  // "::", for "none"

  // "10.0.0.1" or "fd00::1"; decode error for anything else (no leading zeros, no zone, no brackets,
  // no IPv4 address in IPv6 notation).
  static Result<IpAddress> parse(std::string_view text);
  // From a host-order 32-bit value: 0x0a000001 is 10.0.0.1.
  static IpAddress from_v4(uint32_t host_order);
  static IpAddress from_bytes(const std::array<uint8_t, 16>& mapped_bytes) { return IpAddress(mapped_bytes); }
  // `bytes` as the kernel gives them: 4 or 16 bytes, network order.
  static IpAddress from_network(Family family, const void* bytes);

  [[nodiscard]] Family family() const;
  [[nodiscard]] bool is_v4() const { return family() == Family::v4; }
  [[nodiscard]] bool is_none() const { return bytes_ == std::array<uint8_t, 16>{}; }
  // Host-order value of an IPv4 address; the low 32 bits for IPv6.
  [[nodiscard]] uint32_t v4() const;
  // The 16 mapped bytes.
  [[nodiscard]] const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  // As the kernel wants it: 4 bytes for IPv4, 16 for IPv6.
  [[nodiscard]] const uint8_t* network_bytes() const { return bytes_.data() + (is_v4() ? 12 : 0); }
  [[nodiscard]] size_t network_size() const { return is_v4() ? 4 : 16; }
  // This address plus n, within 128-bit arithmetic (IPv4 stays IPv4 as long as it does not overflow 32 bits).
  [[nodiscard]] IpAddress plus(uint64_t n) const;
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const IpAddress&) const = default;

 private:
  explicit IpAddress(const std::array<uint8_t, 16>& bytes) : bytes_(bytes) {}
  std::array<uint8_t, 16> bytes_{};
};

// An address with a prefix length, "10.244.1.0/24". Host bits may be set (10.244.1.5/24); masked() clears them.
class Prefix {
 public:
  Prefix() = default;
  // `length` in bits of the address' own family (0..32 or 0..128); out of range is clamped.
  Prefix(const IpAddress& address, int length) : address_(address), length_(std::clamp(length, 0, address_bits(address.family()))) {}
  static Result<Prefix> parse(std::string_view text);

  [[nodiscard]] const IpAddress& address() const { return address_; }
  [[nodiscard]] int length() const { return length_; }
  // The length in bits of the 128-bit mapped address: 120 for an IPv4 /24. This is what the BPF maps use.
  [[nodiscard]] int mapped_length() const { return length_ + 128 - address_bits(address_.family()); }
  [[nodiscard]] Family family() const { return address_.family(); }
  [[nodiscard]] Prefix masked() const;                          // host bits zero
  [[nodiscard]] bool contains(const IpAddress& address) const;  // false across families
  [[nodiscard]] bool contains(const Prefix& other) const;
  [[nodiscard]] bool overlaps(const Prefix& other) const { return contains(other) || other.contains(*this); }
  [[nodiscard]] IpAddress last() const;  // all host bits one
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const Prefix&) const = default;

 private:
  IpAddress address_;
  int length_ = 0;
};

class MacAddress {
 public:
  MacAddress() = default;
  explicit MacAddress(const std::array<uint8_t, 6>& bytes) : bytes_(bytes) {}
  // "46:65:8d:36:f7:4e", either case; decode error for anything else.
  static Result<MacAddress> parse(std::string_view text);
  // Random, locally administered, unicast (IEEE 802: bit 1 of the first byte set, bit 0 clear).
  static MacAddress random();

  [[nodiscard]] const std::array<uint8_t, 6>& bytes() const { return bytes_; }
  [[nodiscard]] bool is_none() const { return bytes_ == std::array<uint8_t, 6>{}; }
  [[nodiscard]] bool is_unicast() const { return !is_none() && (bytes_[0] & 1U) == 0; }
  [[nodiscard]] std::string to_string() const;

  auto operator<=>(const MacAddress&) const = default;

 private:
  std::array<uint8_t, 6> bytes_{};
};

}  // namespace merino
