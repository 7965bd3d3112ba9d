#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "agent/uplink.h"

namespace merino {
namespace agent_uplink_test {

using testing::HasSubstr;

Link make_link(unsigned index, const std::string& name, int mtu = 1500) {
  Link link;
  link.index = index;
  link.name = name;
  link.mtu = mtu;
  link.flags = IFF_UP;
  link.ethernet = true;
  return link;
}

LinkAddress make_address(unsigned index, const std::string& prefix, uint32_t flags = IFA_F_PERMANENT) {
  return {index, *Prefix::parse(prefix), 0, flags};
}

// lo, eth0 (NAT, the default route), dummy0 with flannel's test addresses, tun0 without Ethernet, eth9 without an address.
NetworkSnapshot example() {
  NetworkSnapshot snapshot;
  Link lo = make_link(1, "lo", 65536);
  lo.flags |= IFF_LOOPBACK;
  Link tun = make_link(4, "tun0");
  tun.ethernet = false;
  snapshot.links = {lo, make_link(2, "eth0"), make_link(3, "dummy0", 9000), tun, make_link(5, "eth9")};
  snapshot.addresses = {make_address(1, "127.0.0.1/8"),        make_address(2, "10.0.2.15/24"),    make_address(3, "1.10.100.1/32"),
                        make_address(3, "192.168.200.128/32"), make_address(3, "172.16.30.18/32"), make_address(3, "172.16.31.200/32"),
                        make_address(4, "172.30.0.1/24"),      make_address(2, "fd00::2/64")};
  Route route;
  route.destination = *Prefix::parse("0.0.0.0/0");
  route.gateway = IpAddress::parse("10.0.2.2").value();
  route.link_index = 2;
  snapshot.routes = {route};
  return snapshot;
}

Result<Route> no_route(const IpAddress& to) { return fail(ErrorKind::unavailable, "no route to {}", to.to_string()); }

struct Case {
  std::string name;
  UplinkRequest request;
  std::string uplink;
  std::string address;
  std::string public_ip;
};

IpAddress ip(const std::string& text) { return *IpAddress::parse(text); }

class UplinkChoice : public testing::TestWithParam<Case> {};

TEST_P(UplinkChoice, IsFlannels) {
  const auto uplink = choose_uplink(GetParam().request, example(), no_route);
  ASSERT_TRUE(uplink) << uplink.error().message();
  EXPECT_EQ(uplink->name, GetParam().uplink);
  EXPECT_EQ(to_string(uplink->address), GetParam().address);
  EXPECT_EQ(to_string(uplink->public_ip), GetParam().public_ip);
}

INSTANTIATE_TEST_SUITE_P(
    Table, UplinkChoice,
    testing::Values(
        Case{"Default", {}, "eth0", "10.0.2.15", "10.0.2.15"},
        Case{"ByName", {{"dummy0"}, {}, {}, {}}, "dummy0", "1.10.100.1", "1.10.100.1"},
        Case{"ByAddress", {{"172.16.30.18"}, {}, {}, {}}, "dummy0", "172.16.30.18", "172.16.30.18"},
        Case{"SecondIface", {{"eth7", "dummy0"}, {}, {}, {}}, "dummy0", "1.10.100.1", "1.10.100.1"},
        Case{"UnusableIfaceIsPassedOver", {{"lo", "tun0", "eth9", "eth0"}, {}, {}, {}}, "eth0", "10.0.2.15", "10.0.2.15"},
        Case{"RegexAddress", {{}, {"192\\.168\\.200\\.\\d+"}, {}, {}}, "dummy0", "192.168.200.128", "192.168.200.128"},
        Case{"RegexName", {{}, {"dummy\\d+"}, {}, {}}, "dummy0", "1.10.100.1", "1.10.100.1"},
        Case{"RegexAddressBeforeName", {{}, {"0"}, {}, {}}, "eth0", "10.0.2.15", "10.0.2.15"},
        Case{"IfaceBeforeRegex", {{"eth0"}, {"dummy"}, {}, {}}, "eth0", "10.0.2.15", "10.0.2.15"},
        Case{"RegexAfterIface", {{"eth7"}, {"nothing", "dummy"}, {}, {}}, "dummy0", "1.10.100.1", "1.10.100.1"},
        Case{"RegexWithPublicIp", {{}, {"172\\.16\\.30\\.\\d+"}, {}, ip("172.16.31.200")}, "dummy0", "172.16.30.18", "172.16.31.200"},
        Case{"IfaceWithForeignPublicIp", {{"eth0"}, {}, {}, ip("203.0.113.9")}, "eth0", "10.0.2.15", "203.0.113.9"},
        Case{"PublicIpAlone", {{}, {}, {}, ip("172.16.31.200")}, "dummy0", "172.16.31.200", "172.16.31.200"}),
    [](const auto& each) { return each.param.name; });

TEST(Uplink, CanReachAsksTheKernel) {
  UplinkRequest request;
  request.iface_can_reach = ip("192.168.200.1");
  const auto route_to = [](const IpAddress& to) -> Result<Route> {
    EXPECT_EQ(to.to_string(), "192.168.200.1");
    Route route;
    route.link_index = 3;
    route.source = ip("192.168.200.128");
    return route;
  };
  const auto uplink = choose_uplink(request, example(), route_to);
  ASSERT_TRUE(uplink) << uplink.error().message();
  EXPECT_EQ(uplink->name, "dummy0");
  EXPECT_EQ(uplink->address, ip("192.168.200.128"));
  EXPECT_EQ(uplink->mtu, 9000);
  EXPECT_THAT(choose_uplink(request, example(), no_route).error().message(), HasSubstr("--iface-can-reach=192.168.200.1: no route to"));
}

TEST(Uplink, ErrorsNameWhatWasSoughtAndWhatIsThere) {
  const auto refusal = [](UplinkRequest request) { return choose_uplink(request, example(), no_route).error(); };
  const Error error = refusal({{"eth7", "10.9.9.9"}, {"^ens"}, {}, {}});
  EXPECT_EQ(error.kind, ErrorKind::not_found);
  for (const std::string part : {"--iface=eth7: there is no interface eth7", "--iface=10.9.9.9: no interface has the address 10.9.9.9",
                                 "--iface-regex=^ens: no interface's address or name matches", "eth0 (10.0.2.15, fd00::2)", "eth9",
                                 "; name an Ethernet interface"}) {
    EXPECT_THAT(error.message(), HasSubstr(part));
  }
  EXPECT_THAT(refusal({{"lo"}, {}, {}, {}}).message(), HasSubstr("lo is the loopback interface"));
  EXPECT_THAT(refusal({{"tun0"}, {}, {}, {}}).message(), HasSubstr("tun0 is not an Ethernet interface"));
  EXPECT_THAT(refusal({{"eth9"}, {}, {}, {}}).message(), HasSubstr("eth9 has no IPv4 address"));
  EXPECT_THAT(refusal({{}, {"("}, {}, {}}).message(), HasSubstr("( is not a regular expression"));
  EXPECT_THAT(refusal({{}, {}, {}, ip("203.0.113.9")}).message(), HasSubstr("--public-ip=203.0.113.9: no interface has the address"));
}

TEST(Uplink, NoDefaultRoute) {
  NetworkSnapshot snapshot = example();
  snapshot.routes.clear();
  const auto uplink = choose_uplink({}, snapshot, no_route);
  ASSERT_FALSE(uplink);
  EXPECT_THAT(uplink.error().message(), HasSubstr("there is no IPv4 default route"));
  EXPECT_THAT(uplink.error().message(), HasSubstr("dummy0 (1.10.100.1"));
  EXPECT_THAT(uplink.error().message(), HasSubstr("--iface"));
  EXPECT_THAT(choose_uplink({}, {}, no_route).error().message(), HasSubstr("no interfaces"));
}

TEST(Uplink, AddressOrder) {
  NetworkSnapshot snapshot;
  snapshot.links = {make_link(2, "eth0")};
  const auto chosen = [&](std::vector<LinkAddress> addresses) {
    snapshot.addresses = std::move(addresses);
    const auto uplink = choose_uplink({{"eth0"}, {}, {}, {}}, snapshot, no_route);
    return uplink ? to_string(uplink->address) : uplink.error().message();
  };
  EXPECT_EQ(chosen({make_address(2, "169.254.1.1/16"), make_address(2, "10.0.0.1/24")}), "10.0.0.1") << "global before link-local";
  EXPECT_EQ(chosen({make_address(2, "10.0.0.2/24", 0), make_address(2, "10.0.0.1/24")}), "10.0.0.1") << "permanent before dynamic";
  EXPECT_EQ(chosen({make_address(2, "169.254.1.1/16"), make_address(2, "10.0.0.2/24", 0)}), "10.0.0.2") << "global before permanent";
  EXPECT_EQ(chosen({make_address(2, "10.0.0.1/24", IFA_F_PERMANENT | IFA_F_DEPRECATED), make_address(2, "10.0.0.2/24", 0)}), "10.0.0.2");
  EXPECT_EQ(chosen({make_address(2, "10.0.0.3/24"), make_address(2, "10.0.0.1/24")}), "10.0.0.3") << "else the kernel's order";
  EXPECT_EQ(chosen({make_address(2, "169.254.1.1/16")}), "169.254.1.1") << "link-local will do";
  EXPECT_THAT(chosen({make_address(2, "224.0.0.5/32"), make_address(2, "127.0.0.9/8")}), HasSubstr("has no IPv4 address"));
}

TEST(Uplink, RefreshFollowsTheNameAndTheAddress) {
  const Uplink uplink{2, "eth0", 1500, ip("10.0.2.15"), ip("203.0.113.9")};
  NetworkSnapshot snapshot = example();
  EXPECT_EQ(refresh_uplink(uplink, snapshot).value(), uplink);

  snapshot.links[1] = make_link(12, "eth0", 9000);  // made anew, by a driver's reload
  for (auto& address : snapshot.addresses) {
    if (address.link_index == 2) address.link_index = 12;
  }
  const Uplink fresh = refresh_uplink(uplink, snapshot).value();
  EXPECT_EQ(fresh.index, 12U);
  EXPECT_EQ(fresh.mtu, 9000);
  EXPECT_EQ(fresh.public_ip, uplink.public_ip);

  snapshot.addresses[1] = make_address(12, "10.0.2.16/24");
  EXPECT_THAT(refresh_uplink(uplink, snapshot).error().message(), HasSubstr("eth0 no longer has the address 10.0.2.15"));
  snapshot.links.erase(snapshot.links.begin() + 1);
  EXPECT_THAT(refresh_uplink(uplink, snapshot).error().message(), HasSubstr("there is no interface eth0"));
}

// eth0 as a dual-stack host has it: link-local, temporary and deprecated addresses beside the right one.
NetworkSnapshot dual_stack() {
  NetworkSnapshot snapshot;
  snapshot.links = {make_link(2, "eth0"), make_link(3, "eth1")};
  snapshot.addresses = {make_address(2, "10.0.2.15/24"),
                        make_address(2, "fe80::1/64"),
                        make_address(2, "2001:db8::aaaa/64", IFA_F_TEMPORARY),
                        make_address(2, "2001:db8::dead/64", IFA_F_PERMANENT | IFA_F_DEPRECATED),
                        make_address(2, "2001:db8::15/64", 0),
                        make_address(3, "2001:db8:1::16/64")};
  Route v4;
  v4.destination = Prefix(ip("0.0.0.0"), 0);
  v4.link_index = 2;
  Route v6;
  v6.destination = Prefix(IpAddress(), 0);
  v6.link_index = 2;
  snapshot.routes = {v4, v6};
  return snapshot;
}

TEST(DualStackUplink, HasAnAddressOfEachFamily) {
  UplinkRequest request;
  request.families = {Family::v4, Family::v6};
  const auto uplink = choose_uplink(request, dual_stack(), no_route);
  ASSERT_TRUE(uplink) << uplink.error().message();
  EXPECT_EQ(to_string(uplink->address), "10.0.2.15 and 2001:db8::15");
  EXPECT_EQ(uplink->public_ip, uplink->address);

  request.public_ip.v6 = ip("2001:db8:9::1");
  EXPECT_THAT(choose_uplink(request, dual_stack(), no_route).error().message(), HasSubstr("--public-ipv6=2001:db8:9::1: no interface has"));
  request.ifaces = {"eth0"};
  EXPECT_EQ(to_string(choose_uplink(request, dual_stack(), no_route)->public_ip), "10.0.2.15 and 2001:db8:9::1");

  request.ifaces = {"eth1"};
  EXPECT_THAT(choose_uplink(request, dual_stack(), no_route).error().message(), HasSubstr("eth1 has no IPv4 address"));
  request.families = {Family::v6};
  EXPECT_EQ(to_string(choose_uplink(request, dual_stack(), no_route)->address), "2001:db8:1::16");
}

TEST(DualStackUplink, BothDefaultRoutesLeadToOneInterface) {
  UplinkRequest request;
  request.families = {Family::v4, Family::v6};
  NetworkSnapshot snapshot = dual_stack();
  snapshot.routes[1].link_index = 3;
  EXPECT_THAT(choose_uplink(request, snapshot, no_route).error().message(),
              HasSubstr("the IPv4 default route leaves by eth0, the IPv6 one by eth1"));
  snapshot.routes.pop_back();
  EXPECT_THAT(choose_uplink(request, snapshot, no_route).error().message(), HasSubstr("there is no IPv6 default route"));
}

TEST(DualStackUplink, IsRefreshedAsLongAsBothAddressesAreThere) {
  UplinkRequest request;
  request.families = {Family::v4, Family::v6};
  NetworkSnapshot snapshot = dual_stack();
  const Uplink uplink = choose_uplink(request, snapshot, no_route).value();
  EXPECT_EQ(refresh_uplink(uplink, snapshot).value(), uplink);
  std::erase_if(snapshot.addresses, [](const LinkAddress& address) { return address.prefix.address() == ip("2001:db8::15"); });
  EXPECT_THAT(refresh_uplink(uplink, snapshot).error().message(), HasSubstr("eth0 no longer has the address 2001:db8::15"));
}

struct OnLinkCase {
  const char* name;
  std::vector<Route> routes;
  const char* prefix;  // empty: none
};

void PrintTo(const OnLinkCase& parameter, std::ostream* out) { *out << parameter.name; }

Route route_over(unsigned link, const char* destination, const char* gateway = "") {
  Route route;
  route.destination = *Prefix::parse(destination);
  route.link_index = link;
  if (*gateway != 0) route.gateway = ip(gateway);
  route.scope = route.gateway ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  return route;
}

Route through_ipv6(unsigned link, const char* destination) {
  Route route = route_over(link, destination);
  route.scope = RT_SCOPE_UNIVERSE;
  return route;
}

class OnLink : public testing::TestWithParam<OnLinkCase> {};
INSTANTIATE_TEST_SUITE_P(
    Prefix, OnLink,
    testing::Values(OnLinkCase{"OfTheAddress", {route_over(2, "0.0.0.0/0", "10.0.2.2"), route_over(2, "10.0.2.0/24")}, "10.0.2.0/24"},
                    OnLinkCase{"TheLongestOfTwo", {route_over(2, "10.0.2.0/24"), route_over(2, "10.0.2.0/28")}, "10.0.2.0/28"},
                    OnLinkCase{"OneWithinIsANeighbourToo", {route_over(2, "10.0.2.0/24"), route_over(2, "10.0.2.128/25")}, "10.0.2.0/24"},
                    OnLinkCase{"NoneOfAnAddressAlone", {route_over(2, "0.0.0.0/0", "10.0.2.2")}, ""},
                    OnLinkCase{"NoneOfAnotherSegment", {route_over(2, "10.0.3.0/24")}, ""},
                    OnLinkCase{"NoneOfAnotherInterface", {route_over(3, "10.0.2.0/24")}, ""},
                    OnLinkCase{"NoneBehindARouter", {route_over(2, "10.0.2.0/24", "10.0.2.2")}, ""},
                    OnLinkCase{"NoneBehindAnIpv6Router", {through_ipv6(2, "10.0.2.0/24")}, ""},
                    OnLinkCase{"OneHostBehindARouter", {route_over(2, "10.0.2.0/24"), route_over(2, "10.0.2.7/32", "10.0.2.2")}, ""},
                    OnLinkCase{"SeveralNextHops", {route_over(2, "10.0.2.0/24"), route_over(0, "10.0.2.8/29")}, ""},
                    OnLinkCase{"AnotherWayForAll", {route_over(2, "10.0.2.0/24"), route_over(2, "10.0.2.0/24", "10.0.2.2")}, ""}),
    [](const auto& value) { return value.param.name; });

TEST_P(OnLink, IsByTheRoutes) {
  const Uplink uplink{2, "eth0", 1500, {}, {}};
  const auto prefix = on_link_prefix(uplink, ip("10.0.2.15"), GetParam().routes);
  EXPECT_EQ(prefix ? prefix->to_string() : "", GetParam().prefix);
}

}  // namespace agent_uplink_test
}  // namespace merino
