// flanneld's rules, as nft lists them.
#include <gtest/gtest.h>

#include "agent/takeover.h"

namespace merino {
namespace agent_takeover_test {

TEST(FlannelDevice, HasANameForEachFamily) {
  EXPECT_EQ(flannel_device_name(1, Family::v4), "flannel.1");
  EXPECT_EQ(flannel_device_name(7, Family::v6), "flannel-v6.7");
}

TEST(FlannelRules, ChainsOfIptables) {
  const auto chains = parse_flannel_chains(R"({"nftables":[{"metainfo":{"version":"1.0.6"}},
    {"chain":{"family":"ip","table":"nat","name":"FLANNEL-POSTRTG","handle":1}},
    {"chain":{"family":"ip","table":"filter","name":"FLANNEL-FWD","handle":2}},
    {"chain":{"family":"ip6","table":"nat","name":"FLANNEL-POSTRTG","handle":3}},
    {"chain":{"family":"ip","table":"filter","name":"FLANNEL-POSTRTG","handle":4}},
    {"chain":{"family":"inet","table":"nat","name":"FLANNEL-POSTRTG","handle":5}},
    {"chain":{"family":"ip","table":"nat","name":"KUBE-POSTROUTING","handle":6}},
    {"chain":{"family":5,"table":[],"name":null}}]})");
  ASSERT_TRUE(chains) << chains.error().message();
  const std::vector<FlannelChain> expected = {
      {"ip", "nat", "FLANNEL-POSTRTG"}, {"ip", "filter", "FLANNEL-FWD"}, {"ip6", "nat", "FLANNEL-POSTRTG"}};
  EXPECT_EQ(*chains, expected);
  EXPECT_FALSE(parse_flannel_chains("[]"));
  EXPECT_FALSE(parse_flannel_chains("no JSON"));
}

TEST(FlannelRules, TablesOfNftables) {
  const auto tables = parse_flannel_tables(R"({"nftables":[{"table":{"family":"ip","name":"flannel-ipv4","handle":1}},
    {"table":{"family":"ip6","name":"flannel-ipv6","handle":2}},{"table":{"family":"ip","name":"flannel-ipv6","handle":3}},
    {"table":{"family":"ip","name":"merino","handle":4}}]})");
  EXPECT_EQ(*tables, (std::vector<std::string>{"ip flannel-ipv4", "ip6 flannel-ipv6"}));
}

TEST(FlannelRules, JumpsToAChain) {
  const auto jumps = parse_jumps(R"({"nftables":[
    {"rule":{"family":"ip","chain":"POSTROUTING","handle":7,"expr":[{"xt":{"name":"comment"}},{"counter":{}},{"jump":{"target":"FLANNEL-POSTRTG"}}]}},
    {"rule":{"family":"ip","chain":"POSTROUTING","handle":8,"expr":[{"jump":{"target":"KUBE-POSTROUTING"}}]}},
    {"rule":{"family":"ip","chain":"POSTROUTING","handle":-9,"expr":[{"jump":{"target":"FLANNEL-POSTRTG"}}]}},
    {"rule":{"family":"ip","chain":"POSTROUTING","handle":10,"expr":[{"jump":5},"accept",null]}}]})",
                                 "FLANNEL-POSTRTG");
  ASSERT_TRUE(jumps) << jumps.error().message();
  EXPECT_EQ(*jumps, std::vector<uint64_t>{7});
}

}  // namespace agent_takeover_test
}  // namespace merino
