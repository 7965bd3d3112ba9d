// How many times slower than its processor the machine is: MERINO_SLOWDOWN in the environment, set where a kernel is emulated
// (tests/kernels). What tests wait for is waited for that much longer, and traffic goes at that much less of its pace.
#pragma once

#include <cstdlib>

namespace merino::test {

inline int slowdown() {
  static const int factor = [] {
    const char* text = std::getenv("MERINO_SLOWDOWN");
    return text == nullptr ? 1 : std::atoi(text);
  }();
  return factor;
}

}  // namespace merino::test
