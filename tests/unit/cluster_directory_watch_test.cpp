// When a directory store says that its leases may have changed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>

#include <string>

#include "support/lease_dir.h"

namespace merino {
namespace cluster_directory_watch_test {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// Never comes while a test runs: what is reported then, inotify has reported.
constexpr DirectoryStoreTiming kInotifyOnly{.check_interval = 1h, .lock_patience = 30s};
constexpr int kLongMs = 30000;  // a change that is not reported by then never will be
constexpr int kShortMs = 100;   // silence for so long counts as silence

bool readable(LeaseStore& store, int timeout_ms) {
  pollfd poll_fd{.fd = store.event_fd(), .events = POLLIN, .revents = 0};
  return ::poll(&poll_fd, 1, timeout_ms) == 1;
}

bool reports_change(LeaseStore& store) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kLongMs);
  while (std::chrono::steady_clock::now() < deadline) {
    if (readable(store, 1000) && store.drain_events()) return true;
  }
  return false;
}

// Nothing is reported during `ticks` looks at the directory.
bool is_silent(LeaseStore& store, int ticks) {
  for (int i = 0; i < ticks; ++i) {
    if (!readable(store, kLongMs) || store.drain_events()) return false;
  }
  return true;
}

TEST(DirectoryWatch, silent_while_nothing_happens) {
  const LeaseDir dir;
  dir.write_lease("10.244.1.0-24", "1.1.1.1");
  const auto store = dir.open(kInotifyOnly);
  EXPECT_THAT(listed(*store), SizeIs(1));
  EXPECT_THAT(listed(*store), SizeIs(1)) << "reading is no event";
  EXPECT_FALSE(readable(*store, kShortMs));
}

TEST(DirectoryWatch, inotify_reports_what_others_do) {  // flannel: TestWatchLeaseAdded, TestWatchLeaseRemoved
  const LeaseDir dir;
  const auto store = dir.open(kInotifyOnly);
  const auto other = dir.open(kInotifyOnly);
  EXPECT_THAT(listed(*store), IsEmpty());
  const Lease lease = other->acquire(net_conf("10.244.0.0/16"), request("1.2.3.4")).value();
  ASSERT_TRUE(reports_change(*store));
  EXPECT_THAT(store->list().value().leases, ElementsAre(lease));
  EXPECT_FALSE(readable(*store, kShortMs));

  Lease changed = lease;
  changed.attributes.vxlan.v4->vni = 2;
  ASSERT_TRUE(other->renew(changed));
  ASSERT_TRUE(reports_change(*store));
  EXPECT_EQ(store->list().value().leases[0].attributes.vxlan.v4->vni, 2U);
  EXPECT_FALSE(readable(*store, kShortMs));

  std::filesystem::remove(dir.file(format_subnet_key(lease.subnet)));
  ASSERT_TRUE(reports_change(*store));
  EXPECT_THAT(listed(*store), IsEmpty());
  EXPECT_FALSE(readable(*store, kShortMs));

  dir.write_lease("10.244.9.0-24", "1.1.1.1");  // as a hand would
  ASSERT_TRUE(reports_change(*store));
  EXPECT_THAT(listed(*store), ElementsAre("10.244.9.0/24 1.1.1.1"));
}

TEST(DirectoryWatch, a_renewal_wakes_nobody) {
  const LeaseDir dir;
  const auto store = dir.open(kInotifyOnly);
  const Lease lease = store->acquire(net_conf("10.244.0.0/16"), request("1.2.3.4")).value();
  ASSERT_TRUE(reports_change(*store));
  const auto other = dir.open(kInotifyOnly);
  ASSERT_TRUE(store->renew(lease));
  EXPECT_FALSE(readable(*store, kShortMs));
  EXPECT_FALSE(readable(*other, 0));
}

TEST(DirectoryWatch, temporary_files_wake_nobody_for_long) {
  const LeaseDir dir;
  const auto store = dir.open(kInotifyOnly);
  dir.write(".10.244.9.0-24.Ab12Cd", "half");
  ASSERT_TRUE(readable(*store, kLongMs));
  EXPECT_FALSE(store->drain_events());
  EXPECT_FALSE(readable(*store, kShortMs));
}

TEST(DirectoryWatch, ticks_report_nothing_while_nothing_changes) {
  const LeaseDir dir;
  dir.write_lease("10.244.1.0-24", "1.1.1.1");
  const auto store = dir.open(kImpatient);
  EXPECT_THAT(listed(*store), SizeIs(1));
  EXPECT_TRUE(is_silent(*store, 30)) << "the look at every file is among them";
}

