// Between the house's address types and those of abi.h.
#pragma once

#include <cstring>

#include "abi.h"
#include "base/address.h"

namespace merino {

inline merino_addr to_abi(const IpAddress& address) {
  merino_addr out{};
  std::memcpy(out.bytes, address.bytes().data(), sizeof(out.bytes));
  return out;
}

inline IpAddress from_abi(const merino_addr& addr) {
  std::array<uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), addr.bytes, bytes.size());
  return IpAddress::from_bytes(bytes);
}

inline void to_abi(const MacAddress& mac, uint8_t (&out)[MERINO_ETH_ALEN]) { std::memcpy(out, mac.bytes().data(), MERINO_ETH_ALEN); }

inline MacAddress from_abi(const uint8_t (&mac)[MERINO_ETH_ALEN]) {
  std::array<uint8_t, 6> bytes{};
  std::memcpy(bytes.data(), mac, bytes.size());
  return MacAddress(bytes);
}

inline merino_peer_key to_abi(const Prefix& prefix) {
  merino_peer_key key{};
  key.subnet = to_abi(prefix.masked().address());
  key.prefix_len = static_cast<uint32_t>(prefix.mapped_length());
  return key;
}

inline Prefix from_abi(const merino_peer_key& key) {
  const IpAddress address = from_abi(key.subnet);
  return {address, static_cast<int>(key.prefix_len) - (128 - address_bits(address.family()))};
}

}  // namespace merino
