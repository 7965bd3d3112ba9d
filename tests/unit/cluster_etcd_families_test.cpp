// Both families in etcd, against a gateway that keeps what is put. What a real etcd says is tested in tests/netns.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "cluster/etcd_source.h"
#include "support/fake_etcd.h"

namespace merino {
namespace cluster_etcd_families_test {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

const NetConf kDual = dual_conf();
const std::string kDirectory = "/coreos.com/network/subnets/";

// The keys below subnets/, with transactions as EtcdApi makes them: one put or delete, if the key is at a revision.
class KeptKeys {
 public:
  KeptKeys() {
    etcd_.handle("/v3/kv/range", [this](const httplib::Request&) { return EtcdReply{200, range()}; });
    etcd_.handle("/v3/kv/txn", [this](const httplib::Request& request) {
      return EtcdReply{200, txn(nlohmann::json::parse(request.body))};
    });
  }

  // As another node has put it, before or, with a larger revision, after what is there.
  void put(const std::string& name, const std::string& value, int revision) { keys_[name] = {value, revision}; }
  void put(const std::string& name, const LeaseAttributes& who, int revision) { put(name, format_lease_attributes(who), revision); }
  void drop_all() { keys_.clear(); }
  // Called before the next put of a key is carried out.
  std::function<void()> before_put;

  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& [name, key] : keys_) out.push_back(name);
    return out;
  }
  [[nodiscard]] std::string value(const std::string& name) const { return keys_.at(name).value; }
  [[nodiscard]] std::string url() const { return etcd_.url(); }
  [[nodiscard]] const FakeEtcd& etcd() const { return etcd_; }

 private:
  struct Key {
    std::string value;
    int revision = 0;
    std::string lease = "77";
  };
  [[nodiscard]] std::string kv(const std::string& name) const {
    const Key& key = keys_.at(name);
    return etcd_kv(name, key.value, key.revision, key.lease);
  }
  [[nodiscard]] std::string range() const {
    std::vector<std::string> kvs;
    for (const auto& [name, key] : keys_) kvs.push_back(kv(name));
    return etcd_range(kvs);
  }
  std::string txn(const nlohmann::json& request) {
    const auto& compare = request.at("compare").at(0);
    const std::string name = decode_base64(compare.at("key").get<std::string>()).value().substr(kDirectory.size());
    const auto& action = request.at("success").at(0);
    const bool is_put = action.contains("request_put");
    if (is_put && before_put) std::exchange(before_put, nullptr)();
    const auto found = keys_.find(name);
    const std::string revision = std::to_string(found == keys_.end() ? 0 : found->second.revision);
    const auto& wanted = compare.at("mod_revision");
    if ((wanted.is_string() ? wanted.get<std::string>() : wanted.dump()) != revision) {
      return etcd_answer(R"("responses":[{"response_range":{)" + (found == keys_.end() ? "" : "\"kvs\":[" + kv(name) + "]") + "}}]");
    }
    if (is_put) {
      const auto& put = action["request_put"];
      keys_[name] = {decode_base64(put.at("value").get<std::string>()).value(), ++revision_, "55"};
    } else {
      keys_.erase(name);
    }
    return etcd_answer(R"("succeeded":true)");
  }

  FakeEtcd etcd_;
  std::map<std::string, Key> keys_;
  int revision_ = 1000;
};

class EtcdFamilies : public testing::Test {
 protected:
  Result<Lease> acquire(const NetConf& conf, const LeaseAttributes& who, const Subnets& previous = {}) {
    return source_->acquire(conf, {.attributes = who, .previous = previous});
  }

  KeptKeys keys_;
  StopSignal stop_ = StopSignal::open().value();
  std::unique_ptr<LeaseSource> source_ = open_etcd_source(EtcdOptions{.endpoints = {keys_.url()}}, stop_).value();
  const LeaseAttributes who_ = attributes_of("192.168.88.12", "fd77::12");
  const Subnets previous_ = subnets_of("10.244.98.0/24,fd10:244:0:5::/64");
  const std::string key_ = "10.244.98.0-24&fd10:244:0:5::-64";
};

TEST_F(EtcdFamilies, BothAreFlannelsKeyAndValueByteForByte) {
  const auto lease = acquire(kDual, who_, previous_);
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_EQ(lease->subnet, previous_);
  EXPECT_THAT(keys_.names(), ElementsAre(key_));
  EXPECT_EQ(keys_.value(key_), golden("lease_dual_stack_vxlan.json"));
  EXPECT_TRUE(source_->renew(*lease));
}

TEST_F(EtcdFamilies, Ipv6Alone) {
  const NetConf v6 =
      parse_net_conf(R"({"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fd10:244::/48","Backend":{"Type":"vxlan"}})", "").value();
  const auto lease = acquire(v6, attributes_of("", "fd77::12"), subnets_of("fd10:244:0:5::/64"));
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_EQ(keys_.value("fd10:244:0:5::-64"), golden("lease_ipv6_only.json"));
  EXPECT_TRUE(source_->renew(*lease));
}

