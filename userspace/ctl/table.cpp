#include "ctl/table.h"

#include <algorithm>
#include <string_view>

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

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

std::string printable(std::string text) {
  std::replace_if(text.begin(), text.end(), is_control, '?');
  return text;
}

// Columns on the screen: bytes that do not continue a UTF-8 character.
size_t width_of(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80U; }));
}

std::string format_row(const std::vector<Column>& columns, const std::vector<Cell>& cells, const std::vector<size_t>& widths,
                       Colours colours) {
  std::string line;
  for (size_t i = 0; i < columns.size(); ++i) {
    const std::string text = printable(cells[i].text);
    const std::string padding(widths[i] - width_of(text), ' ');
    const bool last = i + 1 == columns.size();
    if (columns[i].align == Align::right) line += padding;
    line += paint(text, cells[i].tone, colours);
    if (columns[i].align == Align::left && !last) line += padding;
    if (!last) line += "  ";
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

}  // namespace

std::string paint(const std::string& text, Tone tone, Colours colours) {
  if (colours == Colours::off || tone == Tone::plain || text.empty()) return text;
  return escape_of(tone) + text + "\033[0m";
}

std::string format_table(const Table& table, Colours colours) {
  std::vector<Cell> titles;
  std::vector<size_t> widths;
  for (const Column& column : table.columns) {
    titles.push_back({column.title, Tone::faint});
    widths.push_back(width_of(column.title));
  }
  for (const auto& row : table.rows) {
    for (size_t i = 0; i < widths.size(); ++i) widths[i] = std::max(widths[i], width_of(printable(row[i].text)));
  }
  std::string out = format_row(table.columns, titles, widths, colours);
  for (const auto& row : table.rows) out += format_row(table.columns, row, widths, colours);
  return out;
}

}  // namespace merino::ctl
