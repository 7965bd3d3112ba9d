#include "base/printable.h"

#include <fmt/format.h>

#include <iterator>

namespace merino {

std::string printable(std::string_view text, size_t longest) {
  std::string out;
  for (const char c : text.substr(0, longest)) {
    if (c >= ' ' && c <= '~') {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  if (text.size() > longest) out += "...";
  return out;
}

}  // namespace merino
