// Whole nodes whose leases are in a real etcd.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "etcd_members.h"
#include "lab/lab.h"
#include "lab/traffic.h"

namespace merino::lab::etcd_node_test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::SizeIs;

const std::string kConfig = "/coreos.com/network/config";
const std::string kSubnets = "/coreos.com/network/subnets/";
const std::string kNetConf = R"({"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}})";

class EtcdNodes : public testing::Test {
 protected:
  EtcdNodes() : etcd_(lab_.underlay(), {.address = "192.168.88.1"}) {}

  // The file that is read in the other modes is none here.
  [[nodiscard]] NodeOptions options() const { return {.net_conf = "none", .store = "--etcd-endpoints=" + etcd_.url(0)}; }
  static std::string key_of(const Node& node) { return kSubnets + node.subnet() + "-24"; }

  Lab lab_;
  EtcdMembers etcd_;
};

TEST_F(EtcdNodes, PodsTalkWhileEtcdIsAwayAndAfterwards) {
  etcd_.put(kConfig, kNetConf);
  Node& a = lab_.add_node("a", options());
  Node& b = lab_.add_node("b", options());
  lab_.wait_ready();
  EXPECT_EQ(etcd_.value(key_of(a)),
            fmt::format(R"({{"PublicIP":"{}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"{}"}}}})",
                        a.address(), a.vtep_mac()));
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  ASSERT_TRUE(ping(on_a, "-c 1 " + on_b.address()).all());

  Process pings = on_a.start(fmt::format("exec ping -D -i 0.01 {}", on_b.address()));
  pings.wait_for_log("icmp_seq=10 ");
  etcd_.kill(0);
  EXPECT_TRUE(eventually([&] { return a.http_status("/readyz") == 503; }, 30s)) << "readiness says that the store is away";
  EXPECT_EQ(a.http_status("/healthz"), 200);
  EXPECT_EQ(a.peer_count(), 1U);
  const std::string subnet = b.subnet();
  b.agent().kill();
  b.start_agent();  // has nobody to ask; what is in the kernel goes on
  b.agent().wait_for_log("etcd does not answer", 30s);

  etcd_.start(0);
  etcd_.wait_healthy();
  lab_.wait_ready();
  EXPECT_EQ(b.subnet(), subnet);
  EXPECT_THAT(etcd_.keys(kSubnets), SizeIs(2));
  pings.signal(SIGINT);
  pings.wait();
  const PingResult result = ping_result(pings.log());
  EXPECT_TRUE(result.all()) << result.text.substr(result.text.rfind("---"));

  Node& c = lab_.add_node("c", options());
  lab_.wait_ready();
  EXPECT_TRUE(ping(c.add_pod("c1"), "-c 1 " + on_a.address()).all());
}

TEST_F(EtcdNodes, TheConfigurationIsWaitedFor) {
  Node& a = lab_.add_node("a", options());
  a.agent().wait_for_log("etcdctl put /coreos.com/network/config", 30s);
  EXPECT_NE(a.http_status("/readyz"), 200);
  etcd_.put(kConfig, kNetConf);
  a.wait_ready();
}

TEST_F(EtcdNodes, ADeletedLeaseComesBackAndAPeerThatIsGoneGoes) {
  etcd_.put(kConfig, kNetConf);
  Node& a = lab_.add_node("a", options());
  Node& b = lab_.add_node("b", options());
  lab_.wait_ready();
  const std::string key = key_of(a);
  const std::string value = etcd_.value(key);
  etcd_.ctl("del " + key);
  EXPECT_TRUE(eventually([&] { return etcd_.keys(kSubnets).size() == 2 && etcd_.value(key) == value; }, 30s)) << a.agent().log();
  lab_.wait_ready();

  const std::string gone = key_of(b);
  b.agent().kill();
  etcd_.ctl("del " + gone);
  EXPECT_TRUE(eventually([&] { return a.peer_count() == 0; }, 30s));
}

TEST_F(EtcdNodes, AReservationIsHonoured) {
  etcd_.put(kConfig, kNetConf);
  etcd_.put(kSubnets + "10.244.7.0-24", R"({"PublicIP":"192.168.88.11"})");
  Node& a = lab_.add_node("a", options());
  a.wait_ready();
  ASSERT_EQ(a.address(), "192.168.88.11");
  EXPECT_EQ(a.subnet(), "10.244.7.0");
  EXPECT_THAT(etcd_.value(key_of(a)), HasSubstr(a.vtep_mac()));
  EXPECT_EQ(etcd_.lease_of(key_of(a)), "0");
}

}  // namespace
}  // namespace merino::lab::etcd_node_test
