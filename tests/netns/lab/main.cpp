// main() of every test executable that links the harness.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "lab/sandbox.h"

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  // What ctest asks while it looks for tests; that must not need root.
  if (testing::GTEST_FLAG(list_tests)) return RUN_ALL_TESTS();
  const int outcome = merino::lab::run_in_sandbox([] { return RUN_ALL_TESTS(); });
  // Without the exit handlers: the leak sanitizer's starts a process, which a process whose PID namespace has ended cannot. The tests'
  // process has run them.
  std::_Exit(outcome);
}
