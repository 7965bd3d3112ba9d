#include "bpf/fixture.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <algorithm>

#include "bpf/frames.h"

namespace merino::test {

Frame BpfTest::expect(LoadedPrograms& loaded, Program program, const Frame& frame, const Metadata& metadata, merino_reason reason) {
  Outcome outcome = loaded.run(program, frame, metadata);
  EXPECT_EQ(verdict_name(outcome.verdict), verdict_name(verdict_of(reason))) << name_of(program);
  EXPECT_THAT(outcome.counted, ::testing::ElementsAre(Count{reason, 1, frame.size()})) << name_of(program);
  // HOST_DRIVER readies the inner Ethernet header for the driver.
  if (verdict_of(reason) != verdict_of(MERINO_ENCAP) && reason != MERINO_HOST_DRIVER) {
    const bool is_for_driver = program == Program::from_wire && outcome.verdict == verdict_of(MERINO_AGGREGATE) &&
                               reason != MERINO_NOT_TUNNEL && frame.size() > kEthLen + kIpLen + kUdpLen &&
                               number_at(frame, kEthLen + kIpLen + 2) == kUdpPort;
    const Frame wanted = is_for_driver ? udp_as_vxlan(frame) : frame;
    EXPECT_TRUE(outcome.frame == wanted) << name_of(program) << " changed what it left alone: " << difference(outcome.frame, wanted);
  }
  return std::move(outcome.frame);
}

std::string difference(const Frame& got, const Frame& wanted) {
  const size_t common = std::min(got.size(), wanted.size());
  for (size_t i = 0; i < common; ++i) {
    if (got[i] != wanted[i])
      return fmt::format("byte {} is {:#04x}, wanted {:#04x} (lengths {}, {})", i, got[i], wanted[i], got.size(), wanted.size());
  }
  return got.size() == wanted.size() ? "equal" : fmt::format("length {}, wanted {}", got.size(), wanted.size());
}

}  // namespace merino::test
