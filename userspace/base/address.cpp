#include "base/address.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/random.h>

#include <charconv>
#include <cstring>

namespace merino {
namespace {

constexpr std::array<uint8_t, 12> kMappedHead = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool is_mapped(const std::array<uint8_t, 16>& bytes) { return std::memcmp(bytes.data(), kMappedHead.data(), kMappedHead.size()) == 0; }

// A decimal number of at most three digits without sign, leading zeros or anything behind it.
bool parse_length(std::string_view text, int& length) {
  if (text.empty() || text.size() > 3 || (text.size() > 1 && text[0] == '0') || text[0] == '-') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), length);
  return error == std::errc() && end == text.data() + text.size();
}

bool parse_hex_byte(std::string_view two_digits, uint8_t& byte) {
  const auto [end, error] = std::from_chars(two_digits.data(), two_digits.data() + 2, byte, 16);
  return error == std::errc() && end == two_digits.data() + 2;
}

// The bits of byte `index` that lie behind the first `length` bits of the address.
uint8_t host_bits(int length, size_t index) {
  const int before = static_cast<int>(index) * 8;
  if (length >= before + 8) return 0;
  return static_cast<uint8_t>(length <= before ? 0xff : 0xff >> (length - before));
}

}  // namespace

Result<IpAddress> IpAddress::parse(std::string_view text) {
  const std::string terminated(text);
  std::array<uint8_t, 16> bytes{};
  if (terminated.size() == std::strlen(terminated.c_str())) {
    in_addr v4{};
    if (::inet_pton(AF_INET, terminated.c_str(), &v4) == 1) return from_network(Family::v4, &v4);
    // ::ffff:10.0.0.1 would become an IPv4 address here, whatever the family that the text's place asks for.
    if (::inet_pton(AF_INET6, terminated.c_str(), bytes.data()) == 1 && !is_mapped(bytes)) return IpAddress(bytes);
  }
  return fail(ErrorKind::decode, "\"{}\" is not an IP address", text);
}

IpAddress IpAddress::from_v4(uint32_t host_order) {
  const uint32_t network_order = htonl(host_order);
  return from_network(Family::v4, &network_order);
}

IpAddress IpAddress::from_network(Family family, const void* bytes) {
  IpAddress address;
  if (family == Family::v6) {
    std::memcpy(address.bytes_.data(), bytes, 16);
  } else {
    std::memcpy(address.bytes_.data(), kMappedHead.data(), kMappedHead.size());
    std::memcpy(address.bytes_.data() + kMappedHead.size(), bytes, 4);
  }
  return address;
}

Family IpAddress::family() const { return is_mapped(bytes_) ? Family::v4 : Family::v6; }

uint32_t IpAddress::v4() const {
  uint32_t network_order = 0;
  std::memcpy(&network_order, bytes_.data() + 12, 4);
  return ntohl(network_order);
}

IpAddress IpAddress::plus(uint64_t n) const {
  IpAddress sum = *this;
  for (size_t i = sum.bytes_.size(); i-- > 0 && n != 0;) {
    const uint64_t byte = sum.bytes_[i] + (n & 0xff);
    sum.bytes_[i] = static_cast<uint8_t>(byte);
    n = (n >> 8) + (byte >> 8);
  }
  return sum;
}

std::string IpAddress::to_string() const {
  std::array<char, INET6_ADDRSTRLEN> text{};
  ::inet_ntop(is_v4() ? AF_INET : AF_INET6, network_bytes(), text.data(), text.size());
  return text.data();
}

Result<Prefix> Prefix::parse(std::string_view text) {
  const size_t slash = text.find('/');
  int length = 0;
  if (slash != std::string_view::npos && parse_length(text.substr(slash + 1), length)) {
    const auto address = IpAddress::parse(text.substr(0, slash));
    if (address && length <= address_bits(address->family())) return Prefix(*address, length);
  }
  return fail(ErrorKind::decode, "\"{}\" is not an address with a prefix length, such as 10.244.0.0/16", text);
}

Prefix Prefix::masked() const {
  auto bytes = address_.bytes();
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(bytes[i] & ~host_bits(mapped_length(), i));
  return {IpAddress::from_bytes(bytes), length_};
}

bool Prefix::contains(const IpAddress& address) const {
  if (address.family() != family()) return false;
  const auto& mine = address_.bytes();
  const auto& its = address.bytes();
  const auto whole = static_cast<size_t>(mapped_length() / 8);
  if (!std::equal(mine.begin(), mine.begin() + whole, its.begin())) return false;
  return whole == mine.size() || ((mine[whole] ^ its[whole]) & ~host_bits(mapped_length(), whole)) == 0;
}

bool Prefix::contains(const Prefix& other) const { return other.length_ >= length_ && contains(other.address_); }

IpAddress Prefix::last() const {
  auto bytes = address_.bytes();
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(bytes[i] | host_bits(mapped_length(), i));
  return IpAddress::from_bytes(bytes);
}

std::string Prefix::to_string() const { return fmt::format("{}/{}", address_.to_string(), length_); }

Result<MacAddress> MacAddress::parse(std::string_view text) {
  std::array<uint8_t, 6> bytes{};
  bool good = text.size() == 17;
  for (size_t i = 0; good && i < bytes.size(); ++i) {
    good = parse_hex_byte(text.substr(i * 3, 2), bytes[i]) && (i == 5 || text[i * 3 + 2] == ':');
  }
  if (!good) return fail(ErrorKind::decode, "\"{}\" is not a MAC address", text);
  return MacAddress(bytes);
}

MacAddress MacAddress::random() {
  std::array<uint8_t, 6> bytes{};
  // Only a signal before the kernel's pool is ready can shorten a read of six bytes.
  while (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
  }
  bytes[0] = static_cast<uint8_t>((bytes[0] | 2U) & ~1U);
  return MacAddress(bytes);
}

std::string MacAddress::to_string() const {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes_[0], bytes_[1], bytes_[2], bytes_[3], bytes_[4], bytes_[5]);
}

}  // namespace merino
