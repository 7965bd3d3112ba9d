#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "ctl/output.h"

namespace merino::ctl {
namespace ctl_output_test {

TEST(Yaml, ObjectsListsAndScalars) {
  EXPECT_EQ(yaml_of(R"({"a": 1, "b": "x: y", "c": {"d": [true, null], "e": []}, "f": [{"g": 1, "h": [2, {"i": 3}]}, {"g": 4}]})"),
            "a: 1\n"
            "b: \"x: y\"\n"
            "c:\n"
            "  d:\n"
            "  - true\n"
            "  - null\n"
            "  e: []\n"
            "f:\n"
            "- g: 1\n"
            "  h:\n"
            "  - 2\n"
            "  - i: 3\n"
            "- g: 4\n");
  EXPECT_EQ(yaml_of("[]"), "[]\n");
}

TEST(Yaml, KeysStayStrings) { EXPECT_EQ(yaml_of(R"({"on": true, "no": {"one": 1}})"), "\"on\": true\n\"no\":\n  one: 1\n"); }

TEST(Yaml, StringsStayStrings) { EXPECT_EQ(yaml_of(R"({"a": "no", "b": "1", "c": "\n"})"), "a: \"no\"\nb: \"1\"\nc: \"\\n\"\n"); }

}  // namespace ctl_output_test
}  // namespace merino::ctl
