// The plugin is killed before each of its system calls that change something; what is left then must go with a DEL, and with a GC.
#include <fmt/core.h>
#include <gmock/gmock.h>

#include <tuple>

#include "cni_node.h"

namespace merino::lab::cni_crash_test {
namespace {

using nlohmann::json;

// By these, state outside the process comes and goes. (A file that is opened to be made is written next.)
constexpr const char* kSystemCalls[] = {"mkdir", "write", "fchmod", "fsync", "rename", "link", "unlink", "flock", "sendto", "bpf"};
constexpr int kKilled = 128 + 9;

struct Scenario {
  const char* name;
  const char* victim;
  const char* cleaner;
};
constexpr Scenario kScenarios[] = {
    {"add_then_del", "ADD", "DEL"}, {"add_then_gc", "ADD", "GC"}, {"del_then_del", "DEL", "DEL"}, {"gc_then_gc", "GC", "GC"}};
void PrintTo(const Scenario& scenario, std::ostream* out) { *out << scenario.name; }

class CniCrash : public testing::TestWithParam<std::tuple<Scenario, const char*>> {
 protected:
  CniCrash() {
    node_.must("command -v strace >/dev/null || { echo install the package strace >&2; false; }");
    node_.make_netns("c1");
  }

  static json conf(const std::string& command) {
    return command == "GC" ? with(cni_conf(), "cni.dev/valid-attachments", json::array()) : cni_conf();
  }

  // Kills `command` before the n-th call of `system_call`; false if it got to its end.
  bool killed(const std::string& command, const char* system_call, int n) {
    CniCall call;
    call.prefix = fmt::format("{0} -o /dev/null -e trace={1} -e inject={1}:signal=KILL:when={2}", kStrace, system_call, n);
    const Output output = node_.call(command, conf(command), call);
    if (output.exit_code == kKilled) return true;
    EXPECT_TRUE(output.ok()) << output.out << output.err;
    return false;
  }

  CniNode node_;
};

TEST_P(CniCrash, leaves_nothing_that_is_not_cleaned) {
  const auto& [scenario, system_call] = GetParam();
  int points = 0;
  for (int n = 1;; n++) {
    SCOPED_TRACE(fmt::format("{} before {} number {}", scenario.victim, system_call, n));
    if (std::string(scenario.victim) != "ADD") (void)node_.add(cni_conf());
    const bool more = killed(scenario.victim, system_call, n);
    const Output output = node_.call(scenario.cleaner, conf(scenario.cleaner));
    ASSERT_TRUE(output.ok()) << output.out << output.err;
    ASSERT_EQ(node_.leftovers(), "");
    ASSERT_FALSE(node_.in("c1", "ip link show eth0").ok());
    if (!more) break;
    points++;
  }
  if (std::string(scenario.victim) == "ADD") {
    EXPECT_GE(points, 1) << "ADD does not call " << system_call << " any more";
  }
}

INSTANTIATE_TEST_SUITE_P(killed, CniCrash, testing::Combine(testing::ValuesIn(kScenarios), testing::ValuesIn(kSystemCalls)),
                         [](const auto& test) { return std::string(std::get<0>(test.param).name) + "_" + std::get<1>(test.param); });

}  // namespace
}  // namespace merino::lab::cni_crash_test
