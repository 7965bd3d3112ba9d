// Leases in a real etcd: flannel's keys and values, who gets which subnet, what stays and what goes.
#include <algorithm>
#include <chrono>

#include "etcd_source_fixture.h"

namespace merino::lab::etcd_source_test {
namespace {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

const NetConf kConf = net_conf("10.244.0.0/16");
// One subnet only.
const NetConf kSingle = net_conf("10.244.0.0/16", R"(, "SubnetMin": "10.244.98.0", "SubnetMax": "10.244.98.0")");
const std::string kKey = kSubnets + "10.244.98.0-24";

Lease acquire(const Source& source, const LeaseRequest& request, const NetConf& conf = kConf) {
  auto lease = source->acquire(conf, request);
  if (!lease) throw Failure(lease.error().message());
  return *lease;
}

std::string value_of(const std::string& public_ip) { return format_lease_attributes(attributes(public_ip)); }

class EtcdSource : public EtcdTest {
 protected:
  EtcdSource() : etcd_(here_), source_(options_for(etcd_)) {}

  // As flanneld writes it: on an etcd lease of its own, whose number is returned.
  std::string put_with_lease(const std::string& key, const std::string& value, int ttl = 86400) {
    const std::string granted = etcd_.ctl("lease grant " + std::to_string(ttl));  // lease 694d81417acd4755 granted with TTL(86400s)
    const std::string id = granted.substr(6, granted.find(' ', 6) - 6);
    etcd_.put(key, value, "--lease=" + id);
    return id;
  }

