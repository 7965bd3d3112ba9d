// Routes of table main, in both families.
#include <gmock/gmock.h>
#include <linux/rtnetlink.h>

#include <algorithm>

#include "netlink_fixture.h"

namespace merino::netlink_route_test {
namespace {

using testing::HasSubstr;

class Routes : public NetlinkTest {
 protected:
  void SetUp() override {
    NetlinkTest::SetUp();
    for (const char* name : {"d0", "d1"}) {
      make_device(name);
      run_ip(std::string("link set ") + name + " up");
    }
    run_ip("addr add 192.0.2.1/24 dev d0");
    run_ip("addr add fd00::1/64 dev d0 nodad");
    d0 = index_of("d0");
    d1 = index_of("d1");
  }
  Route on_link(const char* destination, unsigned link_index) {
    Route route;
    route.destination = prefix(destination);
    route.link_index = link_index;
    route.scope = RT_SCOPE_LINK;
    return route;
  }
  Route via(const char* destination, const char* gateway, unsigned link_index) {
    Route route;
    route.destination = prefix(destination);
    route.gateway = ip(gateway);
    route.link_index = link_index;
    return route;
  }
  // Set now, left alone the second time, and the only one for its destination.
  void expect_set(const Route& route) {
    const std::string name = route.destination.to_string();
    EXPECT_TRUE(must(netlink().ensure_route(route))) << name;
    EXPECT_FALSE(must(netlink().ensure_route(route))) << name;
    const auto all = must(netlink().routes(route.destination.family()));
    EXPECT_EQ(std::ranges::count(all, route.destination, &Route::destination), 1) << name;
    EXPECT_EQ(std::ranges::count(all, route), 1) << name;
  }
  unsigned d0 = 0;
  unsigned d1 = 0;
};

// bpf_redirect_neigh() looks for its route with the interface given.
TEST_F(Routes, ThoseOverAnInterface) {
  run_ip("route add 10.1.0.0/16 via 192.0.2.2");
  run_ip("route add 10.2.0.0/16 dev d1");
  run_ip("route add 10.3.0.0/16 nexthop via 192.0.2.3 nexthop dev d1");
  std::vector<std::string> destinations;
  for (const Route& route : must(netlink().routes_over(d0, Family::v4))) destinations.push_back(route.destination.to_string());
  EXPECT_THAT(destinations, testing::UnorderedElementsAre("192.0.2.0/24", "10.1.0.0/16", "10.3.0.0/16"));
}

TEST_F(Routes, RulesBesideTheKernelsAreNoticed) {
  EXPECT_FALSE(must(netlink().has_policy_rules(Family::v4)));
  EXPECT_FALSE(must(netlink().has_policy_rules(Family::v6)));
  run_ip("rule add to 198.51.100.0/24 lookup 77");
  EXPECT_TRUE(must(netlink().has_policy_rules(Family::v4)));
  EXPECT_FALSE(must(netlink().has_policy_rules(Family::v6)));
  run_ip("rule del to 198.51.100.0/24 lookup 77");
  EXPECT_FALSE(must(netlink().has_policy_rules(Family::v4)));
}

TEST_F(Routes, EveryShapeIsSetOnce) {
  expect_set(on_link("10.244.0.0/16", d0));
  expect_set(on_link("10.244.1.5/32", d0));
  expect_set(on_link("0.0.0.0/1", d1));
  expect_set(via("10.245.0.0/16", "192.0.2.2", d0));
  expect_set(via("0.0.0.0/0", "192.0.2.2", d0));
  expect_set(on_link("fd10::/48", d0));
  expect_set(on_link("fd10::5/128", d0));
  expect_set(via("fd11::/48", "fd00::2", d0));
  expect_set(via("::/0", "fd00::2", d0));
  expect_set(via("fd12::/48", "fe80::2", d0));
  EXPECT_THAT(run_ip("route"), HasSubstr("10.244.1.5 dev d0 proto static scope link"));
  EXPECT_THAT(run_ip("route"), HasSubstr("default via 192.0.2.2 dev d0 proto static"));
  EXPECT_THAT(run_ip("-6 route"), HasSubstr("fd10::5 dev d0 proto static metric 1024"));
}

TEST_F(Routes, SourceAndMtu) {
  Route route = via("10.245.0.0/16", "192.0.2.2", d0);
  route.source = ip("192.0.2.1");
  route.mtu = 1400;
  expect_set(route);
  EXPECT_THAT(run_ip("route"), HasSubstr("src 192.0.2.1 mtu 1400"));
  route.mtu = 1300;
  expect_set(route);
  route.mtu = 0;
  route.source.reset();
  expect_set(route);
}

TEST_F(Routes, HostBitsOfTheDestinationAreCleared) {
  EXPECT_TRUE(must(netlink().ensure_route(on_link("10.244.1.5/16", d0))));
  EXPECT_FALSE(must(netlink().ensure_route(on_link("10.244.0.0/16", d0))));
}

TEST_F(Routes, OtherRoutesByHandArePutRight) {
  for (const char* destination : {"10.244.0.0/16", "10.244.1.5/32", "0.0.0.0/0"}) {
    const Route wanted = on_link(destination, d0);
    for (const char* by_hand : {"dev d1", "via 192.0.2.9 dev d0", "dev d0 src 192.0.2.1", "dev d0 mtu 1000"}) {
      must(netlink().ensure_route(wanted));
      run_ip(std::string("route replace ") + destination + " " + by_hand);
      expect_set(wanted);
    }
    run_ip(std::string("route del ") + destination);
    run_ip(std::string("route add blackhole ") + destination);
    expect_set(wanted);
    EXPECT_THAT(run_ip("route show type blackhole"), "");
    run_ip(std::string("route del ") + destination);
    expect_set(wanted);
  }
}

TEST_F(Routes, OtherIpv6RoutesByHandArePutRight) {
  for (const char* destination : {"fd10::/48", "fd10::5/128", "::/0"}) {
    const Route wanted = on_link(destination, d0);
    for (const char* by_hand : {"dev d1", "via fd00::9 dev d0", "dev d0 src fd00::1", "dev d0 mtu 1300"}) {
      must(netlink().ensure_route(wanted));
      run_ip(std::string("-6 route replace ") + destination + " " + by_hand);
      expect_set(wanted);
    }
    run_ip(std::string("-6 route del ") + destination);
    expect_set(wanted);
  }
}

TEST_F(Routes, SeveralNextHopsAreReplaced) {
  run_ip("route add 10.244.0.0/16 nexthop via 192.0.2.8 nexthop via 192.0.2.9");
  expect_set(on_link("10.244.0.0/16", d0));
}

TEST_F(Routes, ARouteInFrontOfTheWantedOneGoes) {
  for (const char* destination : {"10.244.0.0/16", "10.244.1.5/32"}) {
    must(netlink().ensure_route(on_link(destination, d0)));
    run_ip(std::string("route prepend ") + destination + " dev d1 scope link");
    run_ip(std::string("route prepend ") + destination + " via 192.0.2.9 dev d0");
    expect_set(on_link(destination, d0));
  }
}

TEST_F(Routes, LongerPrefixesAndOtherMetricsAndTablesStay) {
  run_ip("route add 10.244.0.0/24 dev d1");
  run_ip("route add 10.244.0.0/16 dev d1 metric 50");
  run_ip("route add 10.244.0.0/16 dev d1 table 100");
  EXPECT_TRUE(must(netlink().ensure_route(on_link("10.244.0.0/16", d0))));
  EXPECT_FALSE(must(netlink().ensure_route(on_link("10.244.0.0/16", d0))));
  const std::string shown = run_ip("route");
  EXPECT_THAT(shown, HasSubstr("10.244.0.0/24 dev d1"));
  EXPECT_THAT(shown, HasSubstr("10.244.0.0/16 dev d1 scope link metric 50"));
  EXPECT_THAT(run_ip("route show table 100"), HasSubstr("10.244.0.0/16 dev d1"));
}

TEST_F(Routes, ATableThatIsAskedFirstDoesNotHideTheRoute) {
  run_ip("route add 10.244.1.5/32 dev d1 table 100");
  run_ip("rule add pref 10 lookup 100");
  expect_set(on_link("10.244.1.5/32", d0));
}

TEST_F(Routes, ALocalAddressDoesNotHideTheRoute) {
  run_ip("addr add 10.244.0.0/32 dev d1");
  expect_set(on_link("10.244.0.0/16", d1));
}

TEST_F(Routes, RefusalsSayWhatAndWhy) {
  const Error unreachable = error_of(netlink().ensure_route(via("10.244.0.0/16", "203.0.113.1", d0)));
  EXPECT_EQ(unreachable.sys_errno, ENETUNREACH);
  EXPECT_THAT(unreachable.message(), HasSubstr("set route 10.244.0.0/16"));
  EXPECT_THAT(unreachable.message(), HasSubstr("Nexthop has invalid gateway"));
  EXPECT_EQ(error_of(netlink().ensure_route(on_link("10.244.0.0/16", 4711))).kind, ErrorKind::not_found);
  run_ip("link set d1 down");
  EXPECT_EQ(error_of(netlink().ensure_route(on_link("10.244.0.0/16", d1))).sys_errno, ENETDOWN);
}

TEST_F(Routes, RemovedOnceOrTwice) {
  for (const Route& route : {on_link("10.244.1.5/32", d0), via("0.0.0.0/0", "192.0.2.2", d0), on_link("fd10::/48", d0)}) {
    must(netlink().ensure_route(route));
    must(netlink().remove_route(route));
    const auto all = must(netlink().routes(route.destination.family()));
    EXPECT_EQ(std::ranges::count(all, route.destination, &Route::destination), 0);
    must(netlink().remove_route(route));
  }
  must(netlink().remove_route(on_link("10.244.1.5/32", 4711)));
}

TEST_F(Routes, RemovedAlsoIfItsSourceIsAnother) {
  run_ip("route add 10.244.1.5/32 dev d0 src 192.0.2.1");
  Route route = on_link("10.244.1.5/32", d0);
  route.source = ip("192.0.2.77");
  must(netlink().remove_route(route));
  EXPECT_EQ(must(netlink().routes(Family::v4)).size(), 1U);
}

TEST_F(Routes, RemovingLeavesTheRouteOfAnotherInterface) {
  run_ip("route add 10.244.1.5/32 dev d1");
  must(netlink().remove_route(on_link("10.244.1.5/32", d0)));
  EXPECT_THAT(run_ip("route"), HasSubstr("10.244.1.5 dev d1"));
}

TEST_F(Routes, ListIsOfTableMainOnly) {
  run_ip("route add 10.9.0.0/16 dev d0 table 100");
  run_ip("route add blackhole 10.8.0.0/16");
  const auto all = must(netlink().routes(Family::v4));
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].destination, prefix("192.0.2.0/24"));
  EXPECT_EQ(all[0].source, ip("192.0.2.1"));
}

