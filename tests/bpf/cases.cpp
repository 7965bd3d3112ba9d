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
  }
  return {};
}

}  // namespace

std::vector<Case> cases_of(Program program) {
  std::vector<Case> cases = tunnel_cases(program);
  for (const Case& direct : direct_cases(program)) cases.push_back(direct);
  return cases;
}

Frame ipv6_frame(const std::string& dst_mac, const std::string& src_mac) {
  return ethernet(dst_mac, src_mac, Tins::IPv6("fd00::2", "fd00::1") / Tins::UDP(kServerPort, kClientPort) / Tins::RawPDU("0123456789"));
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

Tins::IP with_ttl(const Tins::IP& ip, uint8_t ttl) {
  return with(ip, [ttl](Tins::IP& changed) { changed.ttl(ttl); });
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

}  // namespace merino::test
