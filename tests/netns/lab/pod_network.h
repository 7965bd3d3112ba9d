// The pod network of a test: which backend carries which address families.
#pragma once

#include <ostream>
#include <string>
#include <vector>

#include "base/address.h"

namespace merino::lab {

enum class Backend { vxlan, direct_routing, host_gw, udp };
enum class Families { ipv4, ipv6, dual };

struct PodNetwork {
  Backend backend = Backend::vxlan;
  Families families = Families::ipv4;
};

// What a machine or a pod has of each family; empty: nothing.
struct PerFamilyText {
  std::string v4{};
  std::string v6{};
  [[nodiscard]] const std::string& of(Family family) const { return family == Family::v4 ? v4 : v6; }
  [[nodiscard]] std::string& of(Family family) { return family == Family::v4 ? v4 : v6; }
};

// IPv4 first.
std::vector<Family> each(Families families);
bool has(Families families, Family family);

// Of all tests: 10.244.0.0/16 and fd10:244::/48.
std::string pod_prefix(Family family);
// 10.244.<number>.0/24 and fd10:244:0:<number>::/64.
Prefix node_subnet(Family family, int number);

// net-conf.json. `keys`: more keys of its Backend object, R"("FastPath": false)"; `top`: more keys beside it.
std::string net_conf(const PodNetwork& network, const std::string& keys = "", const std::string& top = "");

// "DirectRoutingDual": names of tests.
std::string to_string(const PodNetwork& network);
std::string to_string(Backend backend);
const char* to_string(Family family);
// GoogleTest prints parameters by these.
inline void PrintTo(const PodNetwork& network, std::ostream* out) { *out << to_string(network); }
inline void PrintTo(Backend backend, std::ostream* out) { *out << to_string(backend); }

}  // namespace merino::lab
