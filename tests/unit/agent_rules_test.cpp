#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/forward.h"
#include "agent/masquerade.h"

namespace merino {
namespace agent_rules_test {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

const Prefix kNetwork = *Prefix::parse("10.244.0.0/16");
const Prefix kNetworkV6 = *Prefix::parse("fd10:244::/48");

TEST(Masquerade, RulesAreFlannelsInOrder) {
  EXPECT_EQ(masquerade_table({kNetwork, *Prefix::parse("10.244.98.0/24"), MasqueradePorts::fully_random}),
            "table ip merino {\n"
            "\tchain postrouting {\n"
            "\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
            "\t\tmeta mark & 0x00004000 == 0x00004000 return comment \"merino masq\"\n"
            "\t\tip saddr 10.244.98.0/24 ip daddr 10.244.0.0/16 return comment \"merino masq\"\n"
            "\t\tip saddr 10.244.0.0/16 ip daddr 10.244.98.0/24 return comment \"merino masq\"\n"
            "\t\tip saddr != 10.244.0.0/16 ip daddr 10.244.98.0/24 return comment \"merino masq\"\n"
            "\t\tip saddr 10.244.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random comment \"merino masq\"\n"
            "\t\tip saddr != 10.244.0.0/16 ip daddr 10.244.0.0/16 masquerade fully-random comment \"merino masq\"\n"
            "\t}\n"
            "}\n");
}

TEST(Masquerade, Ipv6HasATableOfItsOwn) {
  EXPECT_EQ(masquerade_table({kNetworkV6, *Prefix::parse("fd10:244:0:62::/64"), MasqueradePorts::fully_random}),
            "table ip6 merino {\n"
            "\tchain postrouting {\n"
            "\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
            "\t\tmeta mark & 0x00004000 == 0x00004000 return comment \"merino masq\"\n"
            "\t\tip6 saddr fd10:244:0:62::/64 ip6 daddr fd10:244::/48 return comment \"merino masq\"\n"
            "\t\tip6 saddr fd10:244::/48 ip6 daddr fd10:244:0:62::/64 return comment \"merino masq\"\n"
            "\t\tip6 saddr != fd10:244::/48 ip6 daddr fd10:244:0:62::/64 return comment \"merino masq\"\n"
            "\t\tip6 saddr fd10:244::/48 ip6 daddr != ff00::/8 masquerade fully-random comment \"merino masq\"\n"
            "\t\tip6 saddr != fd10:244::/48 ip6 daddr fd10:244::/48 masquerade fully-random comment \"merino masq\"\n"
            "\t}\n"
            "}\n");
}

TEST(Masquerade, PortsCanBeKept) {
  const std::string table = masquerade_table({kNetwork, *Prefix::parse("10.244.98.1/24"), MasqueradePorts::kept});
  EXPECT_THAT(table, Not(HasSubstr("fully-random")));
  EXPECT_THAT(table, HasSubstr("ip daddr != 224.0.0.0/4 masquerade comment"));
  EXPECT_THAT(table, HasSubstr("ip saddr 10.244.98.0/24 ")) << "host bits are cleared";
}

std::string chain(const std::string& family, const std::string& table, const std::string& hook, const std::string& policy) {
  return R"({"chain":{"family":")" + family + R"(","table":")" + table + R"(","name":"FORWARD","handle":1,"type":"filter","hook":")" +
         hook + R"(","prio":0,"policy":")" + policy + R"("}})";
}

std::string listing(const std::string& objects) { return R"({"nftables":[{"metainfo":{"version":"1.0.6"}})" + objects + "]}"; }

