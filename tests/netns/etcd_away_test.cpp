// An etcd that restarts, forgets its history, loses its leader or is away.
#include <fmt/core.h>

#include <csignal>

#include "cluster/remote_store.h"
#include "etcd_source_fixture.h"
#include "support/slowdown.h"

namespace merino::lab::etcd_away_test {
namespace {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using testing::AnyOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

const NetConf kConf = net_conf("10.244.0.0/16");

std::string value_of(const std::string& public_ip) { return format_lease_attributes(attributes(public_ip)); }

using EtcdAway = EtcdTest;

TEST_F(EtcdAway, ARestartIsSurvivedAndWhatHappenedMeanwhileIsSeen) {
  EtcdMembers etcd(here_);
  etcd.put(kSubnets + "10.244.5.0-24", value_of("1.1.1.5"));
  const Source source(options_for(etcd));
  const Source other(options_for(etcd));
  const Following following(source);
  ASSERT_TRUE(following.becomes({"10.244.5.0/24 1.1.1.5"}));

  etcd.kill(0);
  ASSERT_TRUE(eventually([&] { return !following.last_error().empty(); }));
  EXPECT_THAT(following.leases(), ElementsAre("10.244.5.0/24 1.1.1.5"));
  const auto away = other->acquire(kConf, request("1.1.1.9"));
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(away.error().message(), HasSubstr("http://127.0.0.1:2379"));

  etcd.start(0);
  etcd.wait_healthy();
  etcd.put(kSubnets + "10.244.6.0-24", value_of("1.1.1.6"));
  etcd.ctl("del " + kSubnets + "10.244.5.0-24");
  EXPECT_TRUE(following.becomes({"10.244.6.0/24 1.1.1.6"}));
  EXPECT_TRUE(other->acquire(kConf, request("1.1.1.9")));
}

TEST_F(EtcdAway, ACompactedHistoryIsReadAnew) {
  EtcdMembers etcd(here_);
  etcd.put(kSubnets + "10.244.5.0-24", value_of("1.1.1.5"));
  const Source source(options_for(etcd));
  const Following following(source);
  ASSERT_TRUE(following.becomes({"10.244.5.0/24 1.1.1.5"}));
  // The watcher stands still, and its history goes.
  etcd.kill(0);
  ASSERT_TRUE(eventually([&] { return !following.last_error().empty(); }));
  etcd.start(0);
  etcd.wait_healthy();
  etcd.ctl("del " + kSubnets + "10.244.5.0-24");
  for (int i = 0; i < 3; ++i) etcd.put(kSubnets + "10.244.6.0-24", value_of("1.1.1." + std::to_string(i + 6)));
  etcd.ctl("compaction 5 --physical");
  EXPECT_TRUE(following.becomes({"10.244.6.0/24 1.1.1.8"}));
  // And while it watches.
  etcd.put(kSubnets + "10.244.7.0-24", value_of("1.1.1.7"));
  etcd.ctl("compaction 6 --physical");
  etcd.put(kSubnets + "10.244.8.0-24", value_of("1.1.1.8"));
  EXPECT_TRUE(following.becomes({"10.244.6.0/24 1.1.1.8", "10.244.7.0/24 1.1.1.7", "10.244.8.0/24 1.1.1.8"}));
}

TEST_F(EtcdAway, AnEtcdThatLostItsDataGetsTheLeaseAgain) {
  auto etcd = std::make_unique<EtcdMembers>(here_);
  const Source source(options_for(*etcd));
  const auto lease = source->acquire(kConf, request("1.2.3.4"));
  ASSERT_TRUE(lease) << lease.error().message();
  const Following following(source);
  ASSERT_TRUE(following.becomes({to_string(lease->subnet) + " 1.2.3.4"}));
  etcd.reset();
  etcd = std::make_unique<EtcdMembers>(here_);  // an empty one, at the same address
  EXPECT_TRUE(following.becomes({}));
  const auto renewed = source->renew(*lease);
  ASSERT_TRUE(renewed) << renewed.error().message();
  EXPECT_EQ(renewed->subnet, lease->subnet);
  EXPECT_EQ(etcd->value(kSubnets + format_subnet_key(lease->subnet)), value_of("1.2.3.4"));
  EXPECT_TRUE(following.becomes({to_string(lease->subnet) + " 1.2.3.4"}));
}

TEST_F(EtcdAway, TheStoreKeepsWhatItKnowsAndSaysSinceWhen) {
  EtcdMembers etcd(here_);
  auto stop = std::make_unique<StopSignal>(StopSignal::open().value());
  auto source = open_etcd_source(options_for(etcd), *stop).value();
  const auto store = open_remote_store(std::move(source), std::move(stop)).value();
  const auto lease = store->acquire(kConf, request("1.2.3.4"));
  ASSERT_TRUE(lease) << lease.error().message();
  const auto listed = [&] {
    const auto set = store->list();
    return set && set->leases.size() == 1;
  };
  ASSERT_TRUE(eventually(listed));
  etcd.kill(0);
  ASSERT_TRUE(eventually([&] { return !store->list(); }));
  EXPECT_THAT(store->list().error().message(), AllOf(HasSubstr("etcd at http://127.0.0.1:2379 is away since"), HasSubstr("connect")));
  EXPECT_FALSE(store->renew(*lease));
  etcd.start(0);
  EXPECT_TRUE(eventually(listed, 30s));
  EXPECT_TRUE(eventually([&] { return store->renew(*lease).has_value(); }, 30s));
}

class ThreeMembers : public EtcdTest {
 protected:
  ThreeMembers()
      : etcd_(here_,
              {.members = 3, .flags = fmt::format("--heartbeat-interval {} --election-timeout {}", 50 * slowdown(), 500 * slowdown())}) {}

