// In which forms merinoctl prints: what it offers with -o says the same each time, and fits a terminal where there is one.
#include <fmt/core.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "lab/lab.h"
#include "lab/pod_network.h"
#include "merinoctl_run.h"

namespace merino::lab::merinoctl_forms_test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

// What a document consists of. Values change from one call to the next, and so does how many of a kind there are.
json shape_of(const json& value) {
  if (value.is_object()) {
    json members = json::object();
    for (const auto& [name, member] : value.items()) members[name] = shape_of(member);
    return members;
  }
  if (value.is_array()) {
    std::set<json> kinds;
    for (const json& element : value) kinds.insert(shape_of(element));
    return kinds;
  }
  return value.is_number() ? "number" : value.type_name();
}

// Several documents are one list of them.
json read_yaml(const Place& where, const std::string& text) {
  return json::parse(where.must(
      "exec /usr/bin/python3 -c 'import json, sys, yaml; docs = list(yaml.safe_load_all(sys.stdin)); print(json.dumps(docs if docs[1:] "
      "else docs[0]))'",
      text));
}

// Each run of spaces as one: columns are as wide as what is in them.
std::string collapsed(std::string text) {
  text.erase(std::unique(text.begin(), text.end(), [](char a, char b) { return a == ' ' && b == ' '; }), text.end());
  return text;
}

// Two nodes with a pod each, a packet that was dropped, and one that was not.
class Forms : public testing::Test {
 protected:
  Forms() {
    pod_.must("ip addr add 10.244.9.9/32 dev eth0; echo x | socat -u - UDP4-SENDTO:" + a_.gateway() + ":7,bind=10.244.9.9:4711");
    pod_.must(fmt::format("echo x | socat -u - UDP4-SENDTO:{}:7", far_.address()));
    if (!eventually([&] { return ctl(a_, "drops").out.find("spoofed") != std::string::npos; })) throw Failure("nothing was dropped");
    // The report is written at most once a second, and the next pass may be some seconds away.
    if (!eventually([&] { return json::parse(ctl(a_, "leases -o json").out).size() == 2; }, std::chrono::seconds(30)))
      throw Failure("the report of leases is not complete");
  }

  Lab lab_;
  Node& a_ = lab_.add_node("a");
  Node& b_ = lab_.add_node("b");
  const Pod& pod_ = (lab_.wait_ready(), a_.add_pod("a1"));
  const Pod& far_ = b_.add_pod("b1");
};

struct Command {
  std::string arguments;
  std::string pointer;  // into its document: what stands there
  json value;
  std::string begins;  // its table, or its text
  std::string wide;    // the same with -o wide; empty: nothing more
};

TEST_F(Forms, EveryCommandSaysTheSameInEach) {
  const Command commands[] = {
      {"status", "/health", "healthy", "health healthy", ""},
      {"pods", "/0/address", pod_.address(), "ADDRESS POD INTERFACE STATE",
       "ADDRESS POD INTERFACE DELIVERY POD MAC NETWORK CONTAINER IN POD STATE"},
      {"peers", "/0/node", b_.address(), "SUBNET NODE KIND MAC", "SUBNET NODE KIND NEXT HOP MAC"},
      {"leases", "/0/backend", "vxlan", "SUBNET NODE ENDS IN STATE", "SUBNET NODE BACKEND KEY ENDS IN STATE"},
      {"counters", "/0/action", "fast", "REASON ACTION PACKETS BYTES MEANING", ""},
      {"counters --all", "/0/reason", "local", "REASON ACTION PACKETS BYTES MEANING", ""},
      {"drops", "/0/reason", "spoofed", "REASON PACKETS LAST AT PACKET", "REASON PACKETS LAST AT PACKET MEANING LOOK AT"},
      {fmt::format("route {} {}", pod_.address(), far_.address()), "/end", "sent", fmt::format("{} → {}", pod_.address(), far_.address()),
       ""},
      {"check", "/fine", true, "merinoctl ", "merinoctl "},
      {"check --pod " + far_.address(), "/pods/0/node", b_.address(), "merinoctl ", ""},
  };
  for (const Command& command : commands) {
    SCOPED_TRACE(command.arguments);
    const Output table = ctl(a_, command.arguments);
    EXPECT_EQ(table.exit_code, 0) << table.out << table.err;
    EXPECT_EQ(ctl(a_, command.arguments + " -o table").exit_code, 0);
    EXPECT_THAT(table.out, Not(HasSubstr("\033"))) << "no terminal, no colours";
    const Output machine = ctl(a_, command.arguments + " -o json");
    ASSERT_TRUE(json::accept(machine.out)) << machine.out;
    const json document = json::parse(machine.out);
    EXPECT_EQ(document.at(json::json_pointer(command.pointer)), command.value) << document.dump(1);
    const Output yaml = ctl(a_, command.arguments + " -o yaml");
    EXPECT_EQ(shape_of(read_yaml(a_, yaml.out)), shape_of(document)) << yaml.out;
    const Output wide = ctl(a_, command.arguments + " -o wide");
    EXPECT_EQ((std::set{machine.exit_code, yaml.exit_code, wide.exit_code}), std::set{0});
    EXPECT_THAT(collapsed(table.out), testing::StartsWith(command.begins));
    EXPECT_THAT(collapsed(wide.out), testing::StartsWith(command.wide.empty() ? command.begins : command.wide));
    const Output wrong = ctl(a_, command.arguments + " -o xml");
    EXPECT_EQ(wrong.exit_code, 1);
    EXPECT_THAT(wrong.err, HasSubstr("-o"));
  }
}

