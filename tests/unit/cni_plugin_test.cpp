// The plugin as a function, as far as it touches nothing of the machine.
#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "cni/plugin.h"
#include "cni/teardown.h"

namespace merino::cni {
namespace cni_plugin_test {

using nlohmann::json;

Environment environment(const std::string& command) {
  Environment it;
  it.command = command;
  it.container_id = "c1";
  it.netns = "/run/netns/merino-no-such-namespace";
  it.ifname = "eth0";
  return it;
}

json error_of(const Reply& reply) {
  EXPECT_EQ(reply.exit_code, 1);
  return json::parse(reply.text);
}

TEST(plugin, version_needs_no_configuration) {
  Environment it;
  it.command = "VERSION";
  const Reply reply = run(it, "");
  EXPECT_EQ(reply.exit_code, 0);
  EXPECT_EQ(json::parse(reply.text)["cniVersion"], "1.1.0");
  EXPECT_EQ(json::parse(run(it, R"({"cniVersion":"0.4.0"})").text)["cniVersion"], "0.4.0");
  EXPECT_EQ(json::parse(run(it, "nonsense").text)["cniVersion"], "1.1.0");
}

TEST(plugin, errors_carry_the_configurations_version) {
  EXPECT_EQ(error_of(run(environment("ADD"), R"({"cniVersion":"0.3.1"})"))["cniVersion"], "0.3.1");
  EXPECT_EQ(error_of(run(environment("ADD"), "nonsense"))["cniVersion"], "1.1.0");
}

TEST(plugin, the_environment_is_checked_first) {
  Environment it = environment("ADD");
  it.ifname = "a/b";
  EXPECT_EQ(error_of(run(it, "nonsense"))["code"], 4);
}

TEST(plugin, commands_need_the_version_that_has_them) {
  const auto code = [](const std::string& command, const std::string& version) {
    const std::string conf = R"({"name":"n","type":"merino","cni.dev/valid-attachments":[],"cniVersion":")" + version + "\"}";
    return error_of(run(environment(command), conf))["code"].get<int>();
  };
  EXPECT_EQ(code("CHECK", "0.3.1"), 1);
  EXPECT_EQ(code("CHECK", "0.4.0"), 7);  // no prevResult
  EXPECT_EQ(code("GC", "1.0.0"), 1);
  EXPECT_EQ(code("STATUS", "1.0.0"), 1);
}

TEST(plugin, add_after_another_plugin_is_refused) {
  const json error = error_of(run(environment("ADD"), R"({"cniVersion":"1.0.0","name":"n","prevResult":{"cniVersion":"1.0.0"}})"));
  EXPECT_EQ(error["code"], 7);
  EXPECT_THAT(error["msg"].get<std::string>(), testing::HasSubstr("prevResult"));
}

TEST(plugin, host_interface_names) {
  const std::string name = host_ifname({"c1", "eth0"});
  EXPECT_THAT(name, testing::MatchesRegex("mr[0-9a-f]+"));
  EXPECT_EQ(name.size(), 14);
  EXPECT_EQ(name, host_ifname({"c1", "eth0"}));
  EXPECT_NE(name, host_ifname({"c1", "eth1"}));
  EXPECT_NE(name, host_ifname({"c2", "eth0"}));
  EXPECT_NE(host_ifname({"a", "bc"}), host_ifname({"ab", "c"}));
}

}  // namespace cni_plugin_test
}  // namespace merino::cni
