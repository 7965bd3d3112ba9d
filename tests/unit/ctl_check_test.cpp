#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

#include "ctl/check.h"
#include "ctl/host_check.h"

namespace merino::ctl {
namespace ctl_check_test {

using nlohmann::json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

const CheckScale kScale{"eth0", 1450, 8472, "10.244.1.2 (default/web-0)"};

EchoResult echo(int sent, int received) {
  EchoResult out;
  out.sent = sent;
  out.received = received;
  out.shortest = out.longest = std::chrono::microseconds(200);
  out.total = received * out.shortest;
  return out;
}

TunnelProbe sound_probe() {
  TunnelProbe probe;
  probe.small = echo(5, 5);
  probe.large = echo(3, 3);
  probe.largest = 1450;
  probe.tcp = KnockAnswer::answered;
  probe.udp = KnockAnswer::answered;
  return probe;
}

PeerCheck sound_check() {
  PeerCheck check;
  check.peer = {*Prefix::parse("10.244.2.0/24"), *IpAddress::parse("192.168.88.12"), *MacAddress::parse("02:00:00:00:00:09"),
                PeerKind::vxlan};
  check.underlay_device = "eth0";
  check.underlay = echo(3, 3);
  check.host = sound_probe();
  check.pod = sound_probe();
  return check;
}

std::string only_finding(const PeerCheck& check) {
  const auto findings = diagnose(check, kScale);
  EXPECT_THAT(findings, SizeIs(1));
  return findings.empty() ? "" : findings[0].what + "; " + findings[0].remedy;
}

TEST(Diagnose, ASoundWayIsNone) {
  EXPECT_THAT(diagnose(sound_check(), kScale), IsEmpty());
  PeerCheck without_pods = sound_check();
  without_pods.pod.reset();
  EXPECT_THAT(diagnose(without_pods, kScale), IsEmpty());
  PeerCheck mute_node = sound_check();
  mute_node.underlay = echo(3, 0);
  EXPECT_THAT(diagnose(mute_node, kScale), IsEmpty()) << "a node that does not answer to ping itself is no trouble";
  PeerCheck filtered = sound_check();
  filtered.host.tcp = KnockAnswer::refused_on_the_way;
  EXPECT_THAT(diagnose(filtered, kScale), IsEmpty()) << "a firewall that says no has had the packet";
}

TEST(Diagnose, SilenceOfTheTunnelAndOfTheNode) {
  PeerCheck check = sound_check();
  check.host.small = echo(5, 0);
  EXPECT_THAT(only_finding(check),
              AllOf(HasSubstr("nothing comes back through the tunnel (UDP port 8472)"), HasSubstr("let UDP port 8472 through")));
  check.peer.kind = PeerKind::direct;
  EXPECT_THAT(only_finding(check), AllOf(HasSubstr("not for the pod network"), HasSubstr("source check"), Not(HasSubstr("8472"))));
  check.underlay = echo(3, 0);
  EXPECT_THAT(only_finding(check), HasSubstr("answers neither at its own address"));
  check.underlay_device = "eth1";
  EXPECT_THAT(only_finding(check), HasSubstr("--iface=eth1"));
}

TEST(Diagnose, LossAndSmallPaths) {
  PeerCheck check = sound_check();
  check.host.small = echo(5, 3);
  EXPECT_THAT(only_finding(check), HasSubstr("2 of 5 packets to node 192.168.88.12 (10.244.2.0/24) were lost"));
  check = sound_check();
  check.host.large = echo(3, 0);
  check.host.largest = 1350;
  EXPECT_THAT(only_finding(check), AllOf(HasSubstr("more than 1350 bytes"), HasSubstr("carries 1400 bytes")));
  check.peer.kind = PeerKind::direct;
  EXPECT_THAT(only_finding(check), HasSubstr("carries 1350 bytes")) << "no tunnel, no headers of one";
}

TEST(Diagnose, PingWithoutTcp) {
  PeerCheck check = sound_check();
  check.host.tcp = KnockAnswer::silence;
  EXPECT_THAT(only_finding(check), AllOf(HasSubstr("answers to ping, but not to TCP"), HasSubstr("tx-checksum-ip-generic off")));
  check = sound_check();
  check.host.small.corrupted = 1;
  EXPECT_THAT(only_finding(check), HasSubstr("other content"));
}

TEST(Diagnose, WhatOnlyPodsMeet) {
  PeerCheck check = sound_check();
  check.pod->small = echo(5, 0);
  EXPECT_THAT(only_finding(check), AllOf(HasSubstr("not by its pod 10.244.1.2 (default/web-0)"), HasSubstr("merinoctl route")));
  check = sound_check();
  check.pod->udp = KnockAnswer::silence;
  EXPECT_THAT(only_finding(check), HasSubstr("not to UDP (sent by pod 10.244.1.2"));
}

TEST(CheckReport, TextAndJson) {
  CheckReport report;
  report.title = "merinoctl 1";
  report.scale = kScale;
  report.peers = {sound_check()};
  report.sound = {"this"};
  EXPECT_THAT(check_text(report, Width::narrow, kFile),
              AllOf(HasSubstr("✓ this"), HasSubstr("0.20 ms"), HasSubstr("1450"), HasSubstr("no trouble found")));
  EXPECT_EQ(json::parse(check_json(report)).at("fine"), true);
  report.problems = {{"what", "remedy"}};
  EXPECT_THAT(check_text(report, Width::narrow, kFile), AllOf(HasSubstr("✗ what\n    → remedy"), Not(HasSubstr("no trouble"))));
  EXPECT_EQ(json::parse(check_json(report)).at("fine"), false);
}

TEST(CheckReport, NamesOfNodes) {
  PeerCheck check = sound_check();
  check.name = "worker-2";
  CheckReport report;
  report.peers = {check};
  EXPECT_THAT(check_text(report, Width::narrow, kFile), AllOf(HasSubstr("NODE           NAME      RTT "),
                                                              HasSubstr("192.168.88.12  worker-2  0.20 ms"), Not(HasSubstr("10.244.2."))));
  EXPECT_THAT(check_text(report, Width::wide, kFile),
              AllOf(HasSubstr("NODE           NAME      SUBNET         KIND"), HasSubstr("192.168.88.12  worker-2  10.244.2.0/24  vxlan")));
  EXPECT_EQ(json::parse(check_json(report)).at("peers").at(0).at("node_name"), "worker-2");
  check.host.small = echo(5, 0);
  EXPECT_THAT(only_finding(check), HasSubstr("node 192.168.88.12 (worker-2, 10.244.2.0/24) answers"));
  report.peers = {sound_check()};
  EXPECT_THAT(check_text(report, Width::narrow, kFile), AllOf(Not(HasSubstr("NAME")), HasSubstr("192.168.88.12  10.244.2.0/24  0.20 ms")));
  EXPECT_FALSE(json::parse(check_json(report)).at("peers").at(0).contains("node_name"));
}

PodCheck sound_pod() {
  PodCheck check;
  check.address = *IpAddress::parse("10.244.2.7");
  check.peer = sound_check().peer;
  check.node = "worker-2";
  check.host = sound_probe();
  check.pod = sound_probe();
  return check;
}

std::string only_finding(const PodCheck& check) {
  const auto findings = diagnose(check, kScale);
  EXPECT_THAT(findings, SizeIs(1));
  return findings.empty() ? "" : findings[0].what + "; " + findings[0].remedy;
}

TEST(DiagnosePod, WhoReachesItAndWhoDoesNot) {
  EXPECT_THAT(diagnose(sound_pod(), kScale), IsEmpty());
  PodCheck check = sound_pod();
  check.pod->small = echo(5, 0);
  EXPECT_THAT(only_finding(check), HasSubstr("is reached by this host, but not by its pod 10.244.1.2"));
  check.host.small = echo(5, 0);
  EXPECT_THAT(only_finding(check), AllOf(HasSubstr("pod 10.244.2.7 of node 192.168.88.12 (worker-2) does not answer"),
                                         HasSubstr("merinoctl check 192.168.88.12")));
  check.pod = sound_probe();
  EXPECT_THAT(only_finding(check), HasSubstr("is reached by pod 10.244.1.2 (default/web-0), but not by this host"));
  check.obstacle = "no route";
  EXPECT_THAT(only_finding(check), HasSubstr("nothing can be sent to pod 10.244.2.7 of node 192.168.88.12 (worker-2): no route"));
}

TEST(DiagnosePod, LossSizeAndChecksums) {
  PodCheck check = sound_pod();
  check.host.small = echo(5, 3);
  EXPECT_THAT(only_finding(check), HasSubstr("2 of 5 packets to pod 10.244.2.7"));
  check = sound_pod();
  check.pod->large = echo(3, 0);
  check.pod->largest = 1350;
  EXPECT_THAT(only_finding(check), AllOf(HasSubstr("more than 1350 bytes"), HasSubstr("carries 1400 bytes")));
  check = sound_pod();
  check.host.tcp = KnockAnswer::silence;
  EXPECT_THAT(only_finding(check), AllOf(HasSubstr("not to TCP"), HasSubstr("network policy"), HasSubstr("tx-checksum-ip-generic off")));
}

TEST(DiagnosePod, OfThisNodeHasNoWayBetweenNodes) {
  PodCheck check = sound_pod();
  check.peer.reset();
  check.node.clear();
  check.name = "default/web-1";
  check.host.large = echo(3, 0);
  check.host.largest = 1350;
  EXPECT_THAT(only_finding(check), AllOf(HasSubstr("pod 10.244.2.7 (default/web-1) of this node"), HasSubstr("make the pod anew"),
                                         Not(HasSubstr("Backend.MTU"))));
  check.host.small = check.pod->small = echo(5, 0);
  EXPECT_THAT(only_finding(check), AllOf(HasSubstr("does not answer"), HasSubstr("merinoctl trace --addr 10.244.2.7")));
}

TEST(CheckReport, PodsInTextAndJson) {
  PodCheck near = sound_pod();
  near.peer.reset();
  near.node.clear();
  near.name = "default/web-1";
  near.pod.reset();
  CheckReport report;
  report.scale = kScale;
  report.pods = {sound_pod(), near};
  EXPECT_THAT(check_text(report, Width::narrow, kFile),
              AllOf(HasSubstr("10.244.2.7                  192.168.88.12 (worker-2)  0.20 ms    0%  1450  ok   ok   ok"),
                    HasSubstr("10.244.2.7 (default/web-1)  this node ")));
  const json pods = json::parse(check_json(report)).at("pods");
  EXPECT_EQ(pods.at(0).at("node_name"), "worker-2");
  EXPECT_EQ(pods.at(0).at("from_pod").at("largest_packet"), 1450);
  EXPECT_EQ(pods.at(1).at("name"), "default/web-1");
  EXPECT_FALSE(pods.at(1).contains("from_pod"));
}

HostFacts sound_host() {
  HostFacts facts;
  facts.bpffs = facts.btf = HostFacts::Answer::yes;
  facts.cni_confs = {{"10-merino.conflist", {"merino", "portmap"}}, {"87-podman.conflist", {"bridge"}}};
  facts.networks = {*Prefix::parse("10.244.0.0/16")};
  facts.others = {{"eth0", *Prefix::parse("192.168.88.0/24")}};
  return facts;
}

std::string problem_of(const HostFacts& facts) {
  CheckReport report;
  assess_host(facts, report);
  EXPECT_THAT(report.problems, SizeIs(1));
  return report.problems.empty() ? "" : report.problems[0].what + "; " + report.problems[0].remedy;
}

TEST(HostCheck, MistakesOfTheFirstHour) {
  CheckReport report;
  assess_host(sound_host(), report);
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_THAT(report.notices, IsEmpty());

  HostFacts facts = sound_host();
  facts.bpffs = HostFacts::Answer::no;
  EXPECT_THAT(problem_of(facts), HasSubstr("mount -t bpf bpf /sys/fs/bpf"));
  facts = sound_host();
  facts.btf = HostFacts::Answer::no;
  EXPECT_THAT(problem_of(facts), HasSubstr("CONFIG_DEBUG_INFO_BTF"));
  facts = sound_host();
  facts.cni_confs.insert(facts.cni_confs.begin(), {"05-calico.conflist", {"calico"}});
  EXPECT_THAT(problem_of(facts), AllOf(HasSubstr("05-calico.conflist (calico) stands before 10-merino.conflist"), HasSubstr("remove")));
  facts = sound_host();
  facts.others.emplace_back("eth1", *Prefix::parse("10.0.0.0/8"));
  EXPECT_THAT(problem_of(facts), HasSubstr("overlaps 10.0.0.0/8 of eth1"));
  facts = sound_host();
  facts.bridged_pods = 3;
  EXPECT_THAT(problem_of(facts), AllOf(HasSubstr("br_netfilter is not loaded, and 3 pods of flannel are on its bridge cni0"),
                                       HasSubstr("modprobe br_netfilter")));
}

TEST(HostCheck, NoConfigurationIsWorthANotice) {
  CheckReport report;
  HostFacts facts = sound_host();
  facts.cni_confs.clear();
  assess_host(facts, report);
  EXPECT_THAT(report.problems, IsEmpty());
  EXPECT_THAT(report.notices, SizeIs(1));
}

}  // namespace ctl_check_test
}  // namespace merino::ctl
