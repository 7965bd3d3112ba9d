// A pod with CAP_NET_RAW plays router and neighbour. Neither the host nor a pod beside it believes it, although both listen here: a route,
// an address, an MTU, a hop limit, or whose MAC is whose. That they do listen is shown by saying the same from the other side.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lab/lab.h"
#include "lab/traffic.h"

namespace merino::lab::rogue_router_test {
namespace {

constexpr int kCount = 3;
constexpr const char* kAllNodes = "33:33:00:00:00:01";

class RogueRouter : public testing::Test {
 protected:
  RogueRouter() {
    lab_.wait_ready();
    attacker_ = &a_.add_pod("attacker");
    neighbour_ = &a_.add_pod("neighbour");
    // Whatever they are by default, here both would take what a router says.
    neighbour_->must("cd /proc/sys/net/ipv6/conf/eth0 && echo 2 > accept_ra && echo 1 > autoconf && echo 1 > accept_redirects");
    host_side_ = host_side(*attacker_);
    a_.must(
        fmt::format("cd /proc/sys/net/ipv6/conf/{} && echo 2 > accept_ra && echo 1 > autoconf && echo 1 > accept_redirects", host_side_));
  }

  [[nodiscard]] std::string host_side(const Pod& pod) const {
    const std::string index = pod.must("ip -o link show eth0 | sed 's/.*eth0@if\\([0-9]*\\):.*/\\1/' | tr -d '\\n'");
    return a_.must(fmt::format("ip -o link | sed -n 's/^{}: \\([^@]*\\)@.*/\\1/p' | tr -d '\\n'", index));
  }
  static std::string mac(const Place& where, const std::string& interface) {
    return where.must(fmt::format("ip -br link show dev {} | awk '{{printf \"%s\", $3}}'", interface));
  }
  static std::string link_local(const Place& where, const std::string& interface) {
    return where.must(fmt::format("ip -6 -br addr show dev {} scope link | grep -o 'fe80[^/]*' | head -1 | tr -d '\\n'", interface));
  }

  // What a router could change.
  [[nodiscard]] static std::string beliefs(const Place& where) {
    return where.must(
        "ip -6 route | sed 's/ expires [0-9a-z]*//'; ip route; ip -br addr; ip neigh show nud permanent; ip -4 neigh show nud reachable "
        "nud stale; "
        "for conf in /proc/sys/net/ipv6/conf/*; do echo $conf $(cat $conf/hop_limit $conf/mtu); done");
  }

  // The attacker says it; then, behind it on the same way, something honest, which has arrived when it is answered.
  void say(const std::string& what) {
    const TrafficResult sent =
        traffic(*attacker_, fmt::format("neighbour --source-mac {} --count {} {}", mac(*attacker_, "eth0"), kCount, what));
    ASSERT_TRUE(sent.ok) << what << sent.line;
    for (const Family family : {Family::v4, Family::v6}) EXPECT_TRUE(ping(*attacker_, "-c 1 -W 5 " + neighbour_->address(family)).all());
  }

  void expect_in_vain(const std::string& what, merino_reason reason) {
    SCOPED_TRACE(what);
    const std::string of_host = beliefs(a_);
    const std::string of_neighbour = beliefs(*neighbour_);
    const Counters before = a_.counters();
    say(what);
    EXPECT_EQ(beliefs(a_), of_host);
    EXPECT_EQ(beliefs(*neighbour_), of_neighbour);
    EXPECT_EQ((a_.counters() - before)[reason], static_cast<uint64_t>(kCount)) << (a_.counters() - before).to_string();
  }

  Lab lab_;
  Node& a_ = lab_.add_node("a", {.net_conf = net_conf({Backend::vxlan, Families::dual})});
  Pod* attacker_ = nullptr;
  Pod* neighbour_ = nullptr;
  std::string host_side_;
};

TEST_F(RogueRouter, RouterAdvertisementsDoNotMatter) {
  const std::string host_mac = mac(a_, host_side_);
  const std::string from = link_local(*attacker_, "eth0");
  for (const std::string& to : {fmt::format("--to ff02::1 --target-mac {}", kAllNodes),
                                fmt::format("--to {} --target-mac {}", link_local(a_, host_side_), host_mac),
                                fmt::format("--to {} --target-mac {}", a_.gateway(Family::v6), host_mac),
                                fmt::format("--to {} --target-mac {}", neighbour_->address(Family::v6), host_mac)}) {
    expect_in_vain(fmt::format("--kind advertisement --from {} {}", from, to), MERINO_ROGUE_ROUTER);
  }
  // From the host's side, which is none of the pod's, the neighbour takes every word of it.
  const std::string side = host_side(*neighbour_);
  const TrafficResult sent =
      traffic(a_, fmt::format("neighbour --interface {} --source-mac {} --kind advertisement --from fe80::bad --to ff02::1 "
                              "--target-mac {}",
                              side, mac(a_, side), kAllNodes));
  ASSERT_TRUE(sent.ok) << sent.line;
  EXPECT_TRUE(eventually([&] { return beliefs(*neighbour_).find("2001:db8:bad:") != std::string::npos; })) << beliefs(*neighbour_);
  EXPECT_EQ(neighbour_->must("cat /proc/sys/net/ipv6/conf/eth0/mtu"), "1280\n");
  EXPECT_EQ(neighbour_->must("cat /proc/sys/net/ipv6/conf/eth0/hop_limit"), "7\n");
}

TEST_F(RogueRouter, RedirectsDoNotMatter) {
  const std::string from = link_local(*attacker_, "eth0");
  for (const std::string& to : {neighbour_->address(Family::v6), a_.gateway(Family::v6)}) {
    expect_in_vain(fmt::format("--kind redirect --from {} --to {} --target {} --about 2001:db8::8 --target-mac {}", from, to, from,
                               mac(a_, host_side_)),
                   MERINO_ROGUE_ROUTER);
  }
}

TEST_F(RogueRouter, ClaimsOfAnothersAddressDoNotMatter) {
  const std::string host_mac = mac(a_, host_side_);
  for (const std::string& claimed : {a_.gateway(Family::v6), neighbour_->address(Family::v6), a_.address(Family::v6)}) {
    for (const std::string& to : {fmt::format("--to ff02::1 --target-mac {}", kAllNodes),
                                  fmt::format("--to {} --target-mac {}", neighbour_->address(Family::v6), host_mac)}) {
      expect_in_vain(fmt::format("--kind answer --from {} --target {} {}", attacker_->address(Family::v6), claimed, to),
                     MERINO_SPOOFED_ARP);
    }
  }
  for (const std::string& claimed : {a_.gateway(), neighbour_->address(), a_.address()}) {
    for (const std::string& to : {std::string("ff:ff:ff:ff:ff:ff"), host_mac})
      expect_in_vain(fmt::format("--kind arp --from {} --to {} --target-mac {}", claimed, neighbour_->address(), to), MERINO_SPOOFED_ARP);
  }
}

}  // namespace
}  // namespace merino::lab::rogue_router_test
