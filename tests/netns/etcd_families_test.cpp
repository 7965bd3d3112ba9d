// Leases of both address families, and of IPv6 alone, in a real etcd.
#include <set>

#include "etcd_source_fixture.h"

namespace merino::lab::etcd_families_test {
namespace {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

const NetConf kDual = dual_conf();
const std::string kKey = kSubnets + "10.244.98.0-24&fd10:244:0:5::-64";

class EtcdFamilies : public EtcdTest {
 protected:
  EtcdFamilies() : etcd_(here_), source_(options_for(etcd_)) {}

  static Lease acquire(const Source& source, const NetConf& conf, const LeaseAttributes& who, const Subnets& previous = {}) {
    auto lease = source->acquire(conf, {.attributes = who, .previous = previous});
    if (!lease) throw Failure(lease.error().message());
    return *lease;
  }

  EtcdMembers etcd_;
  Source source_;
  const LeaseAttributes who_ = attributes_of("192.168.88.12", "fd77::12");
};

TEST_F(EtcdFamilies, BothAreFlannelsKeyAndValueAndAreFollowed) {
  const Following following(source_);
  const Lease lease = acquire(source_, kDual, who_, subnets_of("10.244.98.0/24,fd10:244:0:5::/64"));
  EXPECT_THAT(etcd_.keys(kPrefix), ElementsAre(kKey));
  EXPECT_EQ(etcd_.value("'" + kKey + "'"), golden("lease_dual_stack_vxlan.json"));
  EXPECT_TRUE(following.becomes({"10.244.98.0/24 and fd10:244:0:5::/64 192.168.88.12 and fd77::12"}));
  ASSERT_TRUE(source_->renew(lease));
  EXPECT_EQ(acquire(Source(options_for(etcd_)), kDual, who_).subnet, lease.subnet) << "a restart keeps it";
  EXPECT_THAT(etcd_.keys(kPrefix), SizeIs(1));
}

TEST_F(EtcdFamilies, Ipv6Alone) {
  const NetConf v6 =
      parse_net_conf(R"({"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd10:244::/48","Backend":{"Type":"vxlan"}})", "test").value();
  const Following following(source_);
  acquire(source_, v6, attributes_of("", "fd77::12"), subnets_of("fd10:244:0:5::/64"));
  EXPECT_EQ(etcd_.value("'" + kSubnets + "fd10:244:0:5::-64'"), golden("lease_ipv6_only.json"));
  EXPECT_TRUE(following.becomes({"fd10:244:0:5::/64 fd77::12"}));
}

TEST_F(EtcdFamilies, AReservationOfBothStaysOne) {
  etcd_.put("'" + kKey + "'", R"({"PublicIP":"192.168.88.12"})");
  const Lease lease = acquire(source_, kDual, who_);
  EXPECT_EQ(lease.subnet, subnets_of("10.244.98.0/24,fd10:244:0:5::/64"));
  EXPECT_EQ(lease.expires, kNeverExpires);
  EXPECT_EQ(etcd_.value("'" + kKey + "'"), golden("lease_dual_stack_vxlan.json"));
}

TEST_F(EtcdFamilies, Ipv6IsTurnedOnAndOffWhileOthersWatch) {
  const Source watcher(options_for(etcd_));
  const Following following(watcher);
  const Lease v4 = acquire(source_, net_conf("10.244.0.0/16"), attributes("192.168.88.12"));
  const Lease both = acquire(Source(options_for(etcd_)), kDual, who_, v4.subnet);
  EXPECT_EQ(both.subnet.v4, v4.subnet.v4);
  EXPECT_TRUE(following.becomes({to_string(both.subnet) + " 192.168.88.12 and fd77::12"}));
  const Lease again = acquire(Source(options_for(etcd_)), net_conf("10.244.0.0/16"), attributes("192.168.88.12"), both.subnet);
  EXPECT_EQ(again.subnet, v4.subnet);
  EXPECT_TRUE(following.becomes({to_string(v4.subnet) + " 192.168.88.12"}));
  EXPECT_THAT(etcd_.keys(kSubnets), SizeIs(1));
  EXPECT_THAT(following.set().rejected, IsEmpty());
}

TEST_F(EtcdFamilies, NodesThatStartAtOnceOverlapInNeitherFamily) {
  const NetConf narrow = dual_conf(R"(, "SubnetMax": "10.244.12.0", "IPv6SubnetMax": "fd10:244:0:c::")");
  constexpr int kNodes = 8;
  std::vector<Result<Lease>> leases(kNodes, fail(ErrorKind::system, "never asked"));
  std::vector<std::thread> nodes;
  for (int i = 0; i < kNodes; ++i) {
    nodes.emplace_back([&, i] {
      const Source node(options_for(etcd_));
      const std::string number = std::to_string(i + 1);
      leases[i] = node->acquire(narrow, {.attributes = attributes_of("1.2.3." + number, "fd77::" + number),
                                         .previous = subnets_of("10.244.7.0/24,fd10:244:0:7::/64")});
    });
  }
  for (std::thread& node : nodes) node.join();
  std::set<Prefix> v4;
  std::set<Prefix> v6;
  for (const auto& lease : leases) {
    ASSERT_TRUE(lease) << lease.error().message();
    v4.insert(lease->subnet.v4.value());
    v6.insert(lease->subnet.v6.value());
  }
  EXPECT_THAT(v4, SizeIs(kNodes));
  EXPECT_THAT(v6, SizeIs(kNodes));
  EXPECT_THAT(etcd_.keys(kSubnets), SizeIs(kNodes));
}

}  // namespace
}  // namespace merino::lab::etcd_families_test
