// The table: for every reason a packet that meets it, and packets beside it that just do not.
#pragma once

#include <vector>

#include "bpf/loaded_programs.h"

namespace merino::test {

inline constexpr merino_reason kNothing = MERINO_REASON_COUNT;

enum class Setting {
  plain,
  fast_path_off,
  by_stack,    // all that pod A sends and gets goes through the stack
  udp,         // flannel's udp backend (LoadedPrograms::fill_udp)
  direct,      // there are peers on the node's own segment (LoadedPrograms::fill_direct)
  translated,  // conntrack knows the flow kTranslatedPort → kServerPort between the packet's addresses, and translates it
};
inline constexpr uint16_t kTranslatedPort = 41000;

struct Case {
  const char* name;
  merino_reason reason;  // what is counted
  merino_reason beside;  // the reason that would be counted if one thing were different; kNothing for further examples of `reason`
  Frame frame;
  Metadata metadata = {};
  Setting setting = Setting::plain;
};

std::vector<Case> from_pod_cases();
std::vector<Case> from_wire_cases();
std::vector<Case> from_tunnel_cases();
std::vector<Case> from_host_cases();
// Those of all programs with peers on the node's own segment.
std::vector<Case> direct_cases(Program program);
// Those of all programs with IPv6; with the udp backend.
std::vector<Case> v6_cases(Program program);
std::vector<Case> ndp_cases();
std::vector<Case> udp_cases(Program program);
std::vector<Case> cases_of(Program program);

// Frames that several tables have.
Tins::IP translated_udp(const std::string& src, const std::string& dst);
// The first, a middle and the last fragment of a UDP packet.
Tins::IP first_fragment(const std::string& src, const std::string& dst);
Tins::IP middle_fragment(const std::string& src, const std::string& dst);
Tins::IP last_fragment(const std::string& src, const std::string& dst);
Tins::IP with_options(const Tins::IP& ip);

// Headers that lie: what is wrong, and the frame. The IPv4 header of `frame` starts at `offset`.
struct Lie {
  const char* name;
  Frame frame;
};
std::vector<Lie> ip_lies(const Frame& frame, size_t offset);
std::vector<Lie> ip6_lies(const Frame& frame, size_t offset);

}  // namespace merino::test
