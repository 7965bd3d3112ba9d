#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/notices.h"

namespace merino {
namespace agent_notices_test {

using std::chrono::minutes;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

Prefix prefix(const char* text) { return Prefix::parse(text).value(); }

Lease lease(const char* subnet) {
  Lease out;
  out.subnet = prefix(subnet);
  return out;
}

Node make_node() {
  Node node;
  node.conf.pools.v4 = SubnetPool{prefix("10.244.0.0/16"), 24, {}, {}};
  node.conntrack = true;
  node.uplink.name = "eth0";
  node.uplink.index = 2;
  node.uplink.mtu = 1500;
  node.lease = lease("10.244.1.0/24");
  node.leases.leases = {lease("10.244.1.0/24"), lease("10.244.2.0/24")};
  return node;
}

LinkAddress address(unsigned link, const char* text) {
  LinkAddress out;
  out.link_index = link;
  out.prefix = prefix(text);
  return out;
}

NoticeFacts about(std::vector<RejectedLease> ignored) {
  NoticeFacts facts;
  facts.ignored = std::move(ignored);
  return facts;
}

// A step that is as it is for so long.
StepState step(const char* name, StepCondition condition, std::chrono::seconds since) {
  StepState state;
  state.name = name;
  state.condition = condition;
  state.error = "the error; its remedy";
  state.since = std::chrono::system_clock::time_point(std::chrono::hours(1)) - since;
  return state;
}

std::vector<OperatorNotice> of_steps(std::vector<StepState> steps) {
  NoticeFacts facts;
  facts.steps = std::move(steps);
  facts.now = std::chrono::system_clock::time_point(std::chrono::hours(1));
  return current_notices(make_node(), facts);
}

TEST(HostNotices, AnMtuThatTheUplinkDoesNotCarry) {
  Node node = make_node();
  EXPECT_THAT(host_notices(node, {{address(2, "192.168.88.11/24")}, {}}), IsEmpty());
  node.conf.vxlan.mtu = 1500;
  EXPECT_THAT(host_notices(node, {}), IsEmpty());
  node.conf.vxlan.mtu = 9000;
  const auto notices = host_notices(node, {});
  ASSERT_THAT(notices, SizeIs(1));
  EXPECT_EQ(notices[0].reason, "MtuMismatch");
  EXPECT_THAT(notices[0].message, HasSubstr("Backend.MTU is 9000, but the uplink eth0 carries 1500 bytes"));
}

Route route(const char* destination, int mtu) {
  Route out;
  out.destination = prefix(destination);
  out.link_index = 2;
  out.mtu = mtu;
  return out;
}

TEST(HostNotices, ARouteThatCarriesLessThanPodsSend) {
  Node node = make_node();
  const auto of_node = [](const char* subnet, const char* public_ip) {
    Lease out = lease(subnet);
    out.attributes.public_ip.v4 = *IpAddress::parse(public_ip);
    return out;
  };
  node.leases.leases = {of_node("10.244.1.0/24", "192.168.77.1"), of_node("10.244.2.0/24", "192.168.88.12"),
                        of_node("10.244.3.0/24", "192.168.88.13")};
  EXPECT_THAT(host_notices(node, {{}, {route("0.0.0.0/0", 0), route("192.168.88.0/24", 1500)}}), IsEmpty());
  EXPECT_THAT(host_notices(node, {{}, {route("0.0.0.0/0", 1400), route("192.168.88.0/24", 0)}}), IsEmpty()) << "no node is reached by it";
  EXPECT_THAT(host_notices(node, {{}, {route("192.168.77.0/24", 1400)}}), IsEmpty()) << "this node is no other one";
  const auto notices = host_notices(node, {{}, {route("0.0.0.0/0", 1450), route("192.168.88.0/24", 1400)}});
  ASSERT_THAT(notices, SizeIs(1)) << "one for each route";
  EXPECT_EQ(notices[0].reason, "MtuMismatch");
  EXPECT_THAT(notices[0].message,
              HasSubstr("the route 192.168.88.0/24 of the uplink eth0, by which node 192.168.88.12 is reached, carries 1400 "
                        "bytes, and packets of pods take up to 1500"));
  node.conf.vxlan.mtu = 1400;
  EXPECT_THAT(host_notices(node, {{}, {route("192.168.88.0/24", 1400)}}), IsEmpty()) << "that was the remedy";
}

TEST(HostNotices, APodNetworkThatIsTheUplinks) {
  const auto notices = host_notices(make_node(), {{address(2, "10.244.9.1/16"), address(7, "10.244.1.0/32")}, {}});
  ASSERT_THAT(notices, SizeIs(1)) << "merino0's own addresses lie in it";
  EXPECT_EQ(notices[0].reason, "NetworkOverlap");
  EXPECT_THAT(notices[0].message, HasSubstr("overlaps 10.244.0.0/16, the network of the uplink eth0"));
}

TEST(CurrentNotices, AKernelThatLacksSomething) {
  Node node = make_node();
  EXPECT_THAT(current_notices(node, {}), IsEmpty());
  node.conntrack = false;
  ASSERT_THAT(current_notices(node, {}), SizeIs(1));
  EXPECT_EQ(current_notices(node, {})[0].reason, "KernelLacksFeature");
  NoticeFacts without_programs;
  without_programs.steps = {step("programs", StepCondition::waiting, minutes(0))};
  EXPECT_THAT(current_notices(node, without_programs), IsEmpty()) << "it has not been asked yet";
  node.conf.fast_path = false;
  EXPECT_THAT(current_notices(node, {}), IsEmpty()) << "switched off on purpose";
}

TEST(CurrentNotices, ProgramsThatTheKernelDoesNotTake) {
  EXPECT_THAT(of_steps({step("programs", StepCondition::ok, minutes(9)), step("programs", StepCondition::waiting, minutes(9))}), IsEmpty());
  const auto notices = of_steps({step("programs", StepCondition::failed, minutes(0))});
  ASSERT_THAT(notices, SizeIs(1)) << "at once";
  EXPECT_EQ(notices[0].reason, "ProgramsNotLoaded");
  EXPECT_EQ(notices[0].message, "merinod could not load its BPF programs: the error; its remedy");
}

TEST(CurrentNotices, AStepThatGoesOnFailing) {
  EXPECT_THAT(of_steps({step("device", StepCondition::failed, std::chrono::seconds(59))}), IsEmpty()) << "in passing";
  const auto notices = of_steps({step("device", StepCondition::failed, minutes(1)), step("route", StepCondition::waiting, minutes(1))});
  ASSERT_THAT(notices, SizeIs(1)) << "what waits for it is no news";
  EXPECT_EQ(notices[0].reason, "StepFailed");
  EXPECT_EQ(notices[0].message, "merinod cannot get device in order: the error; its remedy");
}

TEST(CurrentNotices, OneNodeSpeaksOfOthersLeases) {
  const std::vector<RejectedLease> ignored = {{"node9", "its annotations are nonsense"}};
  Node first = make_node();
  ASSERT_THAT(current_notices(first, about(ignored)), SizeIs(1));
  EXPECT_EQ(current_notices(first, about(ignored))[0].reason, "LeaseIgnored");
  Node second = make_node();
  second.lease = lease("10.244.2.0/24");
  EXPECT_THAT(current_notices(second, about(ignored)), IsEmpty());
  ASSERT_THAT(current_notices(second, about({{"10.244.2.0-25", "overlaps"}})), SizeIs(1)) << "its own affair";
  EXPECT_EQ(current_notices(second, about({{"10.244.2.0-25", "overlaps"}}))[0].reason, "SubnetConflict");
  const auto of_kubernetes = current_notices(second, about({{"node9", "overlaps", lease("10.244.2.128/25")}}));
  ASSERT_THAT(of_kubernetes, SizeIs(1)) << "its key is the Node's name";
  EXPECT_EQ(of_kubernetes[0].reason, "SubnetConflict");
  EXPECT_THAT(current_notices(second, about({{"node9", "overlaps", lease("10.244.1.128/25")}})), IsEmpty()) << "another's affair";
}

TEST(CurrentNotices, AFloodIsCut) {
  std::vector<RejectedLease> many;
  for (int i = 0; i < 1000; ++i) many.push_back({"node" + std::to_string(i), "nonsense"});
  EXPECT_THAT(current_notices(make_node(), about(many)), SizeIs(20));
}

class ListeningStore : public LeaseStore {
 public:
  Result<LeaseSet> list() override { return LeaseSet{}; }
  Result<Lease> acquire(const NetConf&, const LeaseRequest&) override { return Lease{}; }
  Result<Lease> renew(const Lease& lease) override { return lease; }
  [[nodiscard]] int event_fd() const override { return -1; }
  bool drain_events() override { return false; }
  void tell(const OperatorNotice& notice) override { heard.push_back(notice.reason); }
  std::vector<std::string> heard;
};

TEST(NoticeTeller, OnceAndAgainBeforeTheServerForgets) {
  ListeningStore store;
  NoticeTeller teller;
  const std::vector<OperatorNotice> notices = {{"A", "a"}};
  const NoticeTeller::Clock::time_point start{std::chrono::hours(1)};
  teller.tell(store, notices, start);
  teller.tell(store, notices, start + minutes(1));
  teller.tell(store, {}, start + minutes(2));
  teller.tell(store, notices, start + minutes(3));
  EXPECT_THAT(store.heard, testing::ElementsAre("A"));
  teller.tell(store, notices, start + minutes(56));
  EXPECT_THAT(store.heard, testing::ElementsAre("A", "A"));
  teller.tell(store, {{"B", "b"}}, start + minutes(57));
  EXPECT_THAT(store.heard, testing::ElementsAre("A", "A", "B"));
}

}  // namespace agent_notices_test
}  // namespace merino