  EtcdMembers etcd_;
  Source source_;
};

TEST_F(EtcdSource, AcquireWritesFlannelsKeyAndValue) {
  const Lease lease = acquire(source_, request("192.168.88.12"), kSingle);
  EXPECT_EQ(lease.subnet, prefix("10.244.98.0/24"));
  EXPECT_EQ(lease.attributes, attributes("192.168.88.12"));
  EXPECT_NEAR(static_cast<double>((lease.expires - std::chrono::system_clock::now()) / 1s), 86400.0, 120.0);
  EXPECT_THAT(etcd_.keys(kPrefix), ElementsAre(kKey));
  EXPECT_EQ(etcd_.value(kKey), golden("lease_vxlan.json"));
  EXPECT_THAT(etcd_.ctl("lease timetolive " + etcd_.lease_of(kKey)), HasSubstr("granted with TTL(86400s)"));
}

TEST_F(EtcdSource, TheConfigurationIsWaitedForAndChecked) {
  const auto missing = source_->load_conf("/nowhere");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(missing.error().message(), HasSubstr("etcdctl put /coreos.com/network/config '{"));

  etcd_.put(kPrefix + "/config", R"({"Network": "10.244.0.0/16", "SubnetLen": 26, "Backend": {"Type": "vxlan", "VNI": 7}})");
  const auto conf = source_->load_conf("/nowhere");
  ASSERT_TRUE(conf) << conf.error().message();
  EXPECT_EQ(conf->pools.v4->subnet_len, 26);
  EXPECT_EQ(conf->vxlan.vni, 7U);

  etcd_.put(kPrefix + "/config", "{\"Network\": ");
  const auto bad = source_->load_conf("/nowhere");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().kind, ErrorKind::decode);
  EXPECT_THAT(bad.error().message(), HasSubstr("etcd key /coreos.com/network/config"));
  EXPECT_THAT(bad.error().message(), HasSubstr("etcdctl put"));
}

TEST_F(EtcdSource, AnotherPrefixIsAnotherNetwork) {
  EtcdOptions options = options_for(etcd_);
  options.prefix = "/other//network/";
  const Source other(options);
  acquire(source_, request("1.1.1.1"), kSingle);
  acquire(other, request("1.1.1.2"), kSingle);
  EXPECT_THAT(etcd_.keys("/"), ElementsAre(kKey, "/other/network/subnets/10.244.98.0-24"));
}

TEST_F(EtcdSource, FollowSeesWhatComesChangesAndGoes) {
  etcd_.put(kSubnets + "10.244.5.0-24", value_of("1.1.1.5"));
  const Following following(source_);
  EXPECT_TRUE(following.becomes({"10.244.5.0/24 1.1.1.5"}));
  const int sets = following.sets();
  put_with_lease(kSubnets + "10.244.6.0-24", value_of("1.1.1.6"));
  EXPECT_TRUE(following.becomes({"10.244.5.0/24 1.1.1.5", "10.244.6.0/24 1.1.1.6"}));
  etcd_.put(kSubnets + "10.244.5.0-24", value_of("1.1.1.55"));
  EXPECT_TRUE(following.becomes({"10.244.5.0/24 1.1.1.55", "10.244.6.0/24 1.1.1.6"}));
  etcd_.ctl("del " + kSubnets + "10.244.5.0-24");
  EXPECT_TRUE(following.becomes({"10.244.6.0/24 1.1.1.6"}));
  put_with_lease(kSubnets + "10.244.7.0-24", value_of("1.1.1.7"), 1);  // etcd's shortest is 2 seconds or so
  EXPECT_TRUE(following.becomes({"10.244.6.0/24 1.1.1.6", "10.244.7.0/24 1.1.1.7"}));
  EXPECT_TRUE(following.becomes({"10.244.6.0/24 1.1.1.6"})) << "etcd removes a key whose lease has ended";
  EXPECT_EQ(following.sets(), sets + 5) << "one watch saw it all";

  // What does not belong to this network, or lies beside the leases, is no change.
  etcd_.put(kPrefix + "/config", "{}");
  etcd_.put("/coreos.com/network2/subnets/10.244.8.0-24", value_of("1.1.1.8"));
  etcd_.put(kSubnets + "10.244.9.0-24", value_of("1.1.1.9"));
  EXPECT_TRUE(following.becomes({"10.244.6.0/24 1.1.1.6", "10.244.9.0/24 1.1.1.9"}));
  EXPECT_EQ(following.sets(), sets + 6);
}

TEST_F(EtcdSource, TheSetSaysWhichLeasesEnd) {
  put_with_lease(kSubnets + "10.244.5.0-24", value_of("1.1.1.5"));
  etcd_.put(kSubnets + "10.244.6.0-24", value_of("1.1.1.6"));
  const Lease own = acquire(source_, request("1.1.1.7", "10.244.7.0/24"));
  const Following following(source_);
  ASSERT_TRUE(following.becomes({"10.244.5.0/24 1.1.1.5", "10.244.6.0/24 1.1.1.6", "10.244.7.0/24 1.1.1.7"}));
  const auto leases = following.set().leases;
  EXPECT_GT(leases[0].expires, std::chrono::system_clock::now());
  EXPECT_LT(leases[0].expires, kNeverExpires);
  EXPECT_EQ(leases[1].expires, kNeverExpires);
  EXPECT_LT(std::chrono::abs(leases[2].expires - own.expires), 1s);
}

TEST_F(EtcdSource, WhatIsNoLeaseIsRejectedAndStays) {
  const std::vector<std::string> odd{"10.1.2.0-24", "10.244.1.0-24", "10.244.2.0-24&fd10:244:0:5::-65536", "fd10::-64", "readme"};
  for (const std::string& name : odd)
    etcd_.put("'" + kSubnets + name + "'", name == "10.244.1.0-24" ? "{\"PublicIP\":" : value_of("1.2.3.4"));
  const NetConf three = net_conf("10.244.0.0/22");  // .1, .2 and .3
  const Lease lease = acquire(source_, request("1.2.3.4"), three);
  EXPECT_EQ(lease.subnet, prefix("10.244.3.0/24")) << "neither a spoilt lease's subnet nor one whose name begins with it";
  EXPECT_EQ(source_->acquire(three, request("1.2.3.5")).error().kind, ErrorKind::exhausted);

  const Following following(source_);
  ASSERT_TRUE(following.becomes({"10.244.3.0/24 1.2.3.4"}));
  std::vector<std::string> rejected;
  for (const RejectedLease& each : following.set().rejected) rejected.push_back(each.key + ": " + each.reason);
  EXPECT_THAT(rejected,
              ElementsAre(HasSubstr("10.1.2.0-24: outside of Network 10.244.0.0/22"), HasSubstr("10.244.1.0-24: lease: not valid JSON"),
                          HasSubstr("65536\" is not a subnet key"), HasSubstr("fd10::-64: outside of Network"), HasSubstr("readme: ")));
  EXPECT_THAT(etcd_.keys(kSubnets), SizeIs(odd.size() + 1));
}

TEST_F(EtcdSource, ALeaseOfFlannelsIsTakenOver) {
  const std::string old_lease = put_with_lease(kKey, value_of("1.2.3.4"));
  LeaseRequest changed = request("1.2.3.4");
  changed.attributes.vxlan.v4->vtep_mac = MacAddress::parse("02:00:00:00:00:01").value();
  EXPECT_EQ(acquire(source_, changed).subnet, prefix("10.244.98.0/24"));
  EXPECT_EQ(etcd_.value(kKey), format_lease_attributes(changed.attributes));
  EXPECT_NE(etcd_.lease_of(kKey), old_lease);
  EXPECT_THAT(etcd_.leases(), ElementsAre(etcd_.lease_of(kKey))) << "the one before has no key and is gone";
}

TEST_F(EtcdSource, AnEtcdLeaseWithOtherKeysStays) {
  const std::string shared = put_with_lease(kKey, value_of("1.2.3.4"));
  etcd_.put("/else", "x", "--lease=" + shared);
  acquire(source_, request("1.2.3.4"));
  EXPECT_NE(etcd_.lease_of(kKey), shared);
  EXPECT_EQ(etcd_.lease_of("/else"), shared);
}

TEST_F(EtcdSource, ARestartKeepsTheSubnetAndLeavesNoEtcdLeaseBehind) {
  const Lease first = acquire(source_, request("1.2.3.4"));
  for (int i = 0; i < 3; ++i) {
    const Source again(options_for(etcd_));
    EXPECT_EQ(acquire(again, request("1.2.3.4", "10.244.77.0/24")).subnet, first.subnet);
  }
  EXPECT_THAT(etcd_.keys(kSubnets), SizeIs(1));
  EXPECT_THAT(etcd_.leases(), SizeIs(1));
}

TEST_F(EtcdSource, ThePreviousSubnetIsTakenUnlessAnotherHoldsIt) {
  EXPECT_EQ(acquire(source_, request("1.2.3.4", "10.244.77.0/24")).subnet, prefix("10.244.77.0/24"));
  const Source other(options_for(etcd_));
  EXPECT_NE(acquire(other, request("1.2.3.5", "10.244.77.0/24")).subnet, prefix("10.244.77.0/24"));
}

TEST_F(EtcdSource, AnOwnLeaseThatDoesNotFitAnyMoreIsGivenBack) {
  const Lease old = acquire(source_, request("1.2.3.4"));
  etcd_.put(kSubnets + "10.244.200.0-24", value_of("1.1.1.1"));
  const NetConf longer = net_conf("10.244.0.0/16", R"(, "SubnetLen": 25)");
  const Source again(options_for(etcd_));
  const Lease fresh = acquire(again, request("1.2.3.4", to_string(old.subnet)), longer);
  EXPECT_EQ(fresh.subnet.v4->length(), 25);
  EXPECT_THAT(etcd_.keys(kSubnets),
              testing::UnorderedElementsAre(kSubnets + "10.244.200.0-24", kSubnets + format_subnet_key(fresh.subnet)));
  EXPECT_THAT(etcd_.leases(), SizeIs(1));
}

// --- reservations

TEST_F(EtcdSource, AReservationStaysOne) {
  etcd_.put(kKey, R"({"PublicIP":"1.2.3.4"})");
  Lease lease = acquire(source_, request("1.2.3.4"));
  EXPECT_EQ(lease.subnet, prefix("10.244.98.0/24"));
  EXPECT_EQ(lease.expires, kNeverExpires);
  EXPECT_EQ(etcd_.value(kKey), value_of("1.2.3.4"));
  EXPECT_EQ(etcd_.lease_of(kKey), "0");

  const Source again(options_for(etcd_));
  EXPECT_EQ(acquire(again, request("1.2.3.4")).expires, kNeverExpires);
  lease.attributes.vxlan.v4->vtep_mac = MacAddress::parse("02:00:00:00:00:01").value();
  const auto renewed = source_->renew(lease);
  ASSERT_TRUE(renewed) << renewed.error().message();
  EXPECT_EQ(renewed->expires, kNeverExpires);
  EXPECT_EQ(etcd_.value(kKey), format_lease_attributes(lease.attributes));
  EXPECT_EQ(etcd_.lease_of(kKey), "0");
  EXPECT_THAT(etcd_.leases(), IsEmpty());

  EXPECT_EQ(source_->acquire(kSingle, request("1.2.3.5")).error().kind, ErrorKind::exhausted) << "another node's";
}

// --- renewal

TEST_F(EtcdSource, RenewKeepsTheEtcdLeaseAndShowsTheKey) {
  const Lease lease = acquire(source_, request("1.2.3.4"), kSingle);
  const std::string etcd_lease = etcd_.lease_of(kKey);
  const Following following(source_);
  ASSERT_TRUE(following.becomes({"10.244.98.0/24 1.2.3.4"}));
  const int sets = following.sets();
  for (int i = 0; i < 3; ++i) {
    const auto renewed = source_->renew(lease);
    ASSERT_TRUE(renewed) << renewed.error().message();
    EXPECT_GE(renewed->expires, lease.expires - 1s);
  }
  EXPECT_EQ(etcd_.lease_of(kKey), etcd_lease);
  EXPECT_THAT(etcd_.leases(), SizeIs(1));
  EXPECT_THAT(etcd_.ctl("lease timetolive " + etcd_lease), testing::AnyOf(HasSubstr("remaining(86399s)"), HasSubstr("remaining(8639")));
  EXPECT_TRUE(eventually([&] { return following.sets() == sets + 3; }));
}

TEST_F(EtcdSource, ALeaseWhoseEtcdLeaseWasRevokedIsTakenAgain) {
  const Lease lease = acquire(source_, request("1.2.3.4"), kSingle);
  etcd_.ctl("lease revoke " + etcd_.lease_of(kKey));
  ASSERT_THAT(etcd_.keys(kSubnets), IsEmpty());
  const auto renewed = source_->renew(lease);
  ASSERT_TRUE(renewed) << renewed.error().message();
  EXPECT_EQ(renewed->subnet, lease.subnet);
  EXPECT_EQ(etcd_.value(kKey), value_of("1.2.3.4"));
  EXPECT_THAT(etcd_.leases(), ElementsAre(etcd_.lease_of(kKey)));
}

TEST_F(EtcdSource, ADeletedOrSpoiltLeaseIsTakenAgainButNotAnothers) {
  const Lease lease = acquire(source_, request("1.2.3.4"), kSingle);
  etcd_.ctl("del " + kKey);
  EXPECT_EQ(source_->renew(lease).value().subnet, lease.subnet);
  etcd_.put(kKey, "half a le");
  EXPECT_TRUE(source_->renew(lease));
  EXPECT_EQ(etcd_.value(kKey), value_of("1.2.3.4"));

  etcd_.put(kKey, value_of("1.2.3.5"));
  const auto lost = source_->renew(lease);
  ASSERT_FALSE(lost);
  EXPECT_EQ(lost.error().kind, ErrorKind::exists);
  EXPECT_THAT(lost.error().message(), HasSubstr("1.2.3.5 holds 10.244.98.0/24 now"));
  EXPECT_EQ(etcd_.value(kKey), value_of("1.2.3.5"));

  etcd_.ctl("del " + kKey);
  etcd_.put(kSubnets + "10.244.96.0-20", value_of("1.2.3.5"));
  EXPECT_EQ(source_->renew(lease).error().kind, ErrorKind::exists) << "a larger subnet with this one in it";
}

TEST_F(EtcdSource, RenewFollowsANodeToItsNewAddress) {
  Lease lease = acquire(source_, request("1.2.3.4"), kSingle);
  lease.attributes.public_ip = ip("1.2.3.5");
  EXPECT_TRUE(source_->renew(lease));
  EXPECT_EQ(etcd_.value(kKey), value_of("1.2.3.5"));
  const Source stranger(options_for(etcd_));
  lease.attributes.public_ip = ip("1.2.3.6");
  EXPECT_EQ(stranger->renew(lease).error().kind, ErrorKind::exists) << "whoever did not write it cannot do the same";
}

// --- races

TEST_F(EtcdSource, NodesThatStartAtOnceGetSubnetsOfTheirOwn) {
  const NetConf seven = net_conf("10.244.0.0/21");  // .1 to .7
  constexpr int kNodes = 8;
  std::vector<Result<Lease>> leases(kNodes, fail(ErrorKind::system, "never asked"));
  std::vector<std::thread> nodes;
  for (int i = 0; i < kNodes; ++i) {
    nodes.emplace_back([&, i] {
      const Source node(options_for(etcd_));
      leases[i] = node->acquire(seven, request("1.2.3." + std::to_string(i + 1)));
    });
  }
  for (std::thread& node : nodes) node.join();
  const auto losers = std::count_if(leases.begin(), leases.end(), [](const auto& lease) { return !lease; });
  EXPECT_EQ(losers, 1);
  for (const auto& lease : leases) {
    if (!lease) {
      EXPECT_EQ(lease.error().kind, ErrorKind::exhausted) << lease.error().message();
    } else {
      EXPECT_EQ(etcd_.value(kSubnets + format_subnet_key(lease->subnet)), format_lease_attributes(lease->attributes));
    }
  }
  EXPECT_THAT(etcd_.keys(kSubnets), SizeIs(7));
}

}  // namespace
}  // namespace merino::lab::etcd_source_test
