#include <gmock/gmock.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "ctl/status.h"

namespace merino::ctl {
namespace ctl_status_test {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

const ReasonInfo kFast{MERINO_DECAP, "decap", Action::fast, "delivered", ""};
const ReasonInfo kDrop{MERINO_FORGED, "forged", Action::drop, "not its source", "look at the sender"};

AgentStatus sound_agent() {
  AgentStatus agent;
  agent.version = "0.1.0";
  agent.pid = 4711;
  agent.ready = true;
  agent.public_ip = *IpAddress::parse("192.168.77.1");
  agent.address = agent.public_ip;
  agent.uplink = "eth0";
  agent.uplink_index = 2;
  agent.uplink_mtu = 1500;
  agent.backend = "vxlan";
  agent.vni = 1;
  agent.port = 8472;
  agent.network = *Prefix::parse("10.244.0.0/16");
  agent.subnet = *Prefix::parse("10.244.1.0/24");
  agent.vtep_mac.v4 = *MacAddress::parse("02:00:00:00:00:01");
  agent.mtu = 1450;
  agent.lease_expires = 1000000 + 23 * 3600 + 59 * 60;
  agent.fast_path = true;
  agent.steps = {{"device", "ok", "", 999000}};
  return agent;
}

PodRow sound_pod() {
  PodEntry entry{
      *IpAddress::parse("10.244.1.2"), *IpAddress::parse("10.244.1.1"), 7, MacAddress::random(), MacAddress::random(), Delivery::peer};
  Attachment attachment;
  attachment.host_ifindex = 7;
  attachment.addresses = {*Prefix::parse("10.244.1.2/24")};
  attachment.complete = true;
  return {entry.address, entry, attachment, "veth1"};
}

SubnetEnv sound_subnet_env() {
  SubnetEnv env;
  env.networks = {*Prefix::parse("10.244.0.0/16")};
  env.subnet = *Prefix::parse("10.244.1.1/24");
  env.mtu = 1450;
  return env;
}

StatusFacts sound_facts() {
  merino_config config{};
  config.program_id = 5;
  return {std::chrono::system_clock::time_point(std::chrono::seconds(1000000)),
          sound_agent(),
          AgentProcess::running,
          config,
          5,
          {{"uplink", "eth0", LinkState::up}, {"device", "merino0", LinkState::up}},
          {{"from_wire", "eth0", "ingress", true}, {"from_pod", "veth1", "ingress", true}},
          sound_subnet_env(),
          std::vector<PodRow>{sound_pod()},
          {},
          std::vector<Peer>{},
          std::vector<Counter>{{&kFast, 90, 9000}, {&kDrop, 2, 120}}};
}

// The one problem that a change of sound facts makes.
template <class Change>
Finding only_problem(Change change) {
  StatusFacts facts = sound_facts();
  change(facts);
  const StatusReport report = assess(facts);
  EXPECT_EQ(report.health, Health::unhealthy);
  EXPECT_EQ(report.problems.size(), 1u) << status_text(facts, report, kFile);
  return report.problems.empty() ? Finding{} : report.problems[0];
}

template <class Change>
Finding only_notice(Change change) {
  StatusFacts facts = sound_facts();
  change(facts);
  const StatusReport report = assess(facts);
  EXPECT_EQ(report.health, Health::healthy) << status_text(facts, report, kFile);
  EXPECT_EQ(report.notices.size(), 1u);
  return report.notices.empty() ? Finding{} : report.notices[0];
}

TEST(Status, ASoundNodeIsHealthyOnOneScreen) {
  const StatusFacts facts = sound_facts();
  const StatusReport report = assess(facts);
  EXPECT_EQ(report.health, Health::healthy);
  EXPECT_TRUE(report.problems.empty());
  EXPECT_TRUE(report.notices.empty());
  EXPECT_EQ(status_text(facts, report, kFile),
            "health    healthy\n"
            "agent     running, pid 4711, ready\n"
            "node      192.168.77.1 on eth0, MTU 1500\n"
            "lease     10.244.1.0/24 of 10.244.0.0/16, 23h 59m left\n"
            "backend   vxlan, VNI 1, UDP port 8472, pods' MTU 1450, fast path on\n"
            "programs  2 of 2 attached: from_wire@eth0 from_pod@1 veth\n"
            "pods      1\n"
            "peers     0\n"
            "counted   90 packets fast, 0 left to the stack, 2 dropped\n");
}

TEST(Status, ColoursSayItToo) {
  StatusFacts facts = sound_facts();
  EXPECT_THAT(status_text(facts, assess(facts), Screen{Colours::on}), HasSubstr("\033[32mhealthy"));
  facts.process = AgentProcess::gone;
  EXPECT_THAT(status_text(facts, assess(facts), Screen{Colours::on}), HasSubstr("\033[31munhealthy"));
  EXPECT_THAT(status_text(facts, assess(facts), kFile), Not(HasSubstr("\033")));
}

TEST(Status, TheAgentIsDown) {
  const Finding problem = only_problem([](StatusFacts& facts) { facts.process = AgentProcess::gone; });
  EXPECT_THAT(problem.what, HasSubstr("merinod is not running (its last pid was 4711)"));
  EXPECT_THAT(problem.remedy, HasSubstr("systemctl start merino;"));
}

TEST(Status, TheAgentNeverRan) {
  const Finding problem = only_problem(
      [](StatusFacts& facts) { facts.agent = with_remedy(fail(ErrorKind::not_found, "status.json does not exist"), "start merinod"); });
  EXPECT_EQ(problem, (Finding{"status.json does not exist", "start merinod"}));
}

TEST(Status, WhatTheAgentMissesIsSaidOnce) {
  const Finding problem = only_problem([](StatusFacts& facts) {
    facts.agent->ready = false;
    facts.agent->missing = {"device: port 8472 is taken"};
    facts.agent->steps = {{"device", "failed", "port 8472 is taken", 0}};
  });
  EXPECT_EQ(problem.what, "merinod is not ready: device: port 8472 is taken");
}

TEST(Status, AStepFailedThatReadinessDoesNotNeed) {
  const Finding problem = only_problem([](StatusFacts& facts) { facts.agent->steps = {{"pods", "failed", "a broken record", 0}}; });
  EXPECT_EQ(problem.what, "merinod failed at pods: a broken record");
}

TEST(Status, WordsOfAnAgentThatIsGoneDoNotCount) {
  const Finding problem = only_problem([](StatusFacts& facts) {
    facts.process = AgentProcess::gone;
    facts.agent->missing = {"device: port 8472 is taken"};
  });
  EXPECT_THAT(problem.what, HasSubstr("not running"));
}

TEST(Status, TheLeaseRanOut) {
  EXPECT_THAT(only_problem([](StatusFacts& facts) { facts.agent->lease_expires = 1000000; }).what, HasSubstr("10.244.1.0/24 has run out"));
}

TEST(Status, ALeaseWithoutEnd) {
  StatusFacts facts = sound_facts();
  facts.agent->lease_expires = kLeaseWithoutEnd;
  const StatusReport report = assess(facts);
  EXPECT_EQ(report.health, Health::healthy);
  EXPECT_THAT(status_text(facts, report, kFile), HasSubstr("lease     10.244.1.0/24 of 10.244.0.0/16\n"));
}

TEST(Status, WhatConfigurationAndInterfacesDoNotFit) {
  const Finding problem = only_problem([](StatusFacts& facts) { facts.agent->host_notices = {"Backend.MTU is 9000; set it to 1500"}; });
  EXPECT_EQ(problem.what, "Backend.MTU is 9000; set it to 1500");
}

TEST(Status, NoProgramsAreLoaded) {
  const Finding problem = only_problem([](StatusFacts& facts) {
    facts.config = std::optional<merino_config>();
    facts.links.clear();
    facts.programs.clear();
    facts.pods = fail(ErrorKind::not_found, "pods is not pinned");
    facts.counters = fail(ErrorKind::not_found, "counters is not pinned");
  });
  EXPECT_THAT(problem.what, HasSubstr("not loaded"));
}

TEST(Status, AProgramIsNotAttached) {
  EXPECT_EQ(only_problem([](StatusFacts& facts) { facts.programs[0].attached = false; }).what, "from_wire is not attached to eth0 ingress");
  EXPECT_THAT(only_problem([](StatusFacts& facts) { facts.programs[1].attached = fail(ErrorKind::system, "query tcx"); }).what,
              HasSubstr("from_pod is not attached to veth1 ingress: query tcx"));
}

TEST(Status, ALinkIsDownOrGone) {
  EXPECT_EQ(only_problem([](StatusFacts& facts) { facts.links[0].state = LinkState::down; }).what, "the uplink eth0 is down");
  EXPECT_EQ(only_problem([](StatusFacts& facts) { facts.links[1] = {"device", "", LinkState::missing}; }).what, "the device is gone");
}

TEST(Status, SubnetEnvIsMissingOrStale) {
  EXPECT_THAT(only_problem([](StatusFacts& facts) { facts.subnet_env = fail(ErrorKind::not_found, "no subnet.env"); }).what,
              HasSubstr("no subnet.env"));
  EXPECT_THAT(only_problem([](StatusFacts& facts) { facts.subnet_env->subnet = *Prefix::parse("10.244.9.1/24"); }).what,
              HasSubstr("says 10.244.9.0/24, the lease 10.244.1.0/24"));
}

TEST(Status, APodIsBroken) {
  EXPECT_EQ(only_problem([](StatusFacts& facts) { facts.pods->at(0).entry.reset(); }).what, "pod 10.244.1.2: no entry in the map");
}

TEST(Status, WhatDoesNotHurtIsANotice) {
  EXPECT_THAT(only_notice([](StatusFacts& facts) {
                facts.agent->rejected_leases = {{"10.244.7.0-24", "bad MAC"}};
              }).what,
              HasSubstr("lease 10.244.7.0-24 is ignored: bad MAC"));
  EXPECT_THAT(only_notice([](StatusFacts& facts) {
                facts.agent->rejected_leases = {{"10.244.7.0-24", "bad MAC", "worker-7\n"}};
              }).what,
              HasSubstr("lease 10.244.7.0-24 of worker-7\\x0a is ignored: bad MAC"));
  EXPECT_THAT(only_notice([](StatusFacts& facts) { facts.pods->at(0).attachment->complete = false; }).what, HasSubstr("being added"));
  EXPECT_THAT(only_notice([](StatusFacts& facts) { facts.own_program_id = 6; }).what, HasSubstr("another build"));
  EXPECT_THAT(only_notice([](StatusFacts& facts) { facts.broken_records = {"/run/merino/attachments/x: not JSON"}; }).what,
              HasSubstr("not JSON"));
  EXPECT_THAT(only_notice([](StatusFacts& facts) {
                facts.agent->fast_path = false;
                facts.agent->fast_path_why = "this kernel has no bpf_skb_ct_lookup";
              }).what,
              HasSubstr("the fast path is off: this kernel has no bpf_skb_ct_lookup"));
}

TEST(Status, WithoutRootNothingIsClaimed) {
  StatusFacts facts = sound_facts();
  facts.config = fail_errno(EACCES, "open /sys/fs/bpf/merino");
  const StatusReport report = assess(facts);
  EXPECT_EQ(report.health, Health::unknown);
  ASSERT_EQ(report.problems.size(), 1u);
  EXPECT_THAT(report.problems[0].remedy, HasSubstr("root"));
}

TEST(Status, Json) {
  StatusFacts facts = sound_facts();
  json status = json::parse(status_json(facts, assess(facts)));
  EXPECT_EQ(status.at("health"), "healthy");
  EXPECT_EQ(status.at("agent_running"), true);
  EXPECT_EQ(status.at("agent").at("network").at("subnet"), "10.244.1.0/24");
  EXPECT_EQ(status.at("programs").size(), 2u);
  EXPECT_EQ(status.at("pods"), 1);
  EXPECT_EQ(status.at("packets"), json::parse(R"({"fast": 90, "stack": 0, "drop": 2})"));

  facts.agent = fail(ErrorKind::not_found, "status.json does not exist");
  facts.peers = fail(ErrorKind::not_found, "peers is not pinned");
  status = json::parse(status_json(facts, assess(facts)));
  EXPECT_EQ(status.at("health"), "unhealthy");
  EXPECT_TRUE(status.at("agent").is_null());
  EXPECT_TRUE(status.at("peers").is_null());
  EXPECT_EQ(status.at("problems").at(0).at("what"), "status.json does not exist");
}

}  // namespace ctl_status_test
}  // namespace merino::ctl
