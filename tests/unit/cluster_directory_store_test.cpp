#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>

#include <cstdlib>
#include <string>

#include "base/fd.h"
#include "cluster/directory_store.h"
#include "support/golden.h"
#include "support/lease_dir.h"

namespace merino {
namespace cluster_directory_store_test {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

const NetConf kConf = net_conf("10.244.0.0/16");
// One subnet only.
const NetConf kSingle = net_conf("10.244.0.0/16", R"(, "SubnetMin": "10.244.98.0", "SubnetMax": "10.244.98.0")");

Lease acquire(LeaseStore& store, const LeaseRequest& request, const NetConf& conf = kConf) {
  auto lease = store.acquire(conf, request);
  if (!lease) throw std::runtime_error(lease.error().message());
  return *lease;
}

auto now() { return std::chrono::system_clock::now(); }

TEST(DirectoryStore, acquire_writes_flannels_key_and_value) {
  const LeaseDir dir;
  const auto store = dir.open();
  const auto before = now();
  const Lease lease = acquire(*store, request("192.168.88.12"), kSingle);
  EXPECT_EQ(lease.subnet, prefix("10.244.98.0/24"));
  EXPECT_EQ(lease.attributes, attributes("192.168.88.12"));
  EXPECT_GT(lease.expires, before + kLeaseTtl - 5s);
  EXPECT_LE(lease.expires, now() + kLeaseTtl);
  EXPECT_THAT(dir.names(), ElementsAre("10.244.98.0-24"));
  EXPECT_EQ(dir.read("10.244.98.0-24"), golden("lease_vxlan.json"));
  EXPECT_EQ(dir.status("10.244.98.0-24").st_mode & 07777U, 0644U);
  EXPECT_EQ(dir.status("10.244.98.0-24").st_nlink, 1U);
  EXPECT_THAT(store->list().value().leases, ElementsAre(lease));
}

TEST(DirectoryStore, makes_its_directory) {
  const TempDir dir;
  const auto store = open_directory_store(dir.file("a/b"));
  ASSERT_TRUE(store) << store.error().message();
  EXPECT_THAT(listed(**store), ElementsAre());
  EXPECT_TRUE(std::filesystem::is_directory(dir.file("a/b/subnets")));
  write_text(dir.file("file"), "");
  EXPECT_FALSE(open_directory_store(dir.file("file")));
}

TEST(DirectoryStore, a_restart_gets_the_same_subnet) {
  const LeaseDir dir;
  const Lease first = acquire(*dir.open(), request("1.2.3.4"));
  const Lease again = acquire(*dir.open(), request("1.2.3.4", "10.244.77.0/24"));
  EXPECT_EQ(again.subnet, first.subnet);
  EXPECT_EQ(dir.names().size(), 1U);
}

TEST(DirectoryStore, attributes_are_updated_in_place) {
  const LeaseDir dir;
  const Lease first = acquire(*dir.open(), request("1.2.3.4"));
  LeaseRequest changed = request("1.2.3.4");
  changed.attributes.vxlan.v4->vtep_mac = MacAddress::parse("02:00:00:00:00:01").value();
  const Lease again = acquire(*dir.open(), changed);
  EXPECT_EQ(again.subnet, first.subnet);
  EXPECT_EQ(again.attributes, changed.attributes);
  EXPECT_EQ(dir.read(format_subnet_key(first.subnet)), format_lease_attributes(changed.attributes));
  EXPECT_EQ(dir.names().size(), 1U);
}

TEST(DirectoryStore, the_previous_subnet_is_taken_unless_another_holds_it) {
  const LeaseDir dir;
  EXPECT_EQ(acquire(*dir.open(), request("1.2.3.4", "10.244.77.0/24")).subnet, prefix("10.244.77.0/24"));
  EXPECT_NE(acquire(*dir.open(), request("1.2.3.5", "10.244.77.0/24")).subnet, prefix("10.244.77.0/24"));
  EXPECT_NE(acquire(*dir.open(), request("1.2.3.6", "10.99.0.0/24")).subnet, prefix("10.99.0.0/24"));
  EXPECT_THAT(listed(*dir.open()), testing::SizeIs(3));
}

TEST(DirectoryStore, an_expired_lease_is_neither_listed_nor_rejected_and_its_subnet_is_free) {
  const LeaseDir dir;
  dir.write_lease("10.244.98.0-24", "1.1.1.1");
  const auto store = dir.open();
  EXPECT_EQ(store->acquire(kSingle, request("1.2.3.4")).error().kind, ErrorKind::exhausted);
  dir.set_age("10.244.98.0-24", kLeaseTtl - 1min);
  EXPECT_EQ(store->acquire(kSingle, request("1.2.3.4")).error().kind, ErrorKind::exhausted);
  EXPECT_THAT(listed(*store), ElementsAre("10.244.98.0/24 1.1.1.1"));

  dir.expire("10.244.98.0-24");
  EXPECT_THAT(listed(*store), ElementsAre());
  EXPECT_THAT(rejected(*store), ElementsAre());
  EXPECT_EQ(acquire(*store, request("1.2.3.4"), kSingle).subnet, prefix("10.244.98.0/24"));
  EXPECT_THAT(listed(*store), ElementsAre("10.244.98.0/24 1.2.3.4"));
}

TEST(DirectoryStore, an_own_lease_that_does_not_fit_any_more_is_given_back) {
  const LeaseDir dir;
  const auto store = dir.open();
  const Lease old = acquire(*store, request("1.2.3.4"));
  dir.write_lease("10.244.200.0-24", "1.1.1.1");
  const Lease fresh = acquire(*store, request("1.2.3.4", to_string(old.subnet)), net_conf("10.244.0.0/16", R"(, "SubnetLen": 25)"));
  EXPECT_EQ(fresh.subnet.v4->length(), 25);
  EXPECT_THAT(dir.names(), testing::UnorderedElementsAre("10.244.200.0-24", format_subnet_key(fresh.subnet)));
}

TEST(DirectoryStore, exhausted_when_every_subnet_is_leased) {
  const LeaseDir dir;
  const NetConf tiny = net_conf("10.244.0.0/28");  // three subnets of /30
  std::vector<std::unique_ptr<LeaseStore>> stores;
  for (int i = 1; i <= 3; ++i) {
    stores.push_back(dir.open());
    acquire(*stores.back(), request("1.1.1." + std::to_string(i)), tiny);
  }
  EXPECT_THAT(listed(*stores[0]), ElementsAre(HasSubstr("10.244.0.4/30"), HasSubstr("10.244.0.8/30"), HasSubstr("10.244.0.12/30")));
  const auto fourth = dir.open()->acquire(tiny, request("1.1.1.4"));
  ASSERT_FALSE(fourth);
  EXPECT_EQ(fourth.error().kind, ErrorKind::exhausted);
  EXPECT_THAT(fourth.error().message(), HasSubstr("out of subnets"));
}

// --- renewal

TEST(DirectoryStore, renew_touches_the_file) {  // flannel: TestRenewLease
  const LeaseDir dir;
  const auto store = dir.open();
  const Lease lease = acquire(*store, request("1.2.3.4"), kSingle);
  dir.set_age("10.244.98.0-24", 2h);
  const auto inode = dir.status("10.244.98.0-24").st_ino;
  const auto renewed = store->renew(lease);
  ASSERT_TRUE(renewed) << renewed.error().message();
  EXPECT_GT(renewed->expires, now() + kLeaseTtl - 1min);
  EXPECT_EQ(renewed->attributes, lease.attributes);
  EXPECT_EQ(dir.status("10.244.98.0-24").st_ino, inode);
  EXPECT_EQ(dir.read("10.244.98.0-24"), format_lease_attributes(lease.attributes));
  EXPECT_THAT(store->list().value().leases, ElementsAre(*renewed));
}

TEST(DirectoryStore, renew_writes_changed_attributes) {
  const LeaseDir dir;
  const auto store = dir.open();
  Lease lease = acquire(*store, request("1.2.3.4"), kSingle);
  lease.attributes.vxlan.v4->vtep_mac = MacAddress::parse("02:00:00:00:00:01").value();
  EXPECT_EQ(store->renew(lease).value().attributes, lease.attributes);
  EXPECT_EQ(dir.read("10.244.98.0-24"), format_lease_attributes(lease.attributes));
}

TEST(DirectoryStore, renew_follows_a_node_to_its_new_address) {
  const LeaseDir dir;
  const auto store = dir.open();
  Lease lease = acquire(*store, request("1.2.3.4"), kSingle);
  lease.attributes.public_ip = ip("1.2.3.5");
  EXPECT_EQ(store->renew(lease).value().attributes.public_ip, ip("1.2.3.5"));
  EXPECT_THAT(listed(*store), ElementsAre("10.244.98.0/24 1.2.3.5"));

  // Whoever did not write the lease cannot do the same.
  lease.attributes.public_ip = ip("1.2.3.6");
  EXPECT_EQ(dir.open()->renew(lease).error().kind, ErrorKind::exists);
}

TEST(DirectoryStore, renew_takes_a_deleted_lease_again) {
  const LeaseDir dir;
  const auto store = dir.open();
  const Lease lease = acquire(*store, request("1.2.3.4"));
  std::filesystem::remove(dir.file(format_subnet_key(lease.subnet)));
  EXPECT_EQ(store->renew(lease).value().subnet, lease.subnet);
  EXPECT_EQ(dir.read(format_subnet_key(lease.subnet)), format_lease_attributes(lease.attributes));

  std::filesystem::remove_all(dir.path());
  EXPECT_EQ(store->renew(lease).value().subnet, lease.subnet);
  EXPECT_THAT(listed(*store), ElementsAre(to_string(lease.subnet) + " 1.2.3.4"));
}

TEST(DirectoryStore, renew_revives_an_expired_own_lease) {
  const LeaseDir dir;
  const auto store = dir.open();
  const Lease lease = acquire(*store, request("1.2.3.4"), kSingle);
  dir.expire("10.244.98.0-24");
  EXPECT_GT(store->renew(lease).value().expires, now());
}

TEST(DirectoryStore, renew_mends_a_spoilt_file) {
  const LeaseDir dir;
  const auto store = dir.open();
  const Lease lease = acquire(*store, request("1.2.3.4"), kSingle);
  dir.write("10.244.98.0-24", "half a le");
  EXPECT_TRUE(store->renew(lease));
  EXPECT_EQ(dir.read("10.244.98.0-24"), format_lease_attributes(lease.attributes));
}

TEST(DirectoryStore, renew_fails_when_another_node_holds_the_subnet) {
  const LeaseDir dir;
  const auto store = dir.open();
  const Lease lease = acquire(*store, request("1.2.3.4"), kSingle);
  dir.write_lease("10.244.98.0-24", "1.1.1.1");
  const auto renewed = store->renew(lease);
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().kind, ErrorKind::exists);
  EXPECT_THAT(renewed.error().message(), AllOf(HasSubstr("10.244.98.0/24"), HasSubstr("1.1.1.1"), HasSubstr("restart merinod")));
  EXPECT_THAT(listed(*store), ElementsAre("10.244.98.0/24 1.1.1.1"));

