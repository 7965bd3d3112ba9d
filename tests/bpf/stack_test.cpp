// Other programs on the same hook go on to see what merino leaves to the stack, and do not see what it took.
#include <gtest/gtest.h>

#include "bpf/attached_fixture.h"

namespace merino::test::stack_test {

namespace {

class NextProgram : public AttachedTest {
 protected:
  void expect_next_to_see_what_the_stack_gets() {
    const struct {
      const char* name;
      Frame frame;
      uint64_t seen;
    } packets[] = {
        {"stack", from_pod_a(udp(kPodA, kOutside)), 1},
        {"dropped", from_pod_a(udp(kNoPod, kPodB)), 0},
        {"fast", from_pod_a(udp(kPodA, kPodB)), 0},
        {"stack again", from_pod_a(ping(kPodA, kPodB)), 1},
    };
    for (const auto& packet : packets) {
      SCOPED_TRACE(packet.name);
      const uint64_t before = programs.seen();
      ASSERT_EQ(send(pod_a, packet.frame).size(), 1U);
      // The next program runs right after ours, which has counted the packet; one more packet makes sure that it is over.
      send(pod_a, from_pod_a(udp(kPodA, kPodB)));
      EXPECT_EQ(programs.seen() - before, packet.seen);
    }
  }
};

TEST_F(NextProgram, ByTcxAfterTcx) {
  attach(Program::from_pod, "vetha");
  links.push_back(attach_next(programs.counting_program(), "vetha", Direction::ingress));
  expect_next_to_see_what_the_stack_gets();
}

TEST_F(NextProgram, ByClsactAfterTcx) {
  attach(Program::from_pod, "vetha");
  attach_clsact(programs.counting_program(), "vetha", 2 * kFirstPriority);
  expect_next_to_see_what_the_stack_gets();
}

TEST_F(NextProgram, ByClsactAfterClsact) {
  attach_clsact(programs.fd(Program::from_pod), "vetha", 1);
  attach_clsact(programs.counting_program(), "vetha", 2);
  expect_next_to_see_what_the_stack_gets();
}

TEST_F(NextProgram, BeforeMerinoSeesEverything) {
  links.push_back(attach_next(programs.counting_program(), "vetha", Direction::ingress));
  attach(Program::from_pod, "vetha");
  const Frame frame = from_pod_a(udp(kPodA, kPodB));
  EXPECT_EQ(send(pod_a, frame), (std::vector<Count>{{MERINO_LOCAL, 1, frame.size()}}));
  EXPECT_EQ(programs.seen(), 1U);
}

TEST_F(NextProgram, WhatTheStackGetsReachesIt) {
  attach(Program::from_pod, "vetha");
  const Frame frame = from_pod_a(udp(kPodA, kPeer2));
  EXPECT_EQ(send(pod_a, frame), (std::vector<Count>{{MERINO_NO_ROUTE, 1, frame.size()}}));
  EXPECT_TRUE(wire.receive_with(slice(frame, kEthLen + 12, frame.size()), kEthLen + 12)) << "the stack has not forwarded it";
}

}  // namespace

}  // namespace merino::test::stack_test
