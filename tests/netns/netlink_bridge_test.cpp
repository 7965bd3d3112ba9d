// Bridges and their ports, and the addresses that the host answers for.
#include <gmock/gmock.h>

#include "netlink_fixture.h"

namespace merino::netlink_bridge_test {
namespace {

using testing::HasSubstr;
using testing::Not;

class Bridges : public NetlinkTest {};

TEST_F(Bridges, KeepTheirMacAsPortsComeAndGo) {
  const unsigned bridge = must(netlink().create_bridge("br0"));
  must(netlink().set_link_up(bridge));
  const MacAddress before = must(netlink().link_by_index(bridge))->mac;
  const unsigned port = make_device("port0");
  run_ip("link set port0 address 02:00:00:00:00:01");  // lower than any other: a bridge left to itself would take it
  must(netlink().set_bridge_port(port, bridge));
  EXPECT_EQ(must(netlink().link_by_index(port))->master_index, bridge);
  EXPECT_EQ(must(netlink().link_by_index(bridge))->mac, before);
  EXPECT_THAT(run_ip("-d link show port0"), HasSubstr("hairpin on"));
}

TEST_F(Bridges, PortsOfWhatIsNone) {
  const unsigned device = make_device("d0");
  const unsigned port = make_device("port0");
  EXPECT_THAT(error_of(netlink().set_bridge_port(port, device)).message(), HasSubstr("make interface"));
  EXPECT_EQ(error_of(netlink().set_bridge_port(9999, device)).kind, ErrorKind::not_found);
}

class Proxies : public NetlinkTest {
 protected:
  Proxies() = default;
  void SetUp() override {
    NetlinkTest::SetUp();
    device_ = make_device("d0");
    run_ip("link set d0 up");
  }
  static std::string listed() { return run_ip("-6 neigh show proxy dev d0"); }
  Result<bool> ensure(const std::vector<IpAddress>& addresses) {
    return netlink().ensure_proxies(device_, prefix("fd00:1::/64"), addresses);
  }
  unsigned device_ = 0;
};

TEST_F(Proxies, AreExactlyThese) {
  EXPECT_TRUE(must(ensure({ip("fd00:1::2"), ip("fd00:1::3")})));
  EXPECT_FALSE(must(ensure({ip("fd00:1::3"), ip("fd00:1::2")}))) << "once";
  EXPECT_TRUE(must(ensure({ip("fd00:1::3")})));
  EXPECT_THAT(listed(), testing::AllOf(HasSubstr("fd00:1::3"), Not(HasSubstr("fd00:1::2"))));
  EXPECT_TRUE(must(ensure({})));
  EXPECT_EQ(listed(), "");
}

TEST_F(Proxies, OthersStay) {
  make_device("d1");
  run_ip("-6 neigh add proxy fd00:2::1 dev d0");
  run_ip("-6 neigh add proxy fd00:1::9 dev d1");
  EXPECT_FALSE(must(ensure({})));
  EXPECT_THAT(listed(), HasSubstr("fd00:2::1"));
  EXPECT_THAT(run_ip("-6 neigh show proxy dev d1"), HasSubstr("fd00:1::9"));
}

TEST_F(Proxies, OfAMissingInterface) {
  EXPECT_EQ(error_of(netlink().ensure_proxies(9999, prefix("fd00:1::/64"), {ip("fd00:1::2")})).kind, ErrorKind::not_found);
}

}  // namespace
}  // namespace merino::netlink_bridge_test
