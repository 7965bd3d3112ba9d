// Every reason in abi.h: packets that meet it, and packets beside them that do not.
#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <set>

#include "bpf/cases.h"
#include "bpf/conntrack.h"
#include "bpf/fixture.h"

namespace merino::test::reasons_test {

namespace {

class Reasons : public BpfTest {
 protected:
  void check_all(Program program) {
    auto config = topology.config();
    config.fast_path = 0;
    LoadedPrograms switched_off(config);
    switched_off.fill();
    LoadedPrograms by_stack(topology.config());
    by_stack.fill();
    by_stack.add_pod(kPodA, "vetha", kPodAMac, kHostAMac, MERINO_DELIVER_STACK);
    by_stack.add_pod(kPodA6, "vetha", kPodAMac, kHostAMac, MERINO_DELIVER_STACK);
    config = topology.config();
    config.direct = 1;
    LoadedPrograms direct(config);
    direct.fill_direct();
    LoadedPrograms udp(topology.udp_config());
    udp.fill_udp();
    translate();
    for (const Case& c : cases_of(program)) {
      SCOPED_TRACE(c.name);
      LoadedPrograms& loaded = c.setting == Setting::fast_path_off ? switched_off
                               : c.setting == Setting::by_stack    ? by_stack
                               : c.setting == Setting::direct      ? direct
                               : c.setting == Setting::udp         ? udp
                                                                   : programs;
      expect(loaded, program, c.frame, c.metadata, c.reason);
    }
  }

 private:
  // The answers to these flows come from somewhere else than their destination.
  void translate() {
    uint16_t backend_port = 5000;
    for (const auto& [src, dst] : {std::pair{kPodA, kPodB}, {kPodA, kPodAtPeer2}, {kPodAtPeer2, kPodA}, {kNode, kPodAtPeer2}}) {
      add_connection(topology.node(), "udp", {src, kTranslatedPort, dst, kServerPort}, {kOutside, ++backend_port, src, kTranslatedPort});
    }
    for (const auto& [src, dst] : {std::pair{kPodA6, kPodB6}, {kPodA6, kPodAtPeer2V6}, {kPodAtPeer2V6, kPodA6}}) {
      add_connection(topology.node(), "udp", {src, kTranslatedPort, dst, kServerPort}, {kOutside6, ++backend_port, src, kTranslatedPort});
    }
  }
};

TEST_F(Reasons, FromPod) { check_all(Program::from_pod); }
TEST_F(Reasons, FromWire) { check_all(Program::from_wire); }
TEST_F(Reasons, FromTunnel) { check_all(Program::from_tunnel); }
TEST_F(Reasons, FromHost) { check_all(Program::from_host); }

TEST(ReasonsTable, HasACaseAndACounterExampleForEachReason) {
  std::set<merino_reason> met;
  std::set<merino_reason> missed;
  for (const Program program : kPrograms) {
    for (const Case& c : cases_of(program)) {
      met.insert(c.reason);
      missed.insert(c.beside);
      EXPECT_NE(c.reason, c.beside) << name_of(program) << ": " << c.name << " stands beside itself";
    }
  }
  for (int i = 0; i < MERINO_REASON_COUNT; ++i) {
    const auto reason = static_cast<merino_reason>(i);
    EXPECT_TRUE(met.count(reason)) << name_of(reason) << " has no case: add one to cases_*.cpp";
    EXPECT_TRUE(missed.count(reason)) << name_of(reason) << " has no counter-example: add one to cases_*.cpp";
  }
}

}  // namespace

}  // namespace merino::test::reasons_test
