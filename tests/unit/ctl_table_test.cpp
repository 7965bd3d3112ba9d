#include <gmock/gmock.h>

#include "ctl/table.h"

namespace merino::ctl {
namespace {

Table two_columns(std::vector<std::vector<Cell>> rows) { return {{{"NAME"}, {"PACKETS", Align::right}}, std::move(rows)}; }

TEST(Table, ColumnsAreAsWideAsTheirContent) {
  EXPECT_EQ(format_table(two_columns({{{"a"}, {"7"}}, {{"longer"}, {"12345678"}}}), Colours::off),
            "NAME     PACKETS\n"
            "a              7\n"
            "longer  12345678\n");
}

TEST(Table, NoSpacesAtTheEndOfALine) {
  EXPECT_EQ(format_table({{{"A"}, {"LONG TITLE"}}, {{{"x"}, {""}}}}, Colours::off), "A  LONG TITLE\nx\n");
}

TEST(Table, CharactersCountNotBytes) {
  EXPECT_EQ(format_table(two_columns({{{"é"}, {"1"}}}), Colours::off),
            "NAME  PACKETS\n"
            "é           1\n");
}

TEST(Table, ControlCharactersDoNotReachTheTerminal) {
  const std::string text = format_table(two_columns({{{"a\033[31m\nb\x7f"}, {"1"}}}), Colours::off);
  EXPECT_THAT(text, ::testing::HasSubstr("a?[31m?b?"));
  EXPECT_EQ(text.find('\033'), std::string::npos);
}

TEST(Table, ColoursOnlyWhenAskedFor) {
  const Table table = two_columns({{{"a", Tone::bad}, {"1", Tone::plain}}});
  EXPECT_EQ(format_table(table, Colours::off).find('\033'), std::string::npos);
  EXPECT_THAT(format_table(table, Colours::on), ::testing::HasSubstr("\033[31ma\033[0m"));
}

TEST(Table, ColoursDoNotMoveColumns) {
  std::string coloured = format_table(two_columns({{{"a", Tone::good}, {"1", Tone::bad}}}), Colours::on);
  const std::string plain = format_table(two_columns({{{"a"}, {"1"}}}), Colours::off);
  for (const char* escape : {"\033[2m", "\033[32m", "\033[31m", "\033[0m"}) {
    for (size_t at = coloured.find(escape); at != std::string::npos; at = coloured.find(escape))
      coloured.erase(at, std::string(escape).size());
  }
  EXPECT_EQ(coloured, plain);
}

}  // namespace
}  // namespace merino::ctl