TEST_F(Routes, ListOfManyIsComplete) {
  run("for i in $(seq 1000); do echo route add 10.$((i / 250)).$((i % 250)).0/24 dev d0; done | ip -batch -");
  EXPECT_EQ(must(netlink().routes(Family::v4)).size(), 1001U);
}

TEST_F(Routes, WhatTheKernelWouldUse) {
  run_ip("route add default via 192.0.2.254 dev d0");
  const Route far = must(netlink().route_to(ip("203.0.113.1")));
  EXPECT_EQ(far.link_index, d0);
  EXPECT_EQ(far.gateway, ip("192.0.2.254"));
  EXPECT_EQ(far.source, ip("192.0.2.1"));
  const Route near = must(netlink().route_to(ip("192.0.2.77")));
  EXPECT_EQ(near.link_index, d0);
  EXPECT_FALSE(near.gateway);
  const Route six = must(netlink().route_to(ip("fd00::77")));
  EXPECT_EQ(six.link_index, d0);
  EXPECT_EQ(six.source, ip("fd00::1"));
  EXPECT_EQ(must(netlink().route_to(ip("192.0.2.1"))).link_index, 1U);  // itself
}

TEST_F(Routes, UnreachableIsUnavailable) {
  run_ip("route add prohibit 198.51.100.0/24");
  run_ip("route add blackhole 198.51.101.0/24");
  for (const char* address : {"203.0.113.1", "fd99::1", "198.51.100.1", "198.51.101.1"}) {
    const Error error = error_of(netlink().route_to(ip(address)));
    EXPECT_EQ(error.kind, ErrorKind::unavailable) << address;
    EXPECT_THAT(error.message(), HasSubstr(std::string("look up the route to ") + address));
  }
}

}  // namespace
}  // namespace merino::netlink_route_test
