// Both families in a lease directory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <barrier>
#include <mutex>
#include <set>
#include <thread>

#include "support/lease_dir.h"

namespace merino {
namespace cluster_directory_families_test {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const NetConf kV4 = net_conf("10.244.0.0/16");
const NetConf kDual = dual_conf();
const NetConf kSingleDual = dual_conf(R"(, "SubnetMin": "10.244.98.0", "SubnetMax": "10.244.98.0",
                                        "IPv6SubnetMin": "fd10:244:0:5::", "IPv6SubnetMax": "fd10:244:0:5::")");
const NetConf kV6 =
    parse_net_conf(R"({"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd10:244::/48","Backend":{"Type":"vxlan"}})", "test").value();

LeaseRequest request_of(const std::string& v4, const std::string& v6, const Subnets& previous = {}) {
  return {.attributes = attributes_of(v4, v6), .previous = previous};
}

Lease acquire(LeaseStore& store, const NetConf& conf, const LeaseRequest& request) {
  auto lease = store.acquire(conf, request);
  if (!lease) throw std::runtime_error(lease.error().message());
  return *lease;
}

void write_lease_of(const LeaseDir& dir, const std::string& subnets, const std::string& v4, const std::string& v6) {
  dir.write(format_subnet_key(subnets_of(subnets)), format_lease_attributes(attributes_of(v4, v6)));
}

TEST(DirectoryFamilies, both_are_flannels_key_and_value_byte_for_byte) {
  const LeaseDir dir;
  const auto store = dir.open();
  const Lease lease = acquire(*store, kSingleDual, request_of("192.168.88.12", "fd77::12"));
  EXPECT_THAT(dir.names(), ElementsAre("10.244.98.0-24&fd10:244:0:5::-64"));
  EXPECT_EQ(dir.read("10.244.98.0-24&fd10:244:0:5::-64"), golden("lease_dual_stack_vxlan.json"));
  EXPECT_EQ(store->renew(lease).value().subnet, lease.subnet);
  EXPECT_THAT(listed(*store), ElementsAre("10.244.98.0/24 and fd10:244:0:5::/64 192.168.88.12 and fd77::12"));
}

TEST(DirectoryFamilies, ipv6_alone) {
  const LeaseDir dir;
  const auto store = dir.open();
  const Lease lease = acquire(*store, kV6, request_of("", "fd77::12", subnets_of("fd10:244:0:5::/64")));
  EXPECT_THAT(dir.names(), ElementsAre("fd10:244:0:5::-64"));
  EXPECT_EQ(dir.read("fd10:244:0:5::-64"), golden("lease_ipv6_only.json"));
  EXPECT_TRUE(store->renew(lease));
  EXPECT_EQ(dir.open()->acquire(kV6, request_of("", "fd77::12")).error().kind, ErrorKind::exists) << "one node, one address";
}

TEST(DirectoryFamilies, ipv6_is_turned_on_and_off_again) {
  const LeaseDir dir;
  const Lease v4 = acquire(*dir.open(), kV4, request("1.2.3.4"));
  const Lease both = acquire(*dir.open(), kDual, request_of("1.2.3.4", "fd00::4", v4.subnet));
  EXPECT_EQ(both.subnet.v4, v4.subnet.v4) << "its pods keep their addresses";
  EXPECT_THAT(dir.names(), ElementsAre(format_subnet_key(both.subnet)));
  const Lease again = acquire(*dir.open(), kV4, request("1.2.3.4", to_string(Subnets(*v4.subnet.v4))));
  EXPECT_EQ(again.subnet, v4.subnet);
  EXPECT_THAT(dir.names(), ElementsAre(format_subnet_key(v4.subnet)));
  const Lease v6 = acquire(*dir.open(), kV6, request_of("", "fd00::4", both.subnet));
  EXPECT_EQ(v6.subnet, Subnets(*both.subnet.v6));
}

TEST(DirectoryFamilies, a_node_that_ended_between_two_leases_keeps_its_subnet) {
  const LeaseDir dir;
  dir.write_lease("10.244.7.0-24", "1.2.3.4");
  write_lease_of(dir, "10.244.7.0/24,fd10:244:0:7::/64", "1.2.3.4", "fd00::4");
  const auto store = dir.open();
  ASSERT_THAT(rejected(*store), SizeIs(1)) << "one of the two is in the way of the other";
  const Lease lease = acquire(*store, kDual, request_of("1.2.3.4", "fd00::4", subnets_of("10.244.7.0/24")));
  EXPECT_EQ(lease.subnet.v4, prefix("10.244.7.0/24"));
  EXPECT_THAT(dir.names(), ElementsAre(format_subnet_key(lease.subnet)));
  EXPECT_THAT(rejected(*store), IsEmpty());
}

TEST(DirectoryFamilies, nodes_of_one_family_and_of_both_live_together) {
  const LeaseDir dir;
  dir.write_lease("10.244.1.0-24", "1.1.1.1");
  write_lease_of(dir, "fd10:244:0:1::/64", "", "fd00::2");
  const auto store = dir.open();
  const Lease lease = acquire(*store, kDual, request_of("1.1.1.3", "fd00::3", subnets_of("10.244.1.0/24,fd10:244:0:1::/64")));
  EXPECT_NE(lease.subnet.v4, prefix("10.244.1.0/24"));
  EXPECT_NE(lease.subnet.v6, prefix("fd10:244:0:1::/64"));
  EXPECT_THAT(store->list()->leases, SizeIs(3));
  EXPECT_THAT(rejected(*store), IsEmpty());
}

TEST(DirectoryFamilies, an_overlap_in_one_family_is_an_overlap) {
  const LeaseDir dir;
  write_lease_of(dir, "10.244.1.0/24,fd10:244:0:1::/64", "1.1.1.1", "fd00::1");
  write_lease_of(dir, "10.244.2.0/24,fd10:244:0:1::/64", "1.1.1.2", "fd00::2");
  const auto store = dir.open();
  EXPECT_THAT(store->list()->leases, SizeIs(1));
  EXPECT_THAT(rejected(*store), ElementsAre(HasSubstr("overlaps")));
  acquire(*store, kV4, request("1.1.1.3", "10.244.9.0/24"));
  EXPECT_THAT(store->list()->leases, SizeIs(3)) << "IPv6 is off: what stands there of it does no harm";
  EXPECT_THAT(rejected(*store), IsEmpty());
}

TEST(DirectoryFamilies, outside_of_one_network_is_outside) {
  const LeaseDir dir;
  write_lease_of(dir, "10.244.1.0/24,fd99::/64", "1.1.1.1", "fd00::1");
  write_lease_of(dir, "10.99.1.0/24,fd10:244:0:1::/64", "1.1.1.2", "fd00::2");
  write_lease_of(dir, "fd10:244:0:2::/64", "", "fd00::3");
  const auto store = dir.open();
  acquire(*store, kDual, request_of("1.1.1.4", "fd00::4"));
  EXPECT_THAT(rejected(*store), ElementsAre(AllOf(HasSubstr("10.244.1.0-24&"), HasSubstr("outside of Network fd10:244::/48")),
                                            AllOf(HasSubstr("10.99.1.0-24&"), HasSubstr("outside of Network 10.244.0.0/16"))));
  EXPECT_THAT(store->list()->leases, SizeIs(2)) << "IPv6 alone is inside";
}

TEST(DirectoryFamilies, renew_of_a_lease_whose_ipv6_subnet_is_anothers) {
  const LeaseDir dir;
  const auto store = dir.open();
  const Lease lease = acquire(*store, kSingleDual, request_of("1.2.3.4", "fd00::4"));
  std::filesystem::remove(dir.file(format_subnet_key(lease.subnet)));
  write_lease_of(dir, "fd10:244:0:5::/64", "", "fd00::9");
  const auto renewed = store->renew(lease);
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().kind, ErrorKind::exists);
  EXPECT_THAT(renewed.error().message(), AllOf(HasSubstr("fd00::9"), HasSubstr("fd10:244:0:5::/64")));
}

TEST(DirectoryFamilies, two_running_nodes_cannot_share_an_address_of_either_family) {
  const LeaseDir dir;
  const auto first = dir.open();
  acquire(*first, kDual, request_of("1.1.1.1", "fd00::1"));
  for (const LeaseRequest& other : {request_of("1.1.1.2", "fd00::1"), request_of("1.1.1.1", "fd00::2"), request_of("", "fd00::1")}) {
    const auto refused = dir.open()->acquire(other.attributes.public_ip.v4 ? kDual : kV6, other);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::exists);
    EXPECT_THAT(refused.error().message(), HasSubstr("another running node has the public IP"));
  }
}