  std::filesystem::remove(dir.file("10.244.98.0-24"));
  dir.write_lease("10.244.96.0-22", "1.1.1.1");  // not the same subnet, but around it
  EXPECT_EQ(store->renew(lease).error().kind, ErrorKind::exists);
}

// --- reservations

TEST(DirectoryStore, a_read_only_file_is_a_reservation) {
  const LeaseDir dir;
  dir.write("10.244.7.0-24", R"({"PublicIP":"1.2.3.4"})");
  dir.reserve("10.244.7.0-24");
  dir.set_age("10.244.7.0-24", 24h * 1000);
  const auto store = dir.open();
  EXPECT_THAT(listed(*store), ElementsAre("10.244.7.0/24 1.2.3.4"));
  EXPECT_EQ(store->list().value().leases[0].expires, kNeverExpires);

  const Lease lease = acquire(*store, request("1.2.3.4", "10.244.8.0/24"));
  EXPECT_EQ(lease.subnet, prefix("10.244.7.0/24"));
  EXPECT_EQ(lease.expires, kNeverExpires);
  EXPECT_EQ(dir.read("10.244.7.0-24"), format_lease_attributes(attributes("1.2.3.4")));
  EXPECT_EQ(dir.status("10.244.7.0-24").st_mode & 07777U, 0444U);

  EXPECT_EQ(store->renew(lease).value().expires, kNeverExpires);
  EXPECT_EQ(dir.status("10.244.7.0-24").st_mode & 07777U, 0444U);
}

TEST(DirectoryStore, a_reservation_is_no_other_nodes) {
  const LeaseDir dir;
  dir.write("10.244.98.0-24", R"({"PublicIP":"1.2.3.4"})");
  dir.reserve("10.244.98.0-24");
  dir.expire("10.244.98.0-24");
  EXPECT_EQ(dir.open()->acquire(kSingle, request("1.1.1.1", "10.244.98.0/24")).error().kind, ErrorKind::exhausted);
  EXPECT_EQ(dir.read("10.244.98.0-24"), R"({"PublicIP":"1.2.3.4"})");
}

TEST(DirectoryStore, a_reservation_that_does_not_fit_is_left_alone) {
  const LeaseDir dir;
  dir.write("10.244.7.0-25", R"({"PublicIP":"1.2.3.4"})");
  dir.reserve("10.244.7.0-25");
  EXPECT_EQ(acquire(*dir.open(), request("1.2.3.4")).subnet.v4->length(), 24);
  EXPECT_THAT(dir.names(), Contains("10.244.7.0-25"));
}

// --- two nodes with one public IP

TEST(DirectoryStore, a_second_running_node_with_the_same_public_ip_is_refused) {
  const LeaseDir dir;
  auto first = dir.open();
  const Lease lease = acquire(*first, request("1.2.3.4"));
  const auto second = dir.open();
  const auto refused = second->acquire(kConf, request("1.2.3.4"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::exists);
  EXPECT_THAT(refused.error().message(), AllOf(HasSubstr("1.2.3.4"), HasSubstr("--public-ip")));
  EXPECT_EQ(second->renew(lease).error().kind, ErrorKind::exists);
  EXPECT_TRUE(first->renew(lease)) << "the first one is not hindered";

  acquire(*second, request("1.2.3.5"));  // another address is fine
  first.reset();
  EXPECT_EQ(acquire(*second, request("1.2.3.4")).subnet, lease.subnet);
}

// --- locks and temporary files

TEST(DirectoryStore, a_lock_that_is_never_let_go_is_an_error_not_a_hang) {
  const LeaseDir dir;
  const auto store = dir.open({.lock_patience = 20ms});
  const Lease lease = acquire(*store, request("1.2.3.4"));
  const Fd lock(::open((dir.path() + "/lock").c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_EQ(::flock(lock.get(), LOCK_EX), 0);
  const auto renewed = store->renew(lease);
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(renewed.error().message(), HasSubstr(dir.path() + "/lock"));
  EXPECT_TRUE(store->list()) << "readers need no lock";
  ::flock(lock.get(), LOCK_UN);
  EXPECT_TRUE(store->renew(lease));
}

TEST(DirectoryStore, temporary_files_of_crashed_writers_are_ignored_and_removed_when_old) {
  const LeaseDir dir;
  const std::vector<std::string> temporary{".new-0123456789abcdef", "..new-0123456789abcdef.Ab12Cd", ".10.244.98.0-24.Ab12Cd"};
  for (const auto& name : temporary) {
    dir.write(name, "half");
    dir.write(name + "x", "half");
  }
  dir.write(".10.244.9.0-24.swp", "an editor's");
  const auto store = dir.open();
  EXPECT_THAT(listed(*store), ElementsAre());
  EXPECT_THAT(rejected(*store), ElementsAre());
  for (const auto& name : dir.names()) dir.set_age(name, 2h);
  for (const auto& name : temporary) {
    if (name.ends_with("f")) dir.set_age(name, 1min);
  }
  acquire(*store, request("1.2.3.4"), kSingle);
  EXPECT_THAT(dir.names(), ElementsAre(".10.244.9.0-24.swp", ".10.244.98.0-24.Ab12Cdx", ".new-0123456789abcdef", "10.244.98.0-24"));
}

}  // namespace cluster_directory_store_test
}  // namespace merino
