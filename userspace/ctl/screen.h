// Where text is printed: colours, and where its lines end.
#pragma once

#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace merino::ctl {

enum class Colours { off, on };
enum class Tone { plain, good, warning, bad, faint };

inline constexpr size_t kEndless = std::numeric_limits<size_t>::max();

struct Screen {
  Colours colours = Colours::off;
  size_t columns = kEndless;  // of a line
};

// A file or a pipe: what is in it is looked for line by line.
inline constexpr Screen kFile{};

// Standard output as it is: colours on a terminal only, and not if NO_COLOR is set; its lines are as long as the terminal's.
Screen standard_output();

// `text` in the tone's colour, or as it is.
std::string paint(const std::string& text, Tone tone, const Screen& screen);

// Columns on the screen: bytes that do not continue a UTF-8 character.
size_t width_of(std::string_view text);

// `text` broken between words into lines of `columns` at most; a longer word has a line of its own. One line at least.
std::vector<std::string> fold(const std::string& text, size_t columns);

// `text` behind `head`, and its other lines below its first; a line break at the end. `head` may be painted: it takes `indent` columns.
std::string hang(const std::string& head, size_t indent, const std::string& text, const Screen& screen);

}  // namespace merino::ctl
