// Text from outside, made fit for a log line or a terminal.
#pragma once

#include <string>
#include <string_view>

namespace merino {

// Control and non-ASCII bytes as \xNN; what is longer than `longest` bytes is cut and ends in "...".
std::string printable(std::string_view text, size_t longest = 80);

}  // namespace merino
