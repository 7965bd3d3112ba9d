// merinoctl on nodes that work, and on nodes that do not: what it says must be so.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "lab/lab.h"
#include "lab/pod_network.h"
#include "lab/traffic.h"
#include "merinoctl_run.h"

namespace merino::lab::merinoctl_test {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Two nodes with a pod each.
class Merinoctl : public testing::Test {
 protected:
  Merinoctl() { lab_.wait_ready(); }

  Lab lab_;
  Node& a_ = lab_.add_node("a");
  Node& b_ = lab_.add_node("b");
};

TEST_F(Merinoctl, TablesInEveryForm) {
  const Pod& pod = a_.add_pod("a1");
  EXPECT_THAT(ctl(a_, "pods").out, AllOf(HasSubstr(pod.address()), HasSubstr("default/container-a1"), Not(HasSubstr("POD MAC"))));
  EXPECT_THAT(ctl(a_, "pods -o wide").out, HasSubstr("POD MAC"));
  EXPECT_THAT(ctl(a_, "pods -o yaml").out,
              AllOf(testing::StartsWith("- address: \"" + pod.address()), HasSubstr("  name: \"container-a1\"")));
  EXPECT_EQ(ctl_json(a_, "pods").at(0).at("name"), "container-a1");
  EXPECT_EQ(ctl(a_, "pods -o xml").exit_code, 1);

  // The report is written at most once a second, and the next pass may be some seconds away.
  ASSERT_TRUE(eventually([&] { return ctl_json(a_, "leases").size() == 2; }, std::chrono::seconds(30)));
  const json leases = ctl_json(a_, "leases");
  for (const json& lease : leases) EXPECT_EQ(lease.at("state"), lease.at("node") == a_.address() ? "own" : "used");
  EXPECT_THAT(ctl(a_, "leases").out, AllOf(HasSubstr(b_.subnet() + "/24"), HasSubstr("23h 59m")));
  a_.must("printf nonsense > " + lab_.lease_dir() + "/subnets/10.99.77.0-24");
  EXPECT_TRUE(eventually([&] { return ctl(a_, "leases").out.find("10.99.77.0-24") != std::string::npos; }, std::chrono::seconds(30)));
  EXPECT_THAT(ctl(a_, "leases").out, HasSubstr("ignored: "));
}

// As a store of Kubernetes has them; those of a directory have no names.
TEST_F(Merinoctl, NamesOfNodesStandBesideTheirAddresses) {
  const Pod& pod = a_.add_pod("a1");
  const Pod& far = b_.add_pod("b1");
  ASSERT_TRUE(eventually([&] { return ctl_json(a_, "leases").size() == 2; }, std::chrono::seconds(30)));
  for (const char* command : {"peers", "leases", "check"}) EXPECT_THAT(ctl(a_, command).out, Not(HasSubstr("NAME"))) << command;
  json leases = ctl_json(a_, "leases");
  for (json& lease : leases) lease["name"] = lease.at("node") == b_.address() ? "worker-b" : "worker-a";
  a_.write("/run/merino/leases.json", leases.dump());

  for (const char* command : {"peers", "peers -o wide", "peers -o yaml", "leases", "leases -o wide", "leases -o yaml", "check"})
    EXPECT_THAT(ctl(a_, command).out, HasSubstr("worker-b")) << command;
  EXPECT_EQ(ctl_json(a_, "peers").at(0).at("node_name"), "worker-b");
  EXPECT_EQ(ctl_json(a_, "check worker-b").at("peers").size(), 1U);
  EXPECT_THAT(ctl(a_, "check worker-c").err, HasSubstr("worker-c is no peer of this node"));
  EXPECT_THAT(ctl(a_, fmt::format("route {} {}", pod.address(), far.address())).out,
              HasSubstr("sent to node " + b_.address() + " (worker-b) in a tunnel"));
  Process trace = a_.start(fmt::format("exec {} trace --addr {} --reason encap --count 1 --seconds 60", MERINOCTL, far.address()));
  ASSERT_TRUE(eventually(
      [&] { return a_.run("bpftool map dump pinned /sys/fs/bpf/merino/trace_filter").out.find("\"until_ns\": 0,") == std::string::npos; }));
  pod.must(fmt::format("echo x | socat -u - UDP4-SENDTO:{}:7", far.address()));
  EXPECT_EQ(trace.wait(), 0);
  EXPECT_THAT(trace.log(), AllOf(HasSubstr("from pod default/container-a1"), HasSubstr(b_.address() + " (worker-b)")));
}

TEST_F(Merinoctl, RatesOfCounters) {
  const Pod& on_a = a_.add_pod("a1");
  const Pod& on_b = b_.add_pod("b1");
  EXPECT_THAT(ctl(a_, "counters --watch 0.1 --count 1").out, Not(HasSubstr("protocol"))) << "nobody pings yet";
  const Process pings = on_a.start("exec ping -i 0.01 " + on_b.address());
  ASSERT_TRUE(eventually([&] {
    const json rates = ctl_json(a_, "counters --watch 0.2 --count 1");
    return !rates.empty() && rates.at(0).at("packets_per_second").get<double>() > 1;
  }));
  EXPECT_THAT(ctl(a_, "counters --watch 0.2 --count 2").out, AllOf(HasSubstr("PACKETS/S"), HasSubstr("protocol")));
}

// What route says is what happens: each flow is asked for first and sent then.
TEST_F(Merinoctl, RouteSaysWhatHappens) {
  const Pod& pod = a_.add_pod("a1");
  const Pod& near = a_.add_pod("a2");
  const Pod& far = b_.add_pod("b1");
  struct Flow {
    const Place& from;
    std::string source;
    std::string destination;
    std::string protocol;
    std::string first_reason;
    std::string end;
  };
  const Flow flows[] = {
      {pod, pod.address(), near.address(), "udp", "local", "delivered"},
      {pod, pod.address(), far.address(), "udp", "encap", "sent"},
      {pod, pod.address(), "10.244.250.7", "udp", "no_route", "dropped"},
      {pod, pod.address(), lab_.underlay().must("printf 192.168.88.1"), "udp", "no_route", "stack"},
      {a_, a_.subnet(), far.address(), "udp", "routed to merino0", "sent"},
  };
  for (const Flow& flow : flows) {
    const json answer = ctl_json(a_, fmt::format("route {} {} --proto {} --dport 7", flow.source, flow.destination, flow.protocol));
    EXPECT_EQ(answer.at("steps").at(0).at("result"), flow.first_reason) << answer.dump(1);
    EXPECT_EQ(answer.at("end"), flow.end) << answer.dump(1);
  }
  for (const json& counter : ctl_json(a_, "counters"))
    EXPECT_THAT(counter.at("reason"), testing::AnyOf("not_ip", "not_tunnel")) << "asking leaves no trace in the counters";
  for (const Flow& flow : flows) {
    if (&flow.from == &a_) continue;
    const json before = ctl_json(a_, "counters --all");
    flow.from.must(fmt::format("echo x | socat -u - UDP4-SENDTO:{}:7", flow.destination));
    ASSERT_TRUE(eventually([&] { return ctl_json(a_, "counters --all") != before; }));
    const json after = ctl_json(a_, "counters --all");
    uint64_t met = 0;
    for (size_t i = 0; i < after.size(); ++i) {
      if (after[i]["reason"] == flow.first_reason) met = after[i]["packets"].get<uint64_t>() - before[i]["packets"].get<uint64_t>();
    }
    EXPECT_GE(met, 1U) << flow.destination;
  }
}

TEST_F(Merinoctl, RouteFromTheWireAndItsRefusals) {
  const Pod& pod = a_.add_pod("a1");
  const Pod& far = b_.add_pod("b1");
  const json in = ctl_json(a_, fmt::format("route {} {} --dport 80", far.address(), pod.address()));
  EXPECT_EQ(in.at("steps").at(0).at("result"), "decap") << in.dump(1);
  EXPECT_EQ(in.at("end"), "delivered");
  EXPECT_THAT(in.at("conclusion").get<std::string>(), HasSubstr("default/container-a1"));
  const json ping = ctl_json(a_, fmt::format("route {} {} --proto icmp", pod.address(), far.address()));
  EXPECT_EQ(ping.at("steps").at(0).at("result"), "protocol");
  EXPECT_EQ(ping.at("steps").back().at("result"), "host_encap");
  EXPECT_EQ(ping.at("end"), "sent");

  const std::string text = ctl(a_, fmt::format("route {} {}", pod.address(), far.address())).out;
  EXPECT_EQ(ctl(a_, fmt::format("route default/container-a1 {}", far.address())).out, text);
  EXPECT_THAT(text, AllOf(HasSubstr("from_pod on "), HasSubstr("encap"), HasSubstr("sent to node " + b_.address())));
  EXPECT_EQ(ctl(a_, fmt::format("route {} 10.244.250.7", pod.address())).exit_code, 2) << "dropped";
  EXPECT_EQ(ctl(a_, fmt::format("route {} {}", pod.address(), far.address())).exit_code, 0);
  EXPECT_EQ(ctl(a_, "route 10.244.1.2").exit_code, 1);
  EXPECT_EQ(ctl(a_, "route nonsense 10.244.1.2").exit_code, 1);
}

TEST_F(Merinoctl, RouteKnowsTranslatedFlows) {
  const Pod& client = a_.add_pod("a1");
  const Pod& backend = b_.add_pod("b1");
  const TrafficServer server(backend, 80);
  a_.must(
      fmt::format("nft 'add table ip t; add chain ip t p {{ type nat hook prerouting priority dstnat; }}; "
                  "add rule ip t p ip daddr 10.96.0.1 tcp dport 80 dnat to {}:80'",
                  backend.address()));
  const Process stream = start_traffic(client, "tcp --to 10.96.0.1:80 --up 1000 --seconds 20");
  std::string port;
  ASSERT_TRUE(eventually([&] {
    port = a_.run("conntrack -L -p tcp --dst 10.96.0.1 2>/dev/null | grep -o 'sport=[0-9]*' | head -1 | cut -d= -f2 | tr -d '\\n'").out;
    return !port.empty();
  }));
  const json answer = ctl_json(a_, fmt::format("route {} {} --sport 80 --dport {}", backend.address(), client.address(), port));
  EXPECT_EQ(answer.at("steps").at(0).at("result"), "translated") << answer.dump(1);
}

TEST_F(Merinoctl, CheckFindsNothingOnASoundNetwork) {
  a_.add_pod("a1");
  const Output output = ctl(a_, "check");
  EXPECT_EQ(output.exit_code, 0) << output.out << output.err;
  EXPECT_THAT(output.out, AllOf(HasSubstr(b_.address()), HasSubstr("no trouble found"), HasSubstr("1450"), HasSubstr("br_netfilter is"),
                                HasSubstr("merino does not need it")));
  const json report = ctl_json(a_, "check " + b_.address());
  EXPECT_EQ(report.at("peers").at(0).at("from_host").at("received"), 5) << report.dump(1);
  EXPECT_EQ(report.at("peers").at(0).at("from_host").at("tcp"), "ok");
  EXPECT_EQ(report.at("peers").at(0).at("from_host").at("udp"), "ok");
  EXPECT_EQ(report.at("peers").at(0).at("from_pod").at("tcp"), "ok");
  EXPECT_EQ(ctl(a_, "check 192.168.88.200").exit_code, 1) << "no peer";
}

TEST(MerinoctlDualStack, RouteAndCheckInBothFamilies) {
  const std::string conf = net_conf({.families = Families::dual});
  Lab lab;
  Node& a = lab.add_node("a", {.net_conf = conf});
  Node& b = lab.add_node("b", {.net_conf = conf});
  lab.wait_ready();
  const Pod& pod = a.add_pod("a1");
  const Pod& far = b.add_pod("b1");
  for (const Family family : {Family::v4, Family::v6}) {
    const json out = ctl_json(a, fmt::format("route {} {}", pod.address(family), far.address(family)));
    EXPECT_EQ(out.at("end"), "sent") << out.dump(1);
    EXPECT_EQ(out.at("steps").at(0).at("where").get<std::string>().find("from_pod on mr"), 0U) << out.dump(1);
    const json in = ctl_json(a, fmt::format("route {} {}", far.address(family), pod.address(family)));
    EXPECT_EQ(in.at("end"), "delivered") << in.dump(1);
  }
  const Output check = ctl(a, "check");
  EXPECT_EQ(check.exit_code, 0) << check.out << check.err;
  EXPECT_THAT(check.out, AllOf(HasSubstr(b.prefix(Family::v4).to_string()), HasSubstr(b.prefix(Family::v6).to_string())));
  const std::string both = b.prefix(Family::v4).to_string() + "," + b.prefix(Family::v6).to_string();
  EXPECT_TRUE(eventually([&] { return ctl(a, "leases").out.find(both) != std::string::npos; }, std::chrono::seconds(30)));
}

// With three pods, of both nodes, in both families: all fine; then one whose way is too small, one that refuses TCP, one that is gone.
TEST(MerinoctlDualStack, CheckOfPods) {
  const std::string conf = net_conf({.families = Families::dual});
  Lab lab;
  Node& a = lab.add_node("a", {.net_conf = conf});
  Node& b = lab.add_node("b", {.net_conf = conf});
  lab.wait_ready();
  const Pod& near = a.add_pod("a1");
  a.add_pod("a2");
  const Pod& far = b.add_pod("b1");
  constexpr int kPodMtu = 1500 - 70;  // of both families: an IPv6 tunnel carries less
  const auto check = [&](const Pod& pod, Family family) { return ctl_json(a, fmt::format("check --pod {}", pod.address(family))); };
  for (const Family family : {Family::v4, Family::v6}) {
    const json report = ctl_json(a, fmt::format("check --pod {} --pod {} --count 3", far.address(family), near.address(family)));
    EXPECT_TRUE(report.at("fine")) << report.dump(1);
    EXPECT_TRUE(report.at("peers").empty()) << "none was named";
    ASSERT_EQ(report.at("pods").size(), 2U);
    EXPECT_EQ(report.at("pods").at(0).at("node"), b.address(family));
    EXPECT_EQ(report.at("pods").at(1).at("name"), "default/container-a1");
    for (const json& pod : report.at("pods")) {
      for (const char* from : {"from_host", "from_pod"}) {
        EXPECT_EQ(pod.at(from).at("received"), 3) << pod.dump(1);
        EXPECT_EQ(pod.at(from).at("largest_packet"), kPodMtu) << pod.dump(1);
        EXPECT_EQ(pod.at(from).at("tcp"), "ok") << pod.dump(1);
        EXPECT_EQ(pod.at(from).at("udp"), "ok") << pod.dump(1);
      }
    }
    const std::string none = family == Family::v4 ? "10.9.9.9" : "fd99::9";
    const Output unknown = ctl(a, "check --pod " + none);
    EXPECT_EQ(unknown.exit_code, 1);
    EXPECT_THAT(unknown.err, AllOf(HasSubstr(none + " is no pod of any subnet that this node knows"), HasSubstr("merinoctl peers")));
    EXPECT_THAT(ctl(a, "check --pod " + a.prefix(family).address().to_string()).err, HasSubstr("is in this node's subnet"));
    const Output base = ctl(a, "check --pod " + b.prefix(family).address().to_string());
    EXPECT_EQ(base.exit_code, 1);
    EXPECT_THAT(base.err, HasSubstr("is no pod's address, but node " + b.address(family) + "'s own"));
  }
  EXPECT_EQ(ctl(a, "check --pod nonsense").exit_code, 1);
  const json by_name = ctl_json(a, "check --pod default/container-a1 --count 1");
  ASSERT_EQ(by_name.at("pods").size(), 2U) << "both families: " << by_name.dump(1);
  EXPECT_EQ(by_name.at("pods").at(0).at("name"), "default/container-a1");
  EXPECT_FALSE(ctl_json(a, fmt::format("check {} --pod {}", b.address(), far.address())).at("peers").empty());

  far.must("nft 'add table inet f; add chain inet f in { type filter hook input priority 0; }; add rule inet f in meta l4proto tcp drop'");
  for (const Family family : {Family::v4, Family::v6})
    EXPECT_THAT(words(check(far, family).at("problems")), AllOf(HasSubstr("answers to ping, but not to TCP"), HasSubstr("network policy")));
  far.must("nft delete table inet f");
  lab.underlay().must("ip link set port-b mtu 1400");
  for (const Family family : {Family::v4, Family::v6}) {
    const json report = check(far, family);
    EXPECT_THAT(words(report.at("problems")), HasSubstr("are lost on the way to pod " + far.address(family)));
    // Less what the tunnel puts before it; the kernel's devices let a VLAN tag more through than their MTU.
    const int largest = 1400 - (family == Family::v4 ? 50 : 70);
    EXPECT_THAT(report.at("pods").at(0).at("from_host").at("largest_packet").get<int>(),
                AllOf(testing::Ge(largest), testing::Le(largest + 4)));
  }
  far.must("ip link set eth0 down");
  const Output gone = ctl(a, "check --pod " + far.address());
  EXPECT_EQ(gone.exit_code, 2);
  EXPECT_THAT(gone.out, AllOf(HasSubstr("pod " + far.address() + " of node " + b.address() + " does not answer"), HasSubstr("100%")));
}

TEST(MerinoctlBackends, CheckWithoutVxlan) {
  for (const Backend backend : {Backend::udp, Backend::host_gw}) {
    SCOPED_TRACE(to_string(backend));
    Lab lab;
    Node& a = lab.add_node("a", {.net_conf = net_conf({.backend = backend})});
    lab.add_node("b", {.net_conf = net_conf({.backend = backend})});
    lab.wait_ready();
    a.add_pod("a1");
    const Output check = ctl(a, "check -o wide");
    EXPECT_EQ(check.exit_code, 0) << check.out << check.err;
    EXPECT_THAT(check.out, HasSubstr(backend == Backend::udp ? "udp" : "direct"));
  }
}

class Trouble : public Merinoctl {
 protected:
  json found() {
    const Output output = ctl(a_, "check -o json");
    EXPECT_EQ(output.exit_code, 2) << output.out << output.err;
    return json::parse(output.out);
  }
};

TEST_F(Trouble, FirewallThatSwallowsThePort) {
  // Between the nodes: on the node itself the programs come before any rule.
  lab_.underlay().must(
      "nft 'add table bridge f; add chain bridge f in { type filter hook forward priority 0; }; add rule bridge f in udp dport 8472 drop'");
  const std::string text = words(found().at("problems"));
  lab_.underlay().must("nft delete table bridge f");
  EXPECT_THAT(text,
              AllOf(HasSubstr("node " + b_.address()), HasSubstr("answers at its own address, but nothing comes back through the tunnel"),
                    HasSubstr("let UDP port 8472 through")));
}

TEST_F(Trouble, UnderlayThatCarriesLess) {
  lab_.underlay().must("ip link set port-b mtu 1400");
  const json report = found();
  EXPECT_THAT(words(report.at("problems")),
              AllOf(HasSubstr("are lost on the way to node " + b_.address()), HasSubstr("bytes: set Backend.MTU")));
  // The kernel's devices let a VLAN tag more through than their MTU.
  EXPECT_THAT(report.at("peers").at(0).at("from_host").at("largest_packet").get<int>(), AllOf(testing::Ge(1350), testing::Le(1354)));
}

TEST_F(Trouble, PeerWhoseFirewallRefusesTcp) {
  b_.must(
      "nft 'add table inet f; add chain inet f in { type filter hook input priority 0; }; add rule inet f in iifname merino0 meta l4proto "
      "tcp drop'");
  EXPECT_THAT(words(found().at("problems")), AllOf(HasSubstr("answers to ping, but not to TCP"), HasSubstr("tx-checksum-ip-generic off")));
}

TEST_F(Trouble, PeerThatIsDown) {
  b_.must("ip link set eth0 down");
  EXPECT_THAT(words(found().at("problems")),
              HasSubstr(fmt::format("node {} ({}/24) answers neither at its own address nor", b_.address(), b_.subnet())));
}

TEST_F(Trouble, WrongInterfaceOfAMultiHomedHost) {
  a_.must(
      "ip link add other0 type veth peer name other1 && ip link set other1 up && ip addr add 192.168.60.1/24 dev other0 && ip link set "
      "other0 up && ip route add " +
      b_.address() + "/32 dev other0");
  EXPECT_THAT(words(found().at("problems")), AllOf(HasSubstr("leave by other0, not by the uplink eth0"), HasSubstr("--iface=other0")));
}

TEST_F(Trouble, AnotherNetworksConfigurationComesFirst) {
  a_.write("/etc/cni/net.d/10-merino.conflist", a_.conflist());
  EXPECT_EQ(ctl(a_, "check").exit_code, 0);
  a_.write("/etc/cni/net.d/05-other.conf", R"({"cniVersion": "1.0.0", "name": "o", "type": "bridge"})");
  EXPECT_THAT(words(found().at("problems")),
              AllOf(HasSubstr("another network comes first: /etc/cni/net.d/05-other.conf (bridge) stands before 10-merino.conflist"),
                    HasSubstr("remove /etc/cni/net.d/05-other.conf")));
}

TEST_F(Trouble, NetworkThatOverlapsTheHosts) {
  a_.must(
      "ip link add other0 type veth peer name other1 && ip link set other1 up && ip addr add 10.244.128.1/17 dev other0 && ip link set "
      "other0 up");
  EXPECT_THAT(words(found().at("problems")),
              AllOf(HasSubstr("the pod network 10.244.0.0/16 overlaps 10.244.128.0/17 of other0"), HasSubstr("choose another Network")));
}

TEST_F(Merinoctl, DropsShowTheLastPacket) {
  const Pod& pod = a_.add_pod("a1");
  EXPECT_THAT(ctl(a_, "drops").out, HasSubstr("nothing was dropped"));
  pod.must("ip addr add 10.244.9.9/32 dev eth0; echo x | socat -u - UDP4-SENDTO:" + a_.gateway() + ":7,bind=10.244.9.9:4711");
  ASSERT_TRUE(eventually([&] { return ctl(a_, "drops").out.find("spoofed") != std::string::npos; }));
  EXPECT_THAT(ctl(a_, "drops").out, AllOf(HasSubstr("10.244.9.9:4711 → " + a_.gateway() + ":7 udp"), HasSubstr("s ago"), HasSubstr("mr")));
  const json drop = ctl_json(a_, "drops").at(0);
  EXPECT_EQ(drop.at("reason"), "spoofed");
  EXPECT_EQ(drop.at("last").at("packet").at("source"), "10.244.9.9");
  EXPECT_EQ(drop.at("last").at("program"), "from_pod");
}

// A packet that goes from pod to pod by a redirect is not seen on the host side of the receiver's veth.
TEST_F(Merinoctl, TraceShowsWhatARedirectHides) {
  const Pod& sender = a_.add_pod("a1");
  const Pod& receiver = a_.add_pod("a2");
  const auto start = [&](const std::string& arguments) { return a_.start(fmt::format("exec {} trace {}", MERINOCTL, arguments)); };
  const auto is_on = [&] {
    return a_.run("bpftool map dump pinned /sys/fs/bpf/merino/trace_filter").out.find("\"until_ns\": 0,") == std::string::npos;
  };
  const auto send = [&](int port) { sender.must(fmt::format("echo x | socat -u - UDP4-SENDTO:{}:{}", receiver.address(), port)); };
  EXPECT_FALSE(is_on());

  Process trace = start("--pod default/container-a1 --port 7 --reason fast --count 2 --pcap /run/t.pcap --seconds 60");
  ASSERT_TRUE(eventually(is_on));
  EXPECT_THAT(ctl(a_, "trace --seconds 0.1").err, HasSubstr("another trace runs on this node"));
  send(8);
  send(7);
  send(7);
  EXPECT_EQ(trace.wait(), 0);
  const std::string log = trace.log();
  EXPECT_THAT(log, AllOf(HasSubstr("from_pod mr"), HasSubstr(" local "),
                         HasSubstr("from pod default/container-a1, to pod default/container-a2"), Not(HasSubstr(":8 "))));
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 2) << log;
  EXPECT_FALSE(is_on()) << "switched off at its end";
  const std::string read = a_.must("tcpdump -nr /run/t.pcap 2>/dev/null");
  EXPECT_THAT(read, HasSubstr("> " + receiver.address() + ".7: UDP, length 2"));
  EXPECT_EQ(std::count(read.begin(), read.end(), '\n'), 2) << read;

