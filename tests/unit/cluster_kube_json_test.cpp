#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "cluster/kube_json.h"

namespace merino {
namespace cluster_kube_json_test {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string joined(JsonPath path) { return fmt::format("{}", fmt::join(path, "/")); }

// Writes down what it is given; wants everything but what is named.
struct Recorder : JsonListener {
  std::set<std::string> unwanted;
  std::vector<std::string> heard;

  bool wants(JsonPath path) override { return !unwanted.contains(joined(path)); }
  void value(JsonPath path, const JsonScalar& scalar) override {
    const char* quote = scalar.kind == JsonScalar::Kind::string ? "'" : "";
    heard.push_back(fmt::format("{}={}{}{}{}", joined(path), quote, scalar.text, quote, scalar.whole ? "" : "..."));
  }
  Status closed(JsonPath path) override {
    heard.push_back("end " + joined(path));
    if (joined(path) == "stop") return fail(ErrorKind::invalid, "stopped");
    return ok();
  }
};

std::vector<std::string> read_all(const std::string& text, const std::set<std::string>& unwanted = {}) {
  Recorder recorder;
  recorder.unwanted = unwanted;
  JsonPush json(recorder);
  const auto fed = json.feed(text);
  EXPECT_TRUE(fed) << text << ": " << fed.error().message();
  EXPECT_TRUE(json.at_rest()) << text;
  return recorder.heard;
}

TEST(KubeJson, ValuesComeWithTheirPaths) {
  EXPECT_THAT(read_all(R"({"a":1,"b":{"c":[true,"x",{"d":null}],"e":-1.5e+3}})"),
              ElementsAre("a=1", "b/c/[]=true", "b/c/[]='x'", "b/c/[]/d=null", "end b/c/[]", "end b/c", "b/e=-1.5e+3", "end b", "end "));
  EXPECT_THAT(read_all(" { } \n"), ElementsAre("end "));
  EXPECT_THAT(read_all(R"({"a":[],"b":{}})"), ElementsAre("end a", "end b", "end "));
  EXPECT_THAT(read_all(""), IsEmpty());
}

TEST(KubeJson, WhatIsNotWantedIsPassedOverWithAllThatIsInIt) {
  EXPECT_THAT(read_all(R"({"a":{"b":[1,{"c":"}"}],"d":"\"]"},"e":"x","f":[1,2]})", {"a", "f/[]"}), ElementsAre("e='x'", "end f", "end "));
  EXPECT_THAT(read_all(R"({"a":1})", {""}), IsEmpty());
  EXPECT_THAT(read_all(R"({"a":1,"b":"x","c":true,"d":2})", {"a", "b", "c"}), ElementsAre("d=2", "end "));
}

TEST(KubeJson, OneDocumentAfterTheOther) { EXPECT_THAT(read_all("{\"a\":1}\n{\"a\":2}\n"), ElementsAre("a=1", "end ", "a=2", "end ")); }

TEST(KubeJson, Escapes) {
  EXPECT_THAT(read_all(R"({"\u0061\n":"\"\\\/\b\f\n\r\t\u00e9\u20ac\ud83d\ude00"})"), ElementsAre("a\n='\"\\/\b\f\n\r\té€😀'", "end "));
  EXPECT_THAT(read_all(R"({"a":"\ud83dx","b":"\ude00","c":"\ud83d","d":"\ud83d\n"})"),
              ElementsAre("a='\uFFFDx'", "b='\uFFFD'", "c='\uFFFD'", "d='\uFFFD\n'", "end "));
}

