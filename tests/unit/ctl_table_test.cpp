#include <gmock/gmock.h>

#include "ctl/table.h"

namespace merino::ctl {
namespace ctl_table_test {

Table two_columns(std::vector<std::vector<Cell>> rows) { return {{{"NAME"}, {"PACKETS", Align::right}}, std::move(rows)}; }

TEST(Table, ColumnsAreAsWideAsTheirContent) {
  EXPECT_EQ(format_table(two_columns({{{"a"}, {"7"}}, {{"longer"}, {"12345678"}}}), kFile),
            "NAME     PACKETS\n"
            "a              7\n"
            "longer  12345678\n");
}

TEST(Table, NoSpacesAtTheEndOfALine) { EXPECT_EQ(format_table({{{"A"}, {"LONG TITLE"}}, {{{"x"}, {""}}}}, kFile), "A  LONG TITLE\nx\n"); }

TEST(Table, CharactersCountNotBytes) {
  EXPECT_EQ(format_table(two_columns({{{"é"}, {"1"}}}), kFile),
            "NAME  PACKETS\n"
            "é           1\n");
}

TEST(Table, ControlCharactersDoNotReachTheTerminal) {
  const std::string text = format_table(two_columns({{{"a\033[31m\nb\x7f"}, {"1"}}}), kFile);
  EXPECT_THAT(text, ::testing::HasSubstr("a?[31m?b?"));
  EXPECT_EQ(text.find('\033'), std::string::npos);
}

TEST(Table, WhatIsTooLongIsFoldedInTheLastColumn) {
  const Table table{{{"REASON"}, {"PACKETS", Align::right}, {"MEANING"}},
                    {{{"encap"}, {"7"}, {"from a pod, encapsulated and sent to the destination's node"}}, {{"ttl"}, {"1"}, {"short"}}}};
  EXPECT_EQ(format_table(table, {Colours::off, 45}),
            "REASON  PACKETS  MEANING\n"
            "encap         7  from a pod, encapsulated and\n"
            "                 sent to the destination's\n"
            "                 node\n"
            "ttl           1  short\n");
  EXPECT_EQ(format_table(table, {Colours::off, 35}),
            "REASON  PACKETS  MEANING\n"
            "encap         7\n"
            "    from a pod, encapsulated and\n"
            "    sent to the destination's node\n"
            "ttl           1  short\n")
      << "no column of single words";
  EXPECT_THAT(format_table(table, kFile), ::testing::HasSubstr("7  from a pod, encapsulated and sent to the destination's node\n"));
}

TEST(Table, ColoursOnlyWhenAskedFor) {
  const Table table = two_columns({{{"a", Tone::bad}, {"1", Tone::plain}}});
  EXPECT_EQ(format_table(table, kFile).find('\033'), std::string::npos);
  EXPECT_THAT(format_table(table, Screen{Colours::on}), ::testing::HasSubstr("\033[31ma\033[0m"));
}

TEST(Table, ColoursDoNotMoveColumns) {
  std::string coloured = format_table(two_columns({{{"a", Tone::good}, {"1", Tone::bad}}}), Screen{Colours::on});
  const std::string plain = format_table(two_columns({{{"a"}, {"1"}}}), kFile);
  for (const char* escape : {"\033[2m", "\033[32m", "\033[31m", "\033[0m"}) {
    for (size_t at = coloured.find(escape); at != std::string::npos; at = coloured.find(escape))
      coloured.erase(at, std::string(escape).size());
  }
  EXPECT_EQ(coloured, plain);
}

}  // namespace ctl_table_test
}  // namespace merino::ctl