TEST(DirectoryFamilies, a_reservation_of_both) {
  const LeaseDir dir;
  const std::string key = "10.244.7.0-24&fd10:244:0:7::-64";
  dir.write(key, R"({"PublicIP":"1.2.3.4"})");
  dir.reserve(key);
  const Lease lease = acquire(*dir.open(), kDual, request_of("1.2.3.4", "fd00::4"));
  EXPECT_EQ(lease.subnet, subnets_of("10.244.7.0/24,fd10:244:0:7::/64"));
  EXPECT_EQ(lease.expires, kNeverExpires);
}

TEST(DirectoryFamilies, threads_that_want_the_same_subnets_get_distinct_ones) {
  constexpr int kThreads = 8;
  const LeaseDir dir;
  std::barrier start(kThreads);
  std::mutex mutex;
  std::set<Prefix> v4;
  std::set<Prefix> v6;
  std::vector<std::thread> threads;
  for (int i = 1; i <= kThreads; ++i) {
    threads.emplace_back([&, i] {
      const auto store = dir.open(kImpatient);
      start.arrive_and_wait();
      const auto lease = store->acquire(
          kDual, request_of("1.1.1." + std::to_string(i), "fd00::" + std::to_string(i), subnets_of("10.244.7.0/24,fd10:244:0:7::/64")));
      const std::lock_guard lock(mutex);
      ASSERT_TRUE(lease) << lease.error().message();
      v4.insert(lease->subnet.v4.value());
      v6.insert(lease->subnet.v6.value());
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_THAT(v4, SizeIs(kThreads));
  EXPECT_THAT(v6, SizeIs(kThreads));
  EXPECT_THAT(rejected(*dir.open()), IsEmpty());
}

}  // namespace cluster_directory_families_test
}  // namespace merino
