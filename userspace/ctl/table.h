// Columns of text for a terminal.
#pragma once

#include <string>
#include <vector>

#include "ctl/screen.h"

namespace merino::ctl {

enum class Align { left, right };

struct Column {
  std::string title;
  Align align = Align::left;
};

struct Cell {
  std::string text;
  Tone tone = Tone::plain;
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<Cell>> rows;
};

// One line per row below the titles, as wide as the content is, two spaces between columns, none at the end of a line. What is too long
// for the screen is folded in its last column. Control characters in cells (names come from files that others write) are shown as '?'.
std::string format_table(const Table& table, const Screen& screen);

}  // namespace merino::ctl