TEST_F(EtcdFamilies, Ipv6IsTurnedOnAndOffAgain) {
  const NetConf v4 = net_conf("10.244.0.0/16");
  keys_.put("10.244.98.0-24", attributes("192.168.88.12"), 10);
  const auto both = acquire(kDual, who_, subnets_of("10.244.98.0/24"));
  ASSERT_TRUE(both) << both.error().message();
  EXPECT_EQ(both->subnet.v4, prefix("10.244.98.0/24"));
  EXPECT_THAT(keys_.names(), ElementsAre(format_subnet_key(both->subnet)));
  const auto again = acquire(v4, attributes("192.168.88.12"), both->subnet);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_THAT(keys_.names(), ElementsAre("10.244.98.0-24"));
}

TEST_F(EtcdFamilies, ANodeThatEndedBetweenTwoLeasesKeepsItsSubnet) {
  keys_.put("10.244.98.0-24", attributes("192.168.88.12"), 10);
  keys_.put(key_, who_, 20);
  const auto lease = acquire(kDual, who_, subnets_of("10.244.98.0/24"));
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_EQ(lease->subnet.v4, prefix("10.244.98.0/24"));
  EXPECT_THAT(keys_.names(), ElementsAre(format_subnet_key(lease->subnet)));
}

TEST_F(EtcdFamilies, TheYoungerOfTwoThatOverlapInOneFamilyTakesAnother) {
  for (const char* winner : {"10.244.98.0-24&fd10:244:0:9::-64", "10.244.7.0-24&fd10:244:0:5::-64", "10.244.98.0-24"}) {
    keys_.before_put = [&] { keys_.put(winner, attributes_of("9.9.9.9", "fd99::9"), 900); };
    const auto lease = acquire(kDual, who_, previous_);
    ASSERT_TRUE(lease) << lease.error().message();
    EXPECT_FALSE(overlap(lease->subnet, parse_subnet_key(winner).value())) << winner;
    EXPECT_THAT(keys_.names(), UnorderedElementsAre(winner, format_subnet_key(lease->subnet))) << "what did not count is given back";
    keys_.drop_all();
  }
}

TEST_F(EtcdFamilies, TheOlderOfTwoThatOverlapStays) {
  keys_.before_put = [&] { keys_.put("10.244.98.0-24&fd10:244:0:9::-64", attributes_of("9.9.9.9", "fd99::9"), 2000); };
  const auto lease = acquire(kDual, who_, previous_);
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_EQ(lease->subnet, previous_);
}

TEST_F(EtcdFamilies, ADeletedLeaseIsTakenAgainUnlessAnotherOverlapsByNow) {
  const auto lease = acquire(kDual, who_, previous_);
  ASSERT_TRUE(lease) << lease.error().message();
  keys_.drop_all();
  ASSERT_TRUE(source_->renew(*lease));
  EXPECT_THAT(keys_.names(), ElementsAre(key_));

  keys_.drop_all();
  keys_.before_put = [&] { keys_.put("10.244.9.0-24&fd10:244:0:5::-64", attributes_of("9.9.9.9", "fd99::9"), 900); };
  const auto lost = source_->renew(*lease);
  ASSERT_FALSE(lost) << "between the look and the put";
  EXPECT_EQ(lost.error().kind, ErrorKind::exists);
  EXPECT_THAT(lost.error().message(), HasSubstr("9.9.9.9"));
  EXPECT_THAT(keys_.names(), ElementsAre("10.244.9.0-24&fd10:244:0:5::-64"));
}

TEST_F(EtcdFamilies, WhatOnlyBeginsLikeAKeyOfBothIsInTheWay) {
  keys_.put("10.244.98.0-24&fd10:244:0:5::-64&x", "garbage", 10);
  keys_.put("10.244.97.0-24&fd10:244:0:6::-64", "garbage", 10);
  const auto lease = acquire(kDual, who_, subnets_of("10.244.98.0/24,fd10:244:0:6::/64"));
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_NE(lease->subnet.v4, prefix("10.244.98.0/24"));
  EXPECT_NE(lease->subnet.v6, prefix("fd10:244:0:6::/64"));
}

TEST_F(EtcdFamilies, NodesOfOneFamilyCostNoFurtherRequest) {
  keys_.put("10.244.1.0-24", attributes("1.1.1.1"), 10);
  ASSERT_TRUE(acquire(net_conf("10.244.0.0/16"), attributes("192.168.88.12")));
  EXPECT_EQ(keys_.etcd().asked("/v3/kv/range"), 1);
}

}  // namespace cluster_etcd_families_test
}  // namespace merino
