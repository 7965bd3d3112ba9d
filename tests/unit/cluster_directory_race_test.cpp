// Many nodes at once in one lease directory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <latch>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "support/lease_dir.h"

namespace merino {
namespace cluster_directory_race_test {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using testing::SizeIs;

constexpr int kThreads = 24;

std::string node(int i) { return "192.168.0." + std::to_string(i + 1); }

struct Outcome {
  std::vector<Lease> leases;
  std::vector<Error> errors;
};

// Every thread is a node with a store of its own; all acquire at once.
Outcome race(const LeaseDir& dir, const NetConf& conf, const std::string& previous) {
  std::latch start(kThreads);
  std::mutex mutex;
  Outcome outcome;
  std::vector<std::unique_ptr<LeaseStore>> stores(kThreads);  // all live until the end, as nodes do
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      stores[i] = dir.open(kImpatient);
      start.arrive_and_wait();
      auto lease = stores[i]->acquire(conf, request(node(i), previous));
      const std::lock_guard guard(mutex);
      if (lease) {
        outcome.leases.push_back(*lease);
      } else {
        outcome.errors.push_back(lease.error());
      }
    });
  }
  for (auto& thread : threads) thread.join();
  return outcome;
}

std::set<Subnets> subnets(const LeaseList& leases) {
  std::set<Subnets> out;
  for (const Lease& lease : leases) out.insert(lease.subnet);
  return out;
}

TEST(DirectoryRace, threads_that_want_the_same_subnet_get_distinct_ones) {
  const LeaseDir dir;
  const Outcome outcome = race(dir, net_conf("10.244.0.0/16"), "10.244.77.0/24");
  for (const Error& error : outcome.errors) ADD_FAILURE() << error.message();
  EXPECT_THAT(subnets(outcome.leases), SizeIs(kThreads));
  EXPECT_EQ(subnets(outcome.leases).count(prefix("10.244.77.0/24")), 1U);
  EXPECT_THAT(listed(*dir.open()), SizeIs(kThreads));
  EXPECT_THAT(dir.names(), SizeIs(kThreads)) << "and nothing else is left";
}

TEST(DirectoryRace, as_many_nodes_as_subnets_win_and_the_rest_hear_why) {
  const LeaseDir dir;
  const Outcome outcome = race(dir, net_conf("10.244.0.0/25", R"(, "SubnetLen": 29)"), "");  // 15 subnets
  EXPECT_THAT(subnets(outcome.leases), SizeIs(15));
  EXPECT_THAT(outcome.leases, SizeIs(15));
  EXPECT_THAT(outcome.errors, SizeIs(kThreads - 15));
  for (const Error& error : outcome.errors) EXPECT_EQ(error.kind, ErrorKind::exhausted) << error.message();
}

TEST(DirectoryRace, one_node_takes_over_an_expired_lease) {
  for (int round = 0; round < 5; ++round) {
    const LeaseDir dir;
    dir.write_lease("10.244.98.0-24", "1.1.1.1");
    dir.expire("10.244.98.0-24");
    const NetConf single = net_conf("10.244.0.0/16", R"(, "SubnetMin": "10.244.98.0", "SubnetMax": "10.244.98.0")");
    const Outcome outcome = race(dir, single, "10.244.98.0/24");
    ASSERT_THAT(outcome.leases, SizeIs(1));
    EXPECT_THAT(dir.open()->list().value().leases, testing::ElementsAre(outcome.leases[0]));
    for (const Error& error : outcome.errors) EXPECT_EQ(error.kind, ErrorKind::exhausted) << error.message();
  }
}

TEST(DirectoryRace, an_owner_that_renews_late_and_a_node_that_takes_over_do_not_both_win) {
  for (int round = 0; round < 10; ++round) {
    const LeaseDir dir;
    const NetConf single = net_conf("10.244.0.0/16", R"(, "SubnetMin": "10.244.98.0", "SubnetMax": "10.244.98.0")");
    const auto owner = dir.open(kImpatient);
    const auto heir = dir.open(kImpatient);
    const Lease lease = owner->acquire(single, request("1.1.1.1")).value();
    dir.expire("10.244.98.0-24");
    std::latch start(2);
    bool renewed = false;
    bool inherited = false;
    std::thread a([&] { start.arrive_and_wait(), renewed = owner->renew(lease).has_value(); });
    std::thread b([&] { start.arrive_and_wait(), inherited = heir->acquire(single, request("1.1.1.2")).has_value(); });
    a.join();
    b.join();
    EXPECT_NE(renewed, inherited);
    EXPECT_THAT(listed(*dir.open()), testing::ElementsAre(std::string("10.244.98.0/24 ") + (renewed ? "1.1.1.1" : "1.1.1.2")));
  }
}

TEST(DirectoryRace, processes_get_distinct_subnets) {
  constexpr int kProcesses = 8;
  constexpr int kEach = 4;
  const LeaseDir dir;
  std::vector<pid_t> children;
  for (int p = 0; p < kProcesses; ++p) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      bool good = true;
      for (int i = 0; i < kEach; ++i) {
        const auto store = open_directory_store(dir.path(), kImpatient);
        good = good && store && (*store)->acquire(net_conf("10.244.0.0/16"), request(node(p * kEach + i), "10.244.77.0/24"));
      }
      ::_exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  EXPECT_THAT(subnets(dir.open()->list().value().leases), SizeIs(kProcesses * kEach));
}

TEST(DirectoryRace, a_node_that_is_killed_leaves_no_lock_behind) {
  const LeaseDir dir;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto store = open_directory_store(dir.path());
    if (store) static_cast<void>((*store)->acquire(net_conf("10.244.0.0/16"), request("1.2.3.4")));
    ::raise(SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  const auto before = listed(*dir.open());
  ASSERT_THAT(before, SizeIs(1));
  EXPECT_TRUE(dir.open()->acquire(net_conf("10.244.0.0/16"), request("1.2.3.4")));
  EXPECT_EQ(listed(*dir.open()), before) << "the same node takes its lease again";
}

TEST(DirectoryRace, readers_never_see_half_a_lease) {
  const LeaseDir dir;
  const auto writer = dir.open(kImpatient);
  Lease lease = writer->acquire(net_conf("10.244.0.0/16"), request("1.2.3.4")).value();
  std::atomic<bool> done = false;
  std::thread reader([&] {
    const auto store = dir.open();
    while (!done) {
      const auto set = store->list();
      ASSERT_TRUE(set);
      ASSERT_THAT(set->rejected, SizeIs(0));
      ASSERT_THAT(set->leases, SizeIs(1));
    }
  });
  for (int i = 0; i < 100; ++i) {
    lease.attributes.vxlan.v4->vni = static_cast<uint32_t>(i % 2 == 0 ? 16777215 : 1);
    EXPECT_TRUE(writer->renew(lease));
  }
  done = true;
  reader.join();
}

}  // namespace cluster_directory_race_test
}  // namespace merino
