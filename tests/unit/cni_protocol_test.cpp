// The rules of the CNI specification, section 2: environment, versions, errors.
#include <gmock/gmock.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "cni/protocol.h"

namespace merino::cni {
namespace cni_protocol_test {

using nlohmann::json;

Environment add_environment() {
  Environment environment;
  environment.command = "ADD";
  environment.container_id = "4f2a";
  environment.netns = "/run/netns/x";
  environment.ifname = "eth0";
  environment.path = "/opt/cni/bin";
  return environment;
}

struct EnvironmentRule {
  const char* name;
  void (*change)(Environment&);
  Code code;  // internal: accepted
  const char* names;
};

void PrintTo(const EnvironmentRule& rule, std::ostream* out) { *out << rule.name; }

class EnvironmentRules : public testing::TestWithParam<EnvironmentRule> {};

TEST_P(EnvironmentRules, holds) {
  Environment environment = add_environment();
  GetParam().change(environment);
  const auto command = check_environment(environment);
  if (GetParam().code == Code::internal) {
    EXPECT_TRUE(command) << command.error().msg;
    return;
  }
  ASSERT_FALSE(command);
  EXPECT_EQ(command.error().code, GetParam().code);
  EXPECT_THAT(command.error().msg, testing::HasSubstr(GetParam().names));
}

constexpr Code kAccepted = Code::internal;
const EnvironmentRule kEnvironmentRules[] = {
    {"add", [](Environment&) {}, kAccepted, ""},
    {"no_command", [](Environment& e) { e.command = ""; }, Code::invalid_environment, "CNI_COMMAND"},
    {"unknown_command", [](Environment& e) { e.command = "UPDATE"; }, Code::invalid_environment, "UPDATE"},
    {"lower_case_command", [](Environment& e) { e.command = "add"; }, Code::invalid_environment, "add"},
    {"no_container", [](Environment& e) { e.container_id = ""; }, Code::invalid_environment, "CNI_CONTAINERID"},
    {"container_all_characters", [](Environment& e) { e.container_id = "0aZ_.-"; }, kAccepted, ""},
    {"container_starts_with_dot", [](Environment& e) { e.container_id = ".x"; }, Code::invalid_environment, "CNI_CONTAINERID"},
    {"container_starts_with_dash", [](Environment& e) { e.container_id = "-x"; }, Code::invalid_environment, "CNI_CONTAINERID"},
    {"container_starts_with_underscore", [](Environment& e) { e.container_id = "_x"; }, Code::invalid_environment, "CNI_CONTAINERID"},
    {"container_with_slash", [](Environment& e) { e.container_id = "a/../b"; }, Code::invalid_environment, "CNI_CONTAINERID"},
    {"container_with_newline", [](Environment& e) { e.container_id = "a\n"; }, Code::invalid_environment, "CNI_CONTAINERID"},
    {"container_not_ascii", [](Environment& e) { e.container_id = "a\xc3\xa4"; }, Code::invalid_environment, "CNI_CONTAINERID"},
    {"container_200_bytes", [](Environment& e) { e.container_id = std::string(200, 'a'); }, kAccepted, ""},
    {"container_201_bytes", [](Environment& e) { e.container_id = std::string(201, 'a'); }, Code::invalid_environment, "200 bytes"},
    {"no_netns_add", [](Environment& e) { e.netns = ""; }, Code::invalid_environment, "CNI_NETNS"},
    {"no_netns_check", [](Environment& e) { e.command = "CHECK", e.netns = ""; }, Code::invalid_environment, "CNI_NETNS"},
    {"no_netns_del", [](Environment& e) { e.command = "DEL", e.netns = ""; }, kAccepted, ""},
    {"no_ifname", [](Environment& e) { e.ifname = ""; }, Code::invalid_environment, "CNI_IFNAME"},
    {"no_ifname_del", [](Environment& e) { e.command = "DEL", e.ifname = ""; }, Code::invalid_environment, "CNI_IFNAME"},
    {"ifname_15_bytes", [](Environment& e) { e.ifname = "abcdefghijklmno"; }, kAccepted, ""},
    {"ifname_16_bytes", [](Environment& e) { e.ifname = "abcdefghijklmnop"; }, Code::invalid_environment, "CNI_IFNAME"},
    {"ifname_dot", [](Environment& e) { e.ifname = "."; }, Code::invalid_environment, "CNI_IFNAME"},
    {"ifname_dotdot", [](Environment& e) { e.ifname = ".."; }, Code::invalid_environment, "CNI_IFNAME"},
    {"ifname_three_dots", [](Environment& e) { e.ifname = "..."; }, kAccepted, ""},
    {"ifname_slash", [](Environment& e) { e.ifname = "a/b"; }, Code::invalid_environment, "CNI_IFNAME"},
    {"ifname_colon", [](Environment& e) { e.ifname = "eth0:1"; }, Code::invalid_environment, "CNI_IFNAME"},
    {"ifname_space", [](Environment& e) { e.ifname = "e 0"; }, Code::invalid_environment, "CNI_IFNAME"},
    {"ifname_tab", [](Environment& e) { e.ifname = "e\t0"; }, Code::invalid_environment, "CNI_IFNAME"},
    {"no_path", [](Environment& e) { e.path = ""; }, kAccepted, ""},
    {"version_alone", [](Environment& e) { e = {}, e.command = "VERSION"; }, kAccepted, ""},
    {"gc_without_container", [](Environment& e) { e = {}, e.command = "GC"; }, kAccepted, ""},
    {"status_without_container", [](Environment& e) { e = {}, e.command = "STATUS"; }, kAccepted, ""},
};
INSTANTIATE_TEST_SUITE_P(spec, EnvironmentRules, testing::ValuesIn(kEnvironmentRules),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(protocol, environment_is_read_from_variables) {
  ::setenv("CNI_COMMAND", "DEL", 1);
  ::setenv("CNI_CONTAINERID", "c1", 1);
  ::setenv("CNI_NETNS_OVERRIDE", "true", 1);
  ::unsetenv("CNI_NETNS");
  const Environment environment = read_environment();
  EXPECT_EQ(environment.command, "DEL");
  EXPECT_EQ(environment.container_id, "c1");
  EXPECT_EQ(environment.netns, "");
  EXPECT_TRUE(environment.netns_override);
  ::setenv("CNI_NETNS_OVERRIDE", "0", 1);
  EXPECT_FALSE(read_environment().netns_override);
}

TEST(protocol, versions_that_are_supported) {
  EXPECT_EQ(parse_version("0.3.0"), SpecVersion::v0_3_0);
  EXPECT_EQ(parse_version("1.1.0"), SpecVersion::v1_1_0);
  for (const char* text : {"", "0.1.0", "0.2.0", "1.2.0", "1.1", "1.1.0 ", "v1.0.0"}) EXPECT_EQ(parse_version(text), std::nullopt) << text;
}

TEST(protocol, version_reply_names_the_version_that_was_asked_for) {
  EXPECT_EQ(json::parse(format_versions("0.4.0"))["cniVersion"], "0.4.0");
  const json reply = json::parse(format_versions(""));
  EXPECT_EQ(reply["cniVersion"], "1.1.0");
  EXPECT_EQ(reply["supportedVersions"], (json{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}));
}

TEST(protocol, error_object) {
  const json error = json::parse(format_failure(Failure(Code::try_again_later, "no subnet", "start merinod"), SpecVersion::v0_4_0));
  EXPECT_EQ(error, (json{{"cniVersion", "0.4.0"}, {"code", 11}, {"msg", "no subnet"}, {"details", "start merinod"}}));
  EXPECT_FALSE(json::parse(format_failure(Failure(Code::internal, "x"), kLatestVersion)).contains("details"));
}

TEST(protocol, error_object_survives_any_bytes) {
  const std::string text = format_failure(Failure(Code::internal, "bad \xff\xfe name \"\n"), kLatestVersion);
  EXPECT_THAT(json::parse(text)["msg"].get<std::string>(), testing::StartsWith("bad "));
}

TEST(protocol, house_errors_become_failures) {
  const Failure failure(with_remedy(fail_errno(2, "open {}", "/x"), "make it").value());
  EXPECT_EQ(failure.code, Code::internal);
  EXPECT_THAT(failure.msg, testing::AllOf(testing::HasSubstr("open /x"), testing::HasSubstr("No such file"),
                                          testing::Not(testing::HasSubstr("make it"))));
  EXPECT_EQ(failure.details, "make it");
  EXPECT_EQ(Failure(fail(ErrorKind::exhausted, "x").value()).code, Code::try_again_later);
  EXPECT_EQ(Failure(fail(ErrorKind::unavailable, "x").value()).code, Code::try_again_later);
  EXPECT_EQ(Failure(fail(ErrorKind::invalid, "x").value()).code, Code::invalid_config);
  EXPECT_EQ(Failure(fail(ErrorKind::decode, "x").value()).code, Code::decoding_failure);
}

TEST(protocol, arguments_by_key) {
  const std::string args = "IgnoreUnknown=1;K8S_POD_NAME=web;IP=10.1.2.3;;broken;EMPTY=";
  EXPECT_EQ(argument(args, "IP"), "10.1.2.3");
  EXPECT_EQ(argument(args, "K8S_POD_NAME"), "web");
  EXPECT_EQ(argument(args, "EMPTY"), "");
  EXPECT_EQ(argument(args, "NAME"), "");
  EXPECT_EQ(argument(args, "broken"), "");
  EXPECT_EQ(argument("", "IP"), "");
}

}  // namespace cni_protocol_test
}  // namespace merino::cni
