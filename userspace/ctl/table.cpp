#include "ctl/table.h"

#include <algorithm>

namespace merino::ctl {

namespace {

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string printable(std::string text) {
  std::replace_if(text.begin(), text.end(), is_control, '?');
  return text;
}

void trim_end(std::string& line) { line.erase(line.find_last_not_of(' ') + 1); }

// Of the last column, which begins at `at`: beside the others, and on where it begins; on lines of its own where almost no room is left.
std::string format_last(const Cell& cell, size_t at, const Screen& screen) {
  constexpr size_t kNarrowest = 24;
  constexpr size_t kOwnLine = 4;
  const std::string text = printable(cell.text);
  if (screen.columns == kEndless || at + width_of(text) <= screen.columns) return paint(text, cell.tone, screen);
  const bool beside = at + kNarrowest <= screen.columns;
  const std::string before = "\n" + std::string(beside ? at : kOwnLine, ' ');
  std::string out;
  for (const std::string& line : fold(text, screen.columns - std::min(screen.columns, beside ? at : kOwnLine))) {
    if (!beside || !out.empty()) out += before;
    out += paint(line, cell.tone, screen);
  }
  return out;
}

std::string format_row(const std::vector<Column>& columns, const std::vector<Cell>& cells, const std::vector<size_t>& widths,
                       const Screen& screen) {
  std::string line;
  size_t at = 0;
  for (size_t i = 0; i + 1 < columns.size(); ++i) {
    const std::string text = printable(cells[i].text);
    const std::string padding(widths[i] - width_of(text), ' ');
    if (columns[i].align == Align::right) line += padding;
    line += paint(text, cells[i].tone, screen);
    if (columns[i].align == Align::left) line += padding;
    line += "  ";
    at += widths[i] + 2;
  }
  const Cell& last = cells[columns.size() - 1];
  if (columns.back().align == Align::right) line += std::string(widths.back() - width_of(printable(last.text)), ' ');
  const std::string folded = format_last(last, at, screen);
  if (folded.empty() || folded.front() == '\n') trim_end(line);
  return line + folded + "\n";
}

}  // namespace

std::string format_table(const Table& table, const Screen& screen) {
  std::vector<Cell> titles;
  std::vector<size_t> widths;
  for (const Column& column : table.columns) {
    titles.push_back({column.title, Tone::faint});
    widths.push_back(width_of(column.title));
  }
  for (const auto& row : table.rows) {
    for (size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], width_of(printable(row[i].text)));
  }
  std::string out = format_row(table.columns, titles, widths, screen);
  for (const auto& row : table.rows) out += format_row(table.columns, row, widths, screen);
  return out;
}

}  // namespace merino::ctl
