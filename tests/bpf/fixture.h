// The node with the programs loaded and their maps filled; every test has its own.
#pragma once

#include <gtest/gtest.h>

#include "bpf/loaded_programs.h"
#include "bpf/topology.h"

namespace merino::test {

class BpfTest : public ::testing::Test {
 protected:
  void SetUp() override { programs.fill(); }

  // One packet, one reason: the verdict that abi.h names, the reason counted once with the frame's length and no other; what goes to the
  // stack or is dropped is unchanged. Returns the frame as it came out.
  static Frame expect(LoadedPrograms& loaded, Program program, const Frame& frame, const Metadata& metadata, merino_reason reason);
  Frame expect(Program program, const Frame& frame, merino_reason reason) { return expect(programs, program, frame, {}, reason); }
  Frame expect(Program program, const Frame& frame, const Metadata& metadata, merino_reason reason) {
    return expect(programs, program, frame, metadata, reason);
  }

  Topology topology;
  LoadedPrograms programs{topology.config()};
};

// The first byte in which two frames differ, as text, for messages.
std::string difference(const Frame& got, const Frame& wanted);

}  // namespace merino::test
