// The VXLAN device: made, left alone when right, put right when not, and refused with the reason when somebody has the port.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "netlink_fixture.h"

namespace merino::netlink_vxlan_test {
namespace {

using testing::HasSubstr;

class Vxlan : public NetlinkTest {
 protected:
  Link device() {
    const auto link = must(netlink().link_by_name(spec.name));
    if (!link) throw std::runtime_error("no device " + spec.name);
    return *link;
  }
  // What the device must be, whatever it was before.
  void expect_right() {
    const std::string shown = run_ip("-d link show " + spec.name);
    EXPECT_THAT(shown, HasSubstr("vxlan external"));
    EXPECT_THAT(shown, HasSubstr("dstport " + std::to_string(spec.port) + " nolearning"));
    EXPECT_THAT(shown, HasSubstr(" udp6zerocsumrx"));
    EXPECT_THAT(shown, HasSubstr("NOARP"));
    EXPECT_THAT(shown, HasSubstr(",UP"));
    EXPECT_THAT(shown, HasSubstr("mtu " + std::to_string(spec.mtu)));
    EXPECT_THAT(shown, HasSubstr("link/ether " + spec.mac.to_string()));
    EXPECT_THAT(shown, HasSubstr("addrgenmode none"));
    const auto again = must(netlink().ensure_vxlan(spec));
    EXPECT_FALSE(again.changed);
    EXPECT_EQ(again.index, device().index);
  }
  // Something else under the name must give way to the device.
  void expect_remade(const std::string& by_hand) {
    run_ip(by_hand);
    const unsigned before = device().index;
    const auto result = must(netlink().ensure_vxlan(spec));
    EXPECT_TRUE(result.changed);
    EXPECT_NE(result.index, before);
    expect_right();
  }
  // A change by hand must be undone on the same device.
  void expect_corrected(const std::string& by_hand) {
    const unsigned before = must(netlink().ensure_vxlan(spec)).index;
    run_ip(by_hand);
    const auto result = must(netlink().ensure_vxlan(spec));
    EXPECT_TRUE(result.changed);
    EXPECT_EQ(result.index, before);
    expect_right();
  }

