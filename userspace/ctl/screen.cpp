#include "ctl/screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace merino::ctl {

namespace {

const char* escape_of(Tone tone) {
  switch (tone) {
    case Tone::good:
      return "\033[32m";
    case Tone::warning:
      return "\033[33m";
    case Tone::bad:
      return "\033[31m";
    case Tone::faint:
      return "\033[2m";
    case Tone::plain:
      break;
  }
  return "";
}

}  // namespace

Screen standard_output() {
  Screen screen;
  if (::isatty(STDOUT_FILENO) != 1) return screen;
  const char* no_colour = std::getenv("NO_COLOR");
  if (no_colour == nullptr || *no_colour == '\0') screen.colours = Colours::on;
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) screen.columns = size.ws_col;
  return screen;
}

std::string paint(const std::string& text, Tone tone, const Screen& screen) {
  if (screen.colours == Colours::off || tone == Tone::plain || text.empty()) return text;
  return escape_of(tone) + text + "\033[0m";
}

size_t width_of(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

std::vector<std::string> fold(const std::string& text, size_t columns) {
  std::vector<std::string> lines(1);
  std::string_view rest = text;
  while (!rest.empty()) {
    // A word with the spaces before it: what fits on one line stays as it is.
    const size_t begin = std::min(rest.find_first_not_of(' '), rest.size());
    const size_t end = std::min(rest.find(' ', begin), rest.size());
    const std::string_view word = rest.substr(begin, end - begin);
    if (!lines.back().empty() && width_of(lines.back()) + begin + width_of(word) > columns) {
      lines.emplace_back(word);
    } else {
      lines.back() += rest.substr(0, end);
    }
    rest.remove_prefix(end);
  }
  return lines;
}

std::string hang(const std::string& head, size_t indent, const std::string& text, const Screen& screen) {
  // Where almost no room is left, a line too long is read more easily than a column of words.
  constexpr size_t kNarrowest = 20;
  std::string out = head;
  std::string before;
  for (const std::string& line : fold(text, screen.columns < indent + kNarrowest ? kEndless : screen.columns - indent)) {
    out += before + line + "\n";
    before = std::string(indent, ' ');
  }
  return out;
}

}  // namespace merino::ctl