  Process nothing = start("--addr 10.244.250.1 --seconds 1 -o json");
  ASSERT_TRUE(eventually(is_on));
  send(7);
  EXPECT_EQ(nothing.wait(), 0);
  EXPECT_EQ(nothing.log(), "");
  EXPECT_EQ(ctl(a_, "trace --pod default/nobody").exit_code, 1);
  EXPECT_EQ(ctl(a_, "trace --reason nonsense").exit_code, 1);
}

TEST_F(Merinoctl, BugtoolHasEverythingButSecrets) {
  a_.add_pod("a1");
  a_.write("/etc/default/merino", "FLANNELD_ETCD_PASSWORD=hunter2\nFLANNELD_IP_MASQ=true\n");
  const Output output = a_.run(fmt::format("cd /run && {} bugtool -f bug.tar.gz", MERINOCTL), "", std::chrono::seconds(110));
  ASSERT_EQ(output.exit_code, 0) << output.err;
  EXPECT_EQ(a_.must("stat -c %a /run/bug.tar.gz"), "600\n");
  const std::string names = a_.must("tar -tzf /run/bug.tar.gz");
  for (const char* name :
       {"bug/status.json", "bug/check.txt", "bug/counters.txt", "bug/drops.txt", "bug/links.txt", "bug/nftables.txt", "bug/map-pods.json",
        "bug/files/run/flannel/subnet.env", "bug/files/etc/default/merino", "bug/files/run/merino/attachments/container-a1:eth0.json"}) {
    EXPECT_THAT(names, HasSubstr(name));
  }
  const std::string all = a_.must("tar -xOzf /run/bug.tar.gz");
  EXPECT_THAT(all, AllOf(Not(HasSubstr("hunter2")), HasSubstr("FLANNELD_ETCD_PASSWORD=<removed>"), HasSubstr("FLANNELD_IP_MASQ=true"),
                         HasSubstr("merino0")));
  EXPECT_EQ(a_.run(fmt::format("cd /run && {} bugtool -f bug.tar.gz", MERINOCTL), "", std::chrono::seconds(110)).exit_code, 1)
      << "it exists";
  EXPECT_EQ(a_.must("ls -d /tmp/merino-bugtool.* 2>/dev/null || true"), "");
}

TEST(MerinoctlAlone, SaysWhatIsMissingOnAHostWithoutMerino) {
  Lab lab;
  const Machine& host = lab.add_host("host");
  for (const char* command : {"pods", "peers", "leases", "counters", "route 10.1.1.1 10.1.1.2", "check"}) {
    const Output output = ctl(host, command);
    EXPECT_EQ(output.exit_code, 1) << command;
    EXPECT_THAT(output.err, HasSubstr("start merinod")) << command;
  }
  EXPECT_EQ(ctl(host, "status").exit_code, 2);
}

}  // namespace
}  // namespace merino::lab::merinoctl_test