  VxlanSpec spec{"merino0", 8472, mac("02:00:00:00:00:01"), 1450};
};

TEST_F(Vxlan, MadeOnce) {
  const auto result = must(netlink().ensure_vxlan(spec));
  EXPECT_TRUE(result.changed);
  EXPECT_EQ(result.index, device().index);
  expect_right();
  EXPECT_EQ(device().index, result.index);
}

TEST_F(Vxlan, HasNoAddressOfTheKernels) {
  must(netlink().ensure_vxlan(spec));
  usleep(100000);
  EXPECT_TRUE(must(netlink().addresses(device().index)).empty());
}

TEST_F(Vxlan, WorksWithoutIpv6) {
  run("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
  EXPECT_TRUE(must(netlink().ensure_vxlan(spec)).changed);
  EXPECT_FALSE(must(netlink().ensure_vxlan(spec)).changed);
  EXPECT_TRUE(device().is_up());
}

TEST_F(Vxlan, HoldsItsUdpPort) {
  must(netlink().ensure_vxlan(spec));
  EXPECT_THAT(run("ss -lunH"), HasSubstr(":8472"));
}

TEST_F(Vxlan, RightDeviceRaisesNoEvent) {
  must(netlink().ensure_vxlan(spec));
  EXPECT_TRUE(raises_no_event([&] { EXPECT_FALSE(must(netlink().ensure_vxlan(spec)).changed); }));
}

TEST_F(Vxlan, MacByHandIsPutRight) { expect_corrected("link set merino0 address 02:00:00:00:00:99"); }
TEST_F(Vxlan, MtuByHandIsPutRight) { expect_corrected("link set merino0 mtu 1300"); }
TEST_F(Vxlan, ArpByHandIsPutRight) { expect_corrected("link set merino0 arp on"); }
TEST_F(Vxlan, DownByHandIsPutRight) { expect_corrected("link set merino0 down"); }
TEST_F(Vxlan, LinkLocalByHandIsPutRight) { expect_corrected("link set merino0 addrgenmode eui64"); }
TEST_F(Vxlan, EverythingByHandIsPutRight) { expect_corrected("link set merino0 down address 02:00:00:00:00:99 mtu 1300 arp on"); }

TEST_F(Vxlan, AnotherMacAndMtuAreSetInPlace) {
  const unsigned index = must(netlink().ensure_vxlan(spec)).index;
  spec.mac = mac("02:00:00:00:00:02");
  spec.mtu = 8950;
  EXPECT_TRUE(must(netlink().ensure_vxlan(spec)).changed);
  EXPECT_EQ(device().index, index);
  expect_right();
}

TEST_F(Vxlan, AnotherPortMeansAnotherDevice) {
  const unsigned index = must(netlink().ensure_vxlan(spec)).index;
  spec.port = 4789;
  EXPECT_TRUE(must(netlink().ensure_vxlan(spec)).changed);
  EXPECT_NE(device().index, index);
  expect_right();
}

TEST_F(Vxlan, AnotherKindUnderTheNameGivesWay) { expect_remade("link add merino0 type veth peer name other0"); }
TEST_F(Vxlan, ABridgeUnderTheNameGivesWay) { expect_remade("link add merino0 type bridge"); }
TEST_F(Vxlan, AClassicVxlanUnderTheNameGivesWay) {
  expect_remade("link add merino0 type vxlan id 1 dstport 8472 nolearning udp6zerocsumrx");
}
TEST_F(Vxlan, ALearningDeviceUnderTheNameGivesWay) {
  expect_remade("link add merino0 type vxlan external dstport 8472 learning udp6zerocsumrx");
}
TEST_F(Vxlan, AFilteringDeviceUnderTheNameGivesWay) {
  expect_remade("link add merino0 type vxlan external vnifilter dstport 8472 nolearning udp6zerocsumrx");
}
TEST_F(Vxlan, AGroupPolicyDeviceUnderTheNameGivesWay) {
  expect_remade("link add merino0 type vxlan external gbp dstport 8472 nolearning udp6zerocsumrx");
}
TEST_F(Vxlan, AnUpDeviceOfTheWrongModeGivesWay) {
  run_ip("link add merino0 type vxlan id 1 dstport 8472");
  run_ip("link set merino0 up");
  EXPECT_TRUE(must(netlink().ensure_vxlan(spec)).changed);
  expect_right();
}

TEST_F(Vxlan, RunningFlannelDeviceIsNamedAndNothingIsMade) {
  run_ip("link add flannel.1 type vxlan id 1 dstport 8472 nolearning");
  run_ip("link set flannel.1 up");
  const Error error = error_of(netlink().ensure_vxlan(spec));
  EXPECT_EQ(error.kind, ErrorKind::exists);
  EXPECT_THAT(error.what, HasSubstr("flannel.1 holds UDP port 8472"));
  EXPECT_THAT(error.remedy, HasSubstr("ip link delete flannel.1"));
  EXPECT_FALSE(must(netlink().link_by_name("merino0")));
  EXPECT_TRUE(raises_no_event([&] { error_of(netlink().ensure_vxlan(spec)); }));

  run_ip("link delete flannel.1");
  must(netlink().ensure_vxlan(spec));
  expect_right();
}

TEST_F(Vxlan, FlannelDeviceThatIsDownOrOnAnotherPortIsNoObstacle) {
  run_ip("link add flannel.1 type vxlan id 1 dstport 8472 nolearning");
  run_ip("link add other type vxlan id 2 dstport 4789 nolearning");
  run_ip("link set other up");
  must(netlink().ensure_vxlan(spec));
  expect_right();
}

TEST_F(Vxlan, TheKernelRefusesASecondExternalDeviceEvenIfTheFirstIsDown) {
  run_ip("link add other0 type vxlan external dstport 8472 nolearning udp6zerocsumrx");
  const Error error = error_of(netlink().ensure_vxlan(spec));
  EXPECT_EQ(error.kind, ErrorKind::exists);
  EXPECT_THAT(error.what, HasSubstr("other0 holds UDP port 8472"));
  EXPECT_FALSE(must(netlink().link_by_name("merino0")));
}

TEST_F(Vxlan, WorkingDeviceIsKeptWhenTheWantedPortIsTaken) {
  const unsigned index = must(netlink().ensure_vxlan(spec)).index;
  run_ip("link add other0 type vxlan id 1 dstport 4789");
  run_ip("link set other0 up");
  VxlanSpec wanted = spec;
  wanted.port = 4789;
  EXPECT_EQ(error_of(netlink().ensure_vxlan(wanted)).kind, ErrorKind::exists);
  EXPECT_EQ(device().index, index);
  expect_right();
}

TEST_F(Vxlan, OwnDeviceThatIsDownStaysWhenThePortWasTakenMeanwhile) {
  const unsigned index = must(netlink().ensure_vxlan(spec)).index;
  run_ip("link set merino0 down");
  run_ip("link add flannel.1 type vxlan id 1 dstport 8472 nolearning");
  run_ip("link set flannel.1 up");
  const Error error = error_of(netlink().ensure_vxlan(spec));
  EXPECT_EQ(error.kind, ErrorKind::exists);
  EXPECT_THAT(error.what, HasSubstr("flannel.1 holds UDP port 8472"));
  EXPECT_EQ(device().index, index);
}

TEST_F(Vxlan, ProcessThatHoldsThePortIsSaid) {
  const Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(8472);
  ASSERT_EQ(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  const Error error = error_of(netlink().ensure_vxlan(spec));
  EXPECT_EQ(error.kind, ErrorKind::exists);
  EXPECT_THAT(error.what, HasSubstr("a process"));
  EXPECT_THAT(error.remedy, HasSubstr("ss -lunp"));
  EXPECT_FALSE(must(netlink().link_by_name("merino0")));
}

TEST_F(Vxlan, AlternativeNameOfAnotherDeviceIsNoReasonToDeleteIt) {
  make_device("d0");
  run_ip("link property add dev d0 altname merino0");
  const Error error = error_of(netlink().ensure_vxlan(spec));
  EXPECT_EQ(error.kind, ErrorKind::exists);
  EXPECT_THAT(error.message(), HasSubstr("alternative name of d0"));
  EXPECT_TRUE(must(netlink().link_by_name("d0")));
}

TEST_F(Vxlan, WrongSpecsAreRefusedAndLeaveNothing) {
  for (const char* name : {"", "vxlan%d", "a-much-too-long-name", "a/b"}) {
    VxlanSpec wrong = spec;
    wrong.name = name;
    EXPECT_EQ(error_of(netlink().ensure_vxlan(wrong)).kind, ErrorKind::invalid) << name;
  }
  VxlanSpec multicast = spec;
  multicast.mac = mac("01:00:00:00:00:01");
  error_of(netlink().ensure_vxlan(multicast));
  VxlanSpec tiny = spec;
  tiny.mtu = 10;
  EXPECT_EQ(error_of(netlink().ensure_vxlan(tiny)).kind, ErrorKind::invalid);
  EXPECT_EQ(must(netlink().links()).size(), 1U);
}

}  // namespace
}  // namespace merino::netlink_vxlan_test
