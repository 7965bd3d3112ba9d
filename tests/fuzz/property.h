// What must hold for every input of a fuzz target.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/result.h"

namespace merino::fuzz {

// Stops the fuzzer, which then keeps the input.
inline void require(bool holds, const char* property) {
  if (holds) return;
  static_cast<void>(std::fprintf(stderr, "violated: %s\n", property));
  std::abort();
}

// An error is one line that a terminal shows as it is, of bearable length.
inline void require_good(const Error& error) {
  const std::string text = error.message();
  require(!text.empty() && text.size() < 2000, "an error has a text of bearable length");
  for (const char c : text) require(c >= ' ' && c <= '~', "an error's text is printable");
}

}  // namespace merino::fuzz