TEST(Forward, ChainsAtForward) {
  const std::string text = listing("," + chain("ip", "filter", "forward", "drop") + "," + chain("inet", "fw", "forward", "drop") + "," +
                                   chain("ip", "open", "forward", "accept") + "," + chain("ip", "in", "input", "drop") + "," +
                                   chain("ip6", "six", "forward", "drop") + "," + chain("bridge", "b", "forward", "drop") +
                                   R"(,{"chain":{"family":"ip","table":"filter","name":"plain","handle":9}})");
  const auto chains = parse_forward_chains(text, Family::v4);
  ASSERT_TRUE(chains) << chains.error().message();
  EXPECT_THAT(*chains, ElementsAre(ForwardChain{"ip", "filter", "FORWARD", true}, ForwardChain{"inet", "fw", "FORWARD", true},
                                   ForwardChain{"ip", "open", "FORWARD", false}));
  EXPECT_THAT(*parse_forward_chains(text, Family::v6),
              ElementsAre(ForwardChain{"inet", "fw", "FORWARD", true}, ForwardChain{"ip6", "six", "FORWARD", true}));
  EXPECT_THAT(*parse_forward_chains(listing(""), Family::v4), IsEmpty());
}

std::string match(const std::string& field, const std::string& network, const std::string& op = "==") {
  return R"({"match":{"op":")" + op + R"(","left":{"payload":{"protocol":"ip","field":")" + field + R"("}},"right":{"prefix":{"addr":")" +
         network + R"(","len":16}}}})";
}

std::string rule(int handle, const std::string& expressions, const std::string& comment = "merino forward") {
  return R"(,{"rule":{"family":"ip","table":"filter","chain":"FORWARD","handle":)" + std::to_string(handle) +
         (comment.empty() ? "" : R"(,"comment":")" + comment + "\"") + R"(,"expr":[)" + expressions + "]}}";
}

const std::string kCounter = R"({"counter":{"packets":3,"bytes":180}})";
const std::string kXtComment = R"({"xt":{"type":"match","name":"comment"}})";
const std::string kAccept = R"({"accept":null})";

TEST(Forward, OurRulesAreFound) {
  const auto rules =
      parse_forward_rules(listing(rule(2, match("saddr", "10.244.0.0") + "," + kCounter + "," + kAccept) +
                                  rule(3, match("daddr", "10.244.0.0") + "," + kXtComment + "," + kCounter + "," + kAccept, "")),
                          kNetwork);
  ASSERT_TRUE(rules) << rules.error().message();
  EXPECT_TRUE(rules->from_network);
  EXPECT_TRUE(rules->to_network) << "as iptables restores it";
  EXPECT_THAT(rules->stale, IsEmpty());
}

TEST(Forward, OtherRulesAreNotOurs) {
  const auto rules = parse_forward_rules(
      listing(rule(2, match("saddr", "10.244.0.0") + R"(,{"drop":null})", "operator") +
              rule(3, match("daddr", "10.244.0.0", "!=") + "," + kAccept, "") +
              rule(4, match("daddr", "10.244.0.0") + "," + match("saddr", "10.1.0.0") + "," + kAccept, "") + rule(5, kAccept, "")),
      kNetwork);
  ASSERT_TRUE(rules);
  EXPECT_FALSE(rules->from_network);
  EXPECT_FALSE(rules->to_network);
  EXPECT_THAT(rules->stale, IsEmpty()) << "nobody else's rule is removed";
}

TEST(Forward, RulesOfAnotherNetworkAreStale) {
  const auto rules = parse_forward_rules(listing(rule(7, match("saddr", "10.9.0.0") + "," + kAccept)), kNetwork);
  ASSERT_TRUE(rules);
  EXPECT_FALSE(rules->from_network);
  EXPECT_THAT(rules->stale, ElementsAre(7U));
}

std::string match_v6(const std::string& field, const std::string& network) {
  return R"({"match":{"op":"==","left":{"payload":{"protocol":"ip6","field":")" + field + R"("}},"right":{"prefix":{"addr":")" + network +
         R"(","len":48}}}})";
}