TEST(KubeJson, CutAnywhereItIsTheSame) {
  const std::string text = R"({"a":"x\"\ud83d\ude00y","b":[-12,false,{"c":"\\"}],"skip":{"z":["}",1]},"d":null} {"e":1})";
  const auto whole = read_all(text, {"skip"});
  for (size_t cut = 1; cut < text.size(); ++cut) {
    Recorder recorder;
    recorder.unwanted = {"skip"};
    JsonPush json(recorder);
    ASSERT_TRUE(json.feed(text.substr(0, cut)));
    ASSERT_TRUE(json.feed(text.substr(cut)));
    EXPECT_EQ(recorder.heard, whole) << cut;
  }
  Recorder recorder;
  recorder.unwanted = {"skip"};
  JsonPush json(recorder);
  for (const char c : text) ASSERT_TRUE(json.feed({&c, 1}));
  EXPECT_EQ(recorder.heard, whole);
}

TEST(KubeJson, LongStringsAreCut) {
  const std::string longest(JsonPush::kLongestKept, 'x');
  EXPECT_THAT(read_all(R"({"a":")" + longest + R"("})"), ElementsAre("a='" + longest + "'", "end "));
  EXPECT_THAT(read_all(R"({"a":")" + longest + R"(yz"})"), ElementsAre("a='" + longest + "'...", "end "));
  EXPECT_THAT(read_all(R"({"a":")" + longest + R"(\n"})"), ElementsAre("a='" + longest + "'...", "end "));
  EXPECT_THAT(read_all(R"({")" + longest + R"(y":{"b":1},"c":2})"), ElementsAre("c=2", "end ")) << "a key that long is nobody's";
}

TEST(KubeJson, AnErrorOfTheListenerEndsIt) {
  Recorder recorder;
  JsonPush json(recorder);
  const auto fed = json.feed(R"({"stop":{},"a":1})");
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().what, "stopped");
  EXPECT_THAT(recorder.heard, ElementsAre("end stop"));
}

class BadJson : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(KubeJson, BadJson,
                         testing::Values("x", "1", "\"a\"", "[1]", "]", "}", "{]", "{1:2}", "{\"a\"}", "{\"a\" 1}", "{\"a\":}",
                                         "{\"a\":1,}", "{\"a\":1 2}", "{\"a\":[1,]}", "{\"a\":[1}", "{\"a\":tru}", "{\"a\":truE}",
                                         "{\"a\":\"\n\"}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12g4\"}", "{,}", "{\"a\":1}}", "{\"a\":[,1]}",
                                         "{\"a\":nul}"));

TEST_P(BadJson, IsADecodeError) {
  Recorder recorder;
  JsonPush json(recorder);
  const auto fed = json.feed(GetParam());
  ASSERT_FALSE(fed) << GetParam();
  EXPECT_EQ(fed.error().kind, ErrorKind::decode);
  EXPECT_THAT(fed.error().what, HasSubstr("byte"));
}

TEST(KubeJson, UnfinishedIsNotAtRest) {
  for (const char* text : {"{", "{\"a", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":tr", "{\"a\":\"\\", "{\"a\":[1", "{} {"}) {
    Recorder recorder;
    JsonPush json(recorder);
    EXPECT_TRUE(json.feed(text)) << text;
    EXPECT_FALSE(json.at_rest()) << text;
  }
}

TEST(KubeJson, DepthIsBounded) {
  std::string text = "{\"a\":";
  for (size_t i = 1; i < JsonPush::kDeepest; ++i) text += '[';
  Recorder recorder;
  JsonPush json(recorder);
  EXPECT_TRUE(json.feed(text));
  const auto fed = json.feed("[");
  ASSERT_FALSE(fed);
  EXPECT_THAT(fed.error().what, HasSubstr("deeper"));
}

TEST(KubeJson, WhatNlohmannWritesIsRead) {
  const nlohmann::json tree = {{"text", "a\"\\\u0001é"}, {"list", {1, 2.5, -3, nullptr, true}}, {"deep", {{"er", {{"x", "y"}}}}}};
  for (const int indent : {-1, 2}) {
    EXPECT_THAT(read_all(tree.dump(indent)), testing::SizeIs(11)) << tree.dump(indent);
    EXPECT_THAT(read_all(tree.dump(indent, ' ', true)), testing::Contains("text='a\"\\\u0001é'"));
  }
}

}  // namespace cluster_kube_json_test
}  // namespace merino
