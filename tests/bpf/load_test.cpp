// The verifier takes every program in every configuration.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/address.h"
#include "bpf/fixture.h"
#include "bpf/loaded_wire_xdp.h"
#include "datapath/convert.h"

namespace merino::test::load_test {

namespace {

class Load : public ::testing::Test {
 protected:
  Topology topology;
};

TEST_F(Load, OfEveryProgramInEveryConfiguration) {
  auto largest = topology.config();
  largest.vni = 0xffffff;
  largest.pod_mtu = 0xffff;
  largest.tunnel_port = 0xffff;
  auto smallest = topology.config();
  smallest.vni = 0;
  smallest.pod_mtu = 0;
  smallest.tunnel_port = 0;
  smallest.uplink_ifindex = 0;
  smallest.device_ifindex = 0;
  auto direct = topology.config();
  direct.direct = 1;
  auto host_gw = direct;
  host_gw.tunnel_port = 0;
  auto ipv4 = topology.config();
  ipv4.v6 = {};
  ipv4.v4.on_link_len = 96 + 24;
  auto ipv6 = topology.config();
  ipv6.v4 = {};
  const struct {
    const char* name;
    merino_config config;
  } configurations[] = {{"usual", topology.config()},   {"largest", largest}, {"smallest", smallest},
                        {"zero", merino_config{}},      {"direct", direct},   {"host-gw", host_gw},
                        {"udp", topology.udp_config()}, {"ipv4", ipv4},       {"ipv6", ipv6}};
  for (const auto& configuration : configurations) {
    for (const bool fast_path : {false, true}) {
      merino_config config = configuration.config;
      config.fast_path = fast_path ? 1 : 0;
      const LoadedPrograms programs(config);
      for (const Program program : kPrograms) {
        const auto size = programs.size(program);
        EXPECT_GT(size.instructions, 0U);
        fmt::print("{:8} fast_path {} {:11} {:6} instructions, {:7} verified\n", configuration.name, fast_path ? 1 : 0, name_of(program),
                   size.instructions, size.verified);
      }
      EXPECT_NO_THROW(LoadedWireXdp(programs, config)) << configuration.name;
    }
  }
}

// A program that nobody has filled in leaves everything to the stack or drops it; it never sends a packet anywhere.
TEST_F(Load, WithoutMapsSendsNothing) {
  LoadedPrograms empty(topology.config());
  for (const Program program : kPrograms) {
    for (const Frame& frame : {from_pod_a(udp(kPodA, kPodB)), tunnelled(udp(kPodAtPeer2, kPodA)), arp(kPodAMac, kPodA, kGateway)}) {
      for (const Metadata& metadata : {Metadata{}, Metadata{.tunnel = Metadata::TunnelKey{}}}) {
        const Outcome outcome = empty.run(program, frame, metadata);
        EXPECT_NE(verdict_name(outcome.verdict), "FAST") << name_of(program) << ": " << name_of(outcome.reason());
      }
    }
  }
}

}  // namespace

}  // namespace merino::test::load_test