  EtcdMembers etcd_;
};

TEST_F(ThreeMembers, ALeaderThatDiesIsNoLoss) {
  etcd_.put(kSubnets + "10.244.5.0-24", value_of("1.1.1.5"));
  const int leader = etcd_.leader();
  EtcdOptions options = options_for(etcd_);
  std::swap(options.endpoints[0], options.endpoints[leader]);  // the one that everybody talks to first
  const Source source(options);
  const Source writer(options);
  const auto lease = writer->acquire(kConf, request("1.1.1.6", "10.244.6.0/24"));
  ASSERT_TRUE(lease) << lease.error().message();
  const Following following(source);
  ASSERT_TRUE(following.becomes({"10.244.5.0/24 1.1.1.5", "10.244.6.0/24 1.1.1.6"}));

  etcd_.kill(leader);
  ASSERT_TRUE(eventually([&] { return writer->renew(*lease).has_value(); }, 30s));
  EXPECT_TRUE(eventually([&] { return writer->acquire(kConf, request("1.1.1.7", "10.244.7.0/24")).has_value(); }, 30s));
  EXPECT_TRUE(following.becomes({"10.244.5.0/24 1.1.1.5", "10.244.6.0/24 1.1.1.6", "10.244.7.0/24 1.1.1.7"}));
}

TEST_F(ThreeMembers, AMemberWithoutALeaderDoesNotHoldUs) {
  etcd_.put(kSubnets + "10.244.5.0-24", value_of("1.1.1.5"));
  EtcdOptions options;
  options.endpoints = {etcd_.url(0)};
  const Source cut_off(options);
  const Following following(cut_off);
  ASSERT_TRUE(following.becomes({"10.244.5.0/24 1.1.1.5"}));

  etcd_.signal(1, SIGSTOP);
  etcd_.signal(2, SIGSTOP);
  EXPECT_TRUE(eventually([&] { return !following.last_error().empty(); }, 30s)) << "the watch ends although the member lives";
  EXPECT_THAT(following.last_error(), AnyOf(HasSubstr("no leader"), HasSubstr("timed out"), HasSubstr("the stream has ended")));
  EXPECT_THAT(following.leases(), SizeIs(1));
  etcd_.signal(1, SIGCONT);
  etcd_.signal(2, SIGCONT);
  etcd_.wait_healthy();
  etcd_.put(kSubnets + "10.244.6.0-24", value_of("1.1.1.6"));
  EXPECT_TRUE(following.becomes({"10.244.5.0/24 1.1.1.5", "10.244.6.0/24 1.1.1.6"}));
}

TEST_F(ThreeMembers, AMemberThatIsCutOffIsLeftForTheOthers) {
  EtcdOptions options = options_for(etcd_);
  const Source source(options);
  const Source writer(options);
  const Following following(source);
  ASSERT_TRUE(following.becomes({}));
  here_.must(
      fmt::format("nft 'table inet cut {{ chain out {{ type filter hook output priority 0; tcp dport {0} drop; tcp sport {0} drop; "
                  "meta skuid {1} tcp dport {{ {2}, {3} }} drop; }}; }}'",
                  EtcdMembers::peer_port(0), EtcdMembers::user_of(0), EtcdMembers::peer_port(1), EtcdMembers::peer_port(2)));
  const bool took = eventually([&] { return writer->acquire(kConf, request("1.1.1.6", "10.244.6.0/24")).has_value(); }, 60s);
  EXPECT_TRUE(took);
  EXPECT_TRUE(following.becomes({"10.244.6.0/24 1.1.1.6"}));
  here_.must("nft delete table inet cut");
}

}  // namespace
}  // namespace merino::lab::etcd_away_test
