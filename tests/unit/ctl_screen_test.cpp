#include <gmock/gmock.h>

#include "ctl/screen.h"

namespace merino::ctl {
namespace ctl_screen_test {

using ::testing::ElementsAre;

TEST(Screen, LinesBreakBetweenWords) {
  EXPECT_THAT(fold("one two  three", 9), ElementsAre("one two", "three"));
  EXPECT_THAT(fold("one two  three", 14), ElementsAre("one two  three"));
  EXPECT_THAT(fold("a considerable word", 5), ElementsAre("a", "considerable", "word"));
  EXPECT_THAT(fold("é é é", 3), ElementsAre("é é", "é")) << "characters count, not bytes";
  EXPECT_THAT(fold("", 5), ElementsAre(""));
  EXPECT_THAT(fold("  indented", kEndless), ElementsAre("  indented"));
}

TEST(Screen, FurtherLinesHangBelowTheFirst) {
  EXPECT_EQ(hang("✗ ", 2, "what is wrong, and with which of them", {Colours::off, 26}),
            "✗ what is wrong, and with\n"
            "  which of them\n");
  EXPECT_EQ(hang("✗ ", 2, "what is wrong, and with which of them", kFile), "✗ what is wrong, and with which of them\n");
  EXPECT_EQ(hang("✗ ", 2, "on a screen that has no room", {Colours::off, 5}), "✗ on a screen that has no room\n");
}

}  // namespace ctl_screen_test
}  // namespace merino::ctl