TEST(DirectoryWatch, ticks_see_what_inotify_does_not) {
  const LeaseDir dir;
  dir.write_lease("10.244.1.0-24", "1.1.1.1");
  const auto store = dir.open(kImpatient);
  EXPECT_THAT(listed(*store), SizeIs(1));
  const auto before = store->list().value().leases[0].expires;
  dir.set_age("10.244.1.0-24", 3h);
  ASSERT_TRUE(reports_change(*store));
  EXPECT_LT(store->list().value().leases[0].expires, before);
  dir.reserve("10.244.1.0-24");
  ASSERT_TRUE(reports_change(*store));
  EXPECT_EQ(store->list().value().leases[0].expires, kNeverExpires);
}

TEST(DirectoryWatch, the_end_of_a_lease_is_reported) {
  const LeaseDir dir;
  dir.write_lease("10.244.1.0-24", "1.1.1.1");
  dir.write_lease("10.244.2.0-24", "1.1.1.2");
  dir.set_age("10.244.1.0-24", kLeaseTtl - 700ms);
  const auto store = dir.open(kImpatient);
  const auto first = store->list().value().leases;
  if (first.size() == 2) {
    // Looking at every file does not count: nothing about them changes.
    ASSERT_TRUE(reports_change(*store));
    EXPECT_GE(std::chrono::system_clock::now(), first[0].expires);
  }
  EXPECT_THAT(listed(*store), ElementsAre("10.244.2.0/24 1.1.1.2"));
  EXPECT_TRUE(is_silent(*store, 5));
}

TEST(DirectoryWatch, a_change_that_only_a_renewal_saw_is_reported_still) {
  const LeaseDir dir;
  const auto store = dir.open(kImpatient);
  const Lease lease = store->acquire(net_conf("10.244.0.0/16"), request("1.2.3.4", "10.244.1.0/24")).value();
  dir.write_lease("10.244.2.0-24", "1.1.1.1");
  ASSERT_TRUE(reports_change(*store));
  EXPECT_THAT(listed(*store), SizeIs(2));
  dir.set_age("10.244.2.0-24", 3h);  // inotify is not asked for this
  ASSERT_TRUE(store->renew(lease));
  ASSERT_TRUE(reports_change(*store));
  EXPECT_THAT(listed(*store), SizeIs(2));
  EXPECT_TRUE(is_silent(*store, 15));
}

TEST(DirectoryWatch, a_directory_that_goes_and_comes_back) {
  const LeaseDir dir;
  dir.write_lease("10.244.1.0-24", "1.1.1.1");
  const auto store = dir.open(kImpatient);
  EXPECT_THAT(listed(*store), SizeIs(1));

  std::filesystem::remove_all(dir.subnets());
  ASSERT_TRUE(reports_change(*store));
  const auto gone = store->list();
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().kind, ErrorKind::not_found);
  EXPECT_FALSE(std::filesystem::exists(dir.subnets())) << "a reader makes nothing: perhaps a mount is missing";

  std::filesystem::create_directory(dir.subnets());
  dir.write_lease("10.244.2.0-24", "1.1.1.2");
  ASSERT_TRUE(reports_change(*store));
  EXPECT_THAT(listed(*store), ElementsAre("10.244.2.0/24 1.1.1.2"));

  while (!is_silent(*store, 5)) EXPECT_THAT(listed(*store), SizeIs(1));
  dir.write_lease("10.244.3.0-24", "1.1.1.3");
  ASSERT_TRUE(reports_change(*store)) << "the new directory is watched";
  EXPECT_THAT(listed(*store), SizeIs(2));
}

TEST(DirectoryWatch, a_directory_that_is_replaced_by_another) {
  const LeaseDir dir;
  dir.write_lease("10.244.1.0-24", "1.1.1.1");
  const auto store = dir.open(kImpatient);
  EXPECT_THAT(listed(*store), SizeIs(1));
  std::filesystem::create_directory(dir.path() + "/other");
  write_text(dir.path() + "/other/10.244.2.0-24", format_lease_attributes(attributes("1.1.1.2")));
  std::filesystem::rename(dir.subnets(), dir.path() + "/old");
  std::filesystem::rename(dir.path() + "/other", dir.subnets());
  ASSERT_TRUE(reports_change(*store));
  EXPECT_THAT(listed(*store), ElementsAre("10.244.2.0/24 1.1.1.2"));
  while (!is_silent(*store, 5)) EXPECT_THAT(listed(*store), SizeIs(1));

  write_text(dir.path() + "/old/10.244.5.0-24", "x");
  EXPECT_TRUE(is_silent(*store, 5)) << "the old one is not watched any more";
  dir.write_lease("10.244.3.0-24", "1.1.1.3");
  ASSERT_TRUE(reports_change(*store));
  EXPECT_THAT(listed(*store), SizeIs(2));
}

}  // namespace cluster_directory_watch_test
}  // namespace merino
