// What exists once for each address family, or not.
#pragma once

#include <array>
#include <concepts>
#include <optional>
#include <string>

#include "base/address.h"

namespace merino {

inline constexpr std::array kFamilies{Family::v4, Family::v6};

// "IPv4", "IPv6"
constexpr const char* family_name(Family family) { return family == Family::v4 ? "IPv4" : "IPv6"; }

// Addresses and prefixes know their family.
template <class T>
concept OfAFamily = requires(const T& value) {
  { value.family() } -> std::same_as<Family>;
};

// A node's addresses, its subnets, ...: at least code that asks for both families is written once.
//   for (const Family family : kFamilies) {
//     if (subnets[family]) route(*subnets[family]);
//   }
template <class T>
struct PerFamily {
  std::optional<T> v4{};
  std::optional<T> v6{};

  PerFamily() = default;
  PerFamily(std::optional<T> of_v4, std::optional<T> of_v6) : v4(std::move(of_v4)), v6(std::move(of_v6)) {}
  // The one of its family, and none of the other.
  PerFamily(const T& one)  // NOLINT(google-explicit-constructor): an IPv4 address is all addresses of a node that has no other
      requires OfAFamily<T> {
    (*this)[one.family()] = one;
  }

  std::optional<T>& operator[](Family family) { return family == Family::v4 ? v4 : v6; }
  const std::optional<T>& operator[](Family family) const { return family == Family::v4 ? v4 : v6; }

  [[nodiscard]] bool empty() const { return !v4 && !v6; }
  // Where one has to stand for all: IPv4's if there is one. Not of an empty one.
  [[nodiscard]] const T& first() const { return v4 ? *v4 : v6.value(); }

  friend auto operator<=>(const PerFamily&, const PerFamily&) = default;
  friend bool operator==(const PerFamily&, const PerFamily&) = default;
};

// "10.244.1.0/24 and fd00:1::/64"; "none" if it is empty.
template <class T>
std::string to_string(const PerFamily<T>& both) {
  if (both.empty()) return "none";
  if (!both.v4 || !both.v6) return both.first().to_string();
  return both.v4->to_string() + " and " + both.v6->to_string();
}

}  // namespace merino