TEST_F(Forms, CheckKeepsSubnetAndKindForAWideScreen) {
  EXPECT_THAT(collapsed(ctl(a_, "check").out), HasSubstr("\nNODE SUBNET RTT POD RTT LOSS MTU TCP UDP POD\n"));
  EXPECT_THAT(collapsed(ctl(a_, "check -o wide").out), HasSubstr("\nNODE SUBNET KIND RTT POD RTT LOSS MTU TCP UDP POD\n"));
}

// A document for each look, a line or a document for each packet.
TEST_F(Forms, StreamsAreDocumentsOneAfterTheOther) {
  const Process pings = pod_.start("exec ping -i 0.05 " + far_.address());
  ASSERT_TRUE(eventually([&] { return ctl(a_, "counters --watch 0.2 --count 1").out.find("protocol") != std::string::npos; }));
  const json looks = read_yaml(a_, ctl(a_, "counters --watch 0.3 --count 2 -o yaml").out);
  ASSERT_EQ(looks.size(), 2U);
  EXPECT_TRUE(looks.at(1).at(0).at("packets_per_second").is_number()) << looks.dump(1);
  EXPECT_THAT(ctl(a_, "counters --watch 0.3 --count 1 -o wide").out, HasSubstr("PACKETS/S"));

  const std::string trace = "trace --reason protocol --count 2 --seconds 30";
  const json packets = read_yaml(a_, ctl(a_, trace + " -o yaml").out);
  ASSERT_EQ(packets.size(), 2U);
  for (const json& packet : packets) EXPECT_EQ(packet.at("reason"), "protocol");
  std::istringstream lines(ctl(a_, trace + " -o json").out);
  for (std::string line; std::getline(lines, line);) EXPECT_EQ(json::parse(line).at("reason"), "protocol");
  EXPECT_THAT(ctl(a_, trace).out, Not(HasSubstr("translations of it are known to the stack only")));
  EXPECT_THAT(ctl(a_, trace + " -o wide").out, HasSubstr("(neither TCP nor UDP (ICMP): translations of it are known to the stack only)"));
}

// Lines of what `command` prints on a terminal of 80 columns; the terminal ends them with "\r\n".
std::vector<std::string> on_terminal(const Place& where, const std::string& command) {
  std::istringstream text(where.must(fmt::format("script -qec 'stty cols 80 rows 24; {}' /dev/null", command)));
  std::vector<std::string> lines;
  for (std::string line; std::getline(text, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(line);
  }
  return lines;
}

size_t columns_of(const std::string& line) {
  size_t columns = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\033') {
      i = line.find('m', i);
      continue;
    }
    columns += (static_cast<unsigned char>(line[i]) & 0xc0U) == 0x80U ? 0 : 1;
  }
  return columns;
}

TEST_F(Forms, ATerminalOf80ColumnsHoldsThem) {
  a_.must("printf nonsense > " + lab_.lease_dir() + "/subnets/10.99.77.0-24");
  ASSERT_TRUE(eventually([&] { return ctl(a_, "leases").out.find("10.99.77.0-24") != std::string::npos; }, std::chrono::seconds(30)));
  // Of Kubernetes a name stands beside each node's address.
  for (const bool named : {false, true}) {
    if (named) {
      json leases = json::parse(ctl(a_, "leases -o json").out);
      for (json& lease : leases) lease["name"] = "ip-192-168-88-12";
      a_.write("/run/merino/leases.json", leases.dump());
    }
    for (const std::string& command :
         {std::string("status"), std::string("pods"), std::string("peers"), std::string("leases"), std::string("counters --all"),
          std::string("drops"), std::string("check"), fmt::format("route {} {}", pod_.address(), far_.address())}) {
      const std::vector<std::string> lines = on_terminal(a_, std::string(MERINOCTL) + " " + command);
      for (const std::string& line : lines) EXPECT_LE(columns_of(line), 80U) << command << ":\n" << line;
      EXPECT_THAT(fmt::format("{}", fmt::join(lines, "\n")), HasSubstr("\033[")) << command << ": colours on a terminal";
    }
  }
  for (const std::string& line : on_terminal(a_, "NO_COLOR=1 " MERINOCTL " status")) EXPECT_THAT(line, Not(HasSubstr("\033")));
  EXPECT_THAT(ctl(a_, "counters --all").out, HasSubstr("neither TCP nor UDP (ICMP): translations of it are known to the stack only\n"))
      << "not folded in a pipe";
}

}  // namespace
}  // namespace merino::lab::merinoctl_forms_test
