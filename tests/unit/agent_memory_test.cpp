#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string>

#include "agent/memory.h"

namespace merino {
namespace agent_memory_test {

// KiB of this process, as /proc/self/status has it: "RssFile".
long memory(const std::string& field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(field + ":")) return std::stol(line.substr(field.size() + 1));
  }
  return -1;
}

TEST(Memory, PagesOfFilesAreGivenBackAndComeBackWhenTheyAreUsed) {
  const auto use = [] {
    std::ostringstream out;
    out << 1.5 << " " << std::stod("2.5") << " " << memory("RssFile");
    return out.str().substr(0, 7);
  };
  ASSERT_EQ(use(), "1.5 2.5");
  const long before = memory("RssFile");
  ASSERT_GT(before, 0);
  give_back_code();
  EXPECT_LT(memory("RssFile"), before);
  EXPECT_EQ(use(), "1.5 2.5");
}

TEST(Memory, WhatWasWrittenIsKept) {
  static std::string constant_of_a_process = std::to_string(::getpid());
  static const char* const relocated[] = {"one", "two"};
  give_back_code();
  EXPECT_EQ(constant_of_a_process, std::to_string(::getpid()));
  EXPECT_STREQ(relocated[1], "two");
  EXPECT_THROW(throw std::runtime_error("unwinding reads tables of the same files"), std::runtime_error);
}

}  // namespace agent_memory_test
}  // namespace merino
