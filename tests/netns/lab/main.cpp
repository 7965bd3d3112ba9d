// main() of every test executable that links the harness.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lab/sandbox.h"

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  // What ctest asks while it looks for tests; that must not need root.
  if (testing::GTEST_FLAG(list_tests)) return RUN_ALL_TESTS();
  return merino::lab::run_in_sandbox([] { return RUN_ALL_TESTS(); });
}