// Both families have their rules in one chain of the family "inet".
TEST(Forward, RulesOfTheOtherFamilyAreNoStaleOnes) {
  const std::string text = listing(
      rule(2, match("saddr", "10.244.0.0") + "," + kAccept) + rule(3, match("daddr", "10.9.0.0") + "," + kAccept) +
      rule(4, match_v6("daddr", "fd10:244::") + "," + kCounter + "," + kAccept) + rule(5, match_v6("saddr", "fd99::") + "," + kAccept));
  const auto v4 = parse_forward_rules(text, kNetwork);
  ASSERT_TRUE(v4);
  EXPECT_TRUE(v4->from_network);
  EXPECT_FALSE(v4->to_network);
  EXPECT_THAT(v4->stale, ElementsAre(3U));
  const auto v6 = parse_forward_rules(text, kNetworkV6);
  ASSERT_TRUE(v6);
  EXPECT_FALSE(v6->from_network);
  EXPECT_TRUE(v6->to_network);
  EXPECT_THAT(v6->stale, ElementsAre(5U));
}

TEST(Forward, ALastRuleThatRefusesAllIsTheEnd) {
  const std::string some = match("saddr", "10.1.0.0") + "," + kAccept;
  const std::string jump = R"({"jump":{"target":"zones"}})";
  const std::string reject = R"({"reject":{"type":"icmpx","expr":"admin-prohibited"}})";
  const auto end = [](const std::string& rules) { return parse_forward_rules(listing(rules), kNetwork)->end; };
  EXPECT_EQ(end(rule(4, some, "") + rule(5, reject, "")), 5U);
  EXPECT_EQ(end(rule(4, some, "") + rule(5, kCounter + R"(,{"log":null},{"drop":null})", "")), 5U);
  EXPECT_EQ(end(rule(5, kCounter + R"(,{"xt":{"type":"target","name":"REJECT"}})", "")), 5U) << "as iptables writes it";
  EXPECT_EQ(end(rule(5, R"({"xt":{"type":"target","name":"LOG"}})", "")), std::nullopt);
  EXPECT_EQ(end(rule(4, jump, "") + rule(5, reject, "")), 5U) << "an operator's chain is asked first";
  EXPECT_EQ(end(rule(5, reject, "") + rule(6, some, "")), std::nullopt);
  EXPECT_EQ(end(rule(4, match("saddr", "10.1.0.0") + "," + reject, "")), std::nullopt) << "not for all";
  EXPECT_EQ(end(rule(4, kAccept, "") + rule(5, jump, "")), std::nullopt);
  EXPECT_EQ(end(""), std::nullopt);
  std::string firewalld = listing(rule(3, some, "") + rule(4, jump, "") + rule(5, reject, ""));
  for (size_t at = 0; (at = firewalld.find(R"("filter")", at)) != std::string::npos;) firewalld.replace(at, 8, R"("firewalld")");
  EXPECT_EQ(parse_forward_rules(firewalld, kNetwork)->end, 4U) << "its zones reject on their own";
}

TEST(Forward, WhatIsNoListing) {
  for (const std::string text : {"", "[]", "{}", R"({"nftables":3})"}) {
    EXPECT_FALSE(parse_forward_chains(text, Family::v4)) << text;
    EXPECT_FALSE(parse_forward_rules(text, kNetwork)) << text;
  }
  const auto odd = parse_forward_rules(
      R"({"nftables":[3,{"rule":7},{"rule":{}},{"rule":{"expr":3}},{"rule":{"expr":[1,{"xt":2}],"handle":"x"}}]})", kNetwork);
  ASSERT_TRUE(odd);
  EXPECT_FALSE(odd->from_network);
}

TEST(Forward, LegacyPolicy) {
  EXPECT_TRUE(legacy_policy_drops("-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n"));
  EXPECT_FALSE(legacy_policy_drops("-P FORWARD ACCEPT\n"));
  EXPECT_FALSE(legacy_policy_drops(""));
}

}  // namespace agent_rules_test
}  // namespace merino
