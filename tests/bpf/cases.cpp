#include "bpf/cases.h"

namespace merino::test {

namespace {

std::vector<Case> tunnel_cases(Program program) {
  switch (program) {
    case Program::from_pod:
      return from_pod_cases();
    case Program::from_wire:
      return from_wire_cases();
    case Program::from_tunnel:
      return from_tunnel_cases();
    case Program::from_host:
      return from_host_cases();
    case Program::wire_xdp:  // from_wire's: wire_xdp_test.cpp
      break;
  }
  return {};
}

}  // namespace

std::vector<Case> cases_of(Program program) {
  std::vector<Case> cases = tunnel_cases(program);
  for (const auto& more : {direct_cases(program), v6_cases(program), udp_cases(program)})
    cases.insert(cases.end(), more.begin(), more.end());
  return cases;
}

Tins::IP translated_udp(const std::string& src, const std::string& dst) { return udp_ports(src, dst, kTranslatedPort, kServerPort); }

Tins::IP first_fragment(const std::string& src, const std::string& dst) {
  return with(udp(src, dst), [](Tins::IP& ip) { ip.flags(Tins::IP::MORE_FRAGMENTS); });
}

Tins::IP middle_fragment(const std::string& src, const std::string& dst) {
  return with(udp(src, dst), [](Tins::IP& ip) {
    ip.flags(Tins::IP::MORE_FRAGMENTS);
    ip.fragment_offset(5);
  });
}

Tins::IP last_fragment(const std::string& src, const std::string& dst) {
  return with(udp(src, dst), [](Tins::IP& ip) {
    ip.flags(Tins::IP::FLAG_RESERVED);
    ip.flags(static_cast<Tins::IP::Flags>(0));
    ip.fragment_offset(10);
  });
}

Tins::IP with_options(const Tins::IP& ip) {
  return with(ip, [](Tins::IP& changed) { changed.stream_identifier(1); });
}

std::vector<Lie> ip_lies(const Frame& frame, size_t offset) {
  const auto len = static_cast<uint16_t>(frame.size() - offset);
  return {
      {"a length beyond the frame's end", with_number(frame, offset + 2, static_cast<uint16_t>(len + 1))},
      {"a length far beyond the frame's end", with_number(frame, offset + 2, 0xffff)},
      {"a length shorter than the header", with_number(frame, offset + 2, 19)},
      {"length zero", with_number(frame, offset + 2, 0)},
      {"a header length below the minimum", patched(frame, offset, {0x44})},
      {"header length zero", patched(frame, offset, {0x40})},
      {"a header longer than the packet", with_number(patched(frame, offset, {0x4f}), offset + 2, 48)},
      {"IP version 6", patched(frame, offset, {0x65})},
      {"IP version 0", patched(frame, offset, {0x05})},
      {"a UDP header cut before its ports end", with_number(frame, offset + 2, 23)},
  };
}

std::vector<Lie> ip6_lies(const Frame& frame, size_t offset) {
  const auto payload = static_cast<uint16_t>(frame.size() - offset - kIp6Len);
  return {
      {"an IPv6 length beyond the frame's end", with_number(frame, offset + 4, payload + 1)},
      {"an IPv6 length far beyond the frame's end", with_number(frame, offset + 4, 0xffff)},
      {"IPv6 without a payload", with_number(frame, offset + 4, 0)},
      {"IPv6, the transport header cut before its ports end", with_number(frame, offset + 4, 3)},
      {"IPv6 with IP version 4", patched(frame, offset, {0x45})},
      {"IPv6 with IP version 0", patched(frame, offset, {0x00})},
  };
}

}  // namespace merino::test
