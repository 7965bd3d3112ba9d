// The slow path through hosts whose FORWARD policy is to drop: pods reach a host outside, in each of the ways in which a policy can be set.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "lab/lab.h"
#include "lab/traffic.h"

namespace merino::lab::agent_rules_test {
namespace {

using testing::HasSubstr;

constexpr const char* kFrom = "-A FORWARD -s 10.244.0.0/16 -m comment --comment \"merino forward\" -j ACCEPT";
constexpr const char* kTo = "-A FORWARD -d 10.244.0.0/16 -m comment --comment \"merino forward\" -j ACCEPT";

long count(const std::string& text, const std::string& line) {
  long found = 0;
  std::istringstream lines(text);
  for (std::string each; std::getline(lines, each);) found += each.find(line) != std::string::npos ? 1 : 0;
  return found;
}

// Until the agent looked at the rules three more times; it says nothing of a look, so this is the one place that waits for time.
void let_it_look(const Node& node) { node.must("sleep 3.2"); }

struct Policy {
  const char* name;
  const char* command;
};

void PrintTo(const Policy& policy, std::ostream* out) { *out << policy.name; }

class DroppingPolicy : public testing::TestWithParam<Policy> {};
INSTANTIATE_TEST_SUITE_P(
    By, DroppingPolicy,
    testing::Values(Policy{"IptablesNft", "iptables-nft -P FORWARD DROP"}, Policy{"IptablesLegacy", "iptables-legacy -P FORWARD DROP"},
                    Policy{"Nft",
                           "nft add table inet fw; nft 'add chain inet fw forward { type filter hook forward priority 10; policy drop; }'"},
                    Policy{"LastRule", "iptables-nft -A FORWARD -s 172.16.0.0/12 -j ACCEPT; iptables-nft -A FORWARD -j REJECT"},
                    Policy{"Firewalld", "nft -f " FIREWALLD_RULES},
                    Policy{"FirewalldDrop", "sed 's/reject with icmpx admin-prohibited/drop/' " FIREWALLD_RULES " | nft -f -"},
                    Policy{"NftIp", "nft add table ip fw; nft 'add chain ip fw f { type filter hook forward priority -5; policy drop; }'"},
                    Policy{"All",
                           "iptables-nft -P FORWARD DROP; iptables-legacy -P FORWARD DROP; nft add table inet fw; nft 'add chain inet fw "
                           "forward { type filter hook forward priority 10; policy drop; }'"}),
    [](const auto& each) { return std::string(each.param.name); });

TEST_P(DroppingPolicy, LetsPodsThrough) {
  Lab lab;
  Node& node = lab.add_node("a", {.flags = "--ip-masq --iptables-resync=1", .before_start = GetParam().command});
  Machine& outside = lab.add_host("outside", Segment::lan1);
  node.wait_ready();
  const Pod& pod = node.add_pod("a1");
  const TrafficServer server(outside, 7300);
  const TrafficResult tcp = traffic(pod, "tcp --up 100000 --down 100000 --to " + outside.address() + ":7300");
  EXPECT_TRUE(tcp.ok) << tcp.line;
  EXPECT_EQ(tcp.seen_as, node.address()) << "masqueraded";
}

TEST_P(DroppingPolicy, WithoutTheFlagItDrops) {
  Lab lab;
  Node& node =
      lab.add_node("a", {.flags = "--ip-masq --iptables-resync=1 --iptables-forward-rules=false", .before_start = GetParam().command});
  Machine& outside = lab.add_host("outside", Segment::lan1);
  node.wait_ready();
  const Pod& pod = node.add_pod("a1");
  EXPECT_FALSE(ping(pod, "-c 2 -i 0.1 -W 1 " + outside.address()).all());
}

TEST(Forward, PoliciesThatComeLaterAndRulesThatGo) {
  Lab lab;
  Node& node = lab.add_node("a", {.flags = "--ip-masq --iptables-resync=1"});
  Machine& outside = lab.add_host("outside", Segment::lan1);
  node.wait_ready();
  const Pod& pod = node.add_pod("a1");
  const auto passes = [&] { return ping(pod, "-c 1 -W 1 " + outside.address()).all(); };
  ASSERT_TRUE(passes());
  for (const std::string iptables : {"iptables-nft", "iptables-legacy"}) {
    node.must(iptables + " -P FORWARD DROP");
    EXPECT_TRUE(eventually(passes)) << iptables;
    node.must(iptables + " -F FORWARD");
    EXPECT_TRUE(eventually([&] { return count(node.must(iptables + " -S FORWARD"), "merino forward") == 2; })) << iptables;
    EXPECT_TRUE(passes());
  }
}

TEST(Forward, IptablesListsTheRulesOnceAndCanSaveThem) {
  Lab lab;
  Node& node =
      lab.add_node("a", {.flags = "--iptables-resync=1", .before_start = "iptables-nft -P FORWARD DROP; iptables-legacy -P FORWARD DROP"});
  node.wait_ready();
  let_it_look(node);
  for (const std::string iptables : {"iptables-nft", "iptables-legacy"}) {
    const std::string listing = node.must(iptables + " -S FORWARD");
    EXPECT_EQ(count(listing, kFrom), 1) << iptables << "\n" << listing;
    EXPECT_EQ(count(listing, kTo), 1) << iptables << "\n" << listing;
    EXPECT_EQ(count(listing, "-A FORWARD"), 2) << listing;
  }
  // Saved and restored by iptables the rules have another form in the kernel; they still count as the agent's own.
  node.must("iptables-nft-save > /run/saved && iptables-nft -F FORWARD && iptables-nft-restore < /run/saved");
  let_it_look(node);
  EXPECT_EQ(count(node.must("iptables-nft -S FORWARD"), "merino forward"), 2) << node.must("nft -a list ruleset");
  EXPECT_TRUE(node.run("iptables-nft -D FORWARD -s 10.244.0.0/16 -m comment --comment 'merino forward' -j ACCEPT").ok())
      << "can be deleted by hand";
}

TEST(Forward, BothFamilies) {
  Lab lab;
  Node& node =
      lab.add_node("a", {.net_conf = net_conf({Backend::vxlan, Families::dual}),
                         .flags = "--ip-masq --iptables-resync=1",
                         .before_start = "iptables-nft -P FORWARD DROP; ip6tables-nft -P FORWARD DROP; ip6tables-legacy -P FORWARD DROP;"
                                         "nft -f " FIREWALLD_RULES ";"
                                         "nft add table inet fw; nft 'add chain inet fw f { type filter hook forward priority 10; policy "
                                         "drop; }'"});
  Machine& outside = lab.add_host("outside", Segment::lan1);
  node.wait_ready();
  const Pod& pod = node.add_pod("a1");
  const TrafficServer server(outside, 7300);
  for (const Family family : {Family::v4, Family::v6}) {
    const TrafficResult tcp = traffic(pod, "tcp --up 100000 --down 100000 --to " + endpoint(outside.address(family), 7300));
    EXPECT_TRUE(tcp.ok) << tcp.line;
    EXPECT_EQ(tcp.seen_as, node.address(family)) << "masqueraded";
  }
  let_it_look(node);
  EXPECT_EQ(count(node.must("nft list chain inet fw f"), "merino forward"), 4) << "neither family takes the other's for stale";
  EXPECT_EQ(count(node.must("ip6tables-nft -S FORWARD"), "-A FORWARD -s fd10:244::/48 -m comment --comment \"merino forward\" -j ACCEPT"),
            1);
  EXPECT_EQ(count(node.must("ip6tables-legacy -S FORWARD"), "merino forward"), 2);
  node.must("nft delete table ip6 merino; nft flush chain inet fw f");
  EXPECT_TRUE(eventually([&] { return count(node.must("nft list ruleset"), "ip6 saddr fd10:244::/48 ip6 daddr != ff00::/8") == 1; }));
  EXPECT_TRUE(eventually([&] { return count(node.must("nft list chain inet fw f"), "merino forward") == 4; }));
}

TEST(Forward, AnOperatorsRuleOutranksOurs) {
  Lab lab;
  Node& node =
      lab.add_node("a", {.flags = "--ip-masq --iptables-resync=1",
                         .before_start = "iptables-nft -P FORWARD DROP; iptables-nft -A FORWARD -d 192.168.89.0/24 -p udp -j DROP"});
  Machine& outside = lab.add_host("outside", Segment::lan1);
  node.wait_ready();
  const Pod& pod = node.add_pod("a1");
  const TrafficServer server(outside, 7300);
  EXPECT_TRUE(traffic(pod, "tcp --to " + outside.address() + ":7300").ok);
  EXPECT_FALSE(traffic(pod, "udp --payload 1 --count 2 --timeout 200 --to " + outside.address() + ":7300").ok)
      << "what the operator forbade";
}

TEST(Forward, AcceptInAChainOfOnesOwnWouldNotDo) {
  // Why the rules stand in other people's chains.
  Lab lab;
  Node& node = lab.add_node(
      "a", {.flags = "--ip-masq --iptables-forward-rules=false",
            .before_start =
                "iptables-nft -P FORWARD DROP; nft add table ip own; nft 'add chain ip own f { type filter hook forward priority -10; }';"
                "nft add rule ip own f ip saddr 10.244.0.0/16 accept; nft add rule ip own f ip daddr 10.244.0.0/16 accept"});
  Machine& outside = lab.add_host("outside", Segment::lan1);
  node.wait_ready();
  const Pod& pod = node.add_pod("a1");
  EXPECT_FALSE(ping(pod, "-c 2 -i 0.1 -W 1 " + outside.address()).all());
}

TEST(Forward, OpenPoliciesAreLeftAlone) {
  Lab lab;
  Node& node = lab.add_node("a", {.flags = "--iptables-resync=1",
                                  .before_start = "iptables-nft -A FORWARD -j ACCEPT; nft add table inet fw;"
                                                  "nft 'add chain inet fw input { type filter hook input priority 0; policy accept; }'"});
  node.wait_ready();
  let_it_look(node);
  EXPECT_EQ(count(node.must("nft list ruleset"), "merino forward"), 0);
  EXPECT_EQ(count(node.must("cat /proc/net/ip_tables_names 2>/dev/null || true"), "filter"), 0)
      << "looking must not make the legacy tables";
}

}  // namespace
}  // namespace merino::lab::agent_rules_test
