// Whatever is deleted or changed by hand comes back, and the pods reach each other again. Where an event tells, the agent's own slow checks
// are an hour apart in the test, so that nothing but the event can have brought it back; the time that it took is printed.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <chrono>

#include "lab/lab.h"
#include "lab/traffic.h"

namespace merino::lab::agent_healing_test {
namespace {

enum class Told { by_event, by_full_check };

struct Damage {
  const char* name;
  const char* command;  // on node a; $POD is the address of its pod, $SUBNET the node's subnet
  const char* check;    // succeeds when it is mended
  Told told = Told::by_event;
};

void PrintTo(const Damage& damage, std::ostream* out) { *out << damage.name; }

// Every entry of a map is deleted, or gets the value that `change` makes of its bytes.
#define MERINO_CHANGE_ENTRIES(map, change)                                                    \
  "bpftool -j map dump pinned /sys/fs/bpf/merino/" map                                        \
  " | python3 -c 'import json,sys\nfor e in json.load(sys.stdin):\n v=e[\"value\"]\n " change \
  "\n print(*e[\"key\"],\"value\",\"hex\",*v)'"                                               \
  " | while read entry; do bpftool map update pinned /sys/fs/bpf/merino/" map " key hex $(echo $entry | sed s/0x//g); done"
#define MERINO_DELETE_ENTRIES(map)                                                     \
  "bpftool -j map dump pinned /sys/fs/bpf/merino/" map                                 \
  " | python3 -c 'import json,sys\nfor e in json.load(sys.stdin): print(*e[\"key\"])'" \
  " | while read key; do bpftool map delete pinned /sys/fs/bpf/merino/" map " key hex $(echo $key | sed s/0x//g); done"

// How many programs are attached: by links, or by filters on kernels before 6.6.
#define MERINO_ATTACHED                                                                                                      \
  "$(( $(find /sys/fs/bpf/merino/links -type f | wc -l) + $(for each in /sys/class/net/*; do for way in ingress egress; do " \
  "tc filter show dev ${each##*/} $way; done; done | grep -c ' from_') ))"

const Damage kDamages[] = {
    {"Device", "ip link del merino0", "ip link show merino0 | grep -q UP"},
    {"DeviceDown", "ip link set merino0 down", "ip link show merino0 | grep -q UP && ip route show 10.244.0.0/16 | grep -q merino0"},
    {"DeviceMac", "ip link set merino0 address 02:00:00:00:00:01", "! ip link show merino0 | grep -q 02:00:00:00:00:01"},
    {"DeviceMtu", "ip link set merino0 mtu 1300", "ip link show merino0 | grep -q 'mtu 1450'"},
    {"DeviceOfAnotherKind",
     "ip link add other type bridge; printf 'link set merino0 down\\nlink set merino0 name old\\nlink set other name merino0\\nlink del "
     "old\\n' "
     "| ip -batch -",
     "ip -d link show merino0 | grep -q 'vxlan external'"},
    {"Addresses", "ip addr flush dev merino0", "test $(ip -o -4 addr show merino0 | wc -l) = 2"},
    {"StrangeAddress", "ip addr add 10.244.250.1/32 dev merino0", "! ip addr show merino0 | grep -q 10.244.250.1"},
    {"Route", "ip route del 10.244.0.0/16", "ip route show 10.244.0.0/16 | grep -q 'merino0.* src '"},
    {"OtherRoute", "ip route replace 10.244.0.0/16 via 192.168.88.1 dev eth0", "ip route show 10.244.0.0/16 | grep -q merino0"},
    {"Forwarding", "sysctl -qw net.ipv4.ip_forward=0", "test $(cat /proc/sys/net/ipv4/ip_forward) = 1", Told::by_full_check},
    {"ReversePathFilter", "sysctl -qw net.ipv4.conf.merino0.rp_filter=1", "test $(cat /proc/sys/net/ipv4/conf/merino0/rp_filter) = 2",
     Told::by_full_check},
    {"RulesFlushed", "nft flush chain ip merino postrouting", "test $(nft list table ip merino | grep -c 'merino masq') = 6"},
    {"RulesDeleted", "nft delete table ip merino", "test $(nft list table ip merino | grep -c 'merino masq') = 6"},
    {"RuleAdded", "nft insert rule ip merino postrouting drop", "! nft list table ip merino | grep -q drop"},
    {"Ruleset", "nft flush ruleset", "test $(nft list table ip merino | grep -c 'merino masq') = 6"},
    {"UplinkLink", "rm /sys/fs/bpf/merino/links/uplink", "test -e /sys/fs/bpf/merino/links/uplink"},
    {"AllLinks", "rm /sys/fs/bpf/merino/links/*", "test " MERINO_ATTACHED " = 4"},
    {"LinkDetached", "bpftool link detach pinned /sys/fs/bpf/merino/links/uplink",
     "bpftool link show pinned /sys/fs/bpf/merino/links/uplink | grep -q 'prog [1-9]' && "
     "! bpftool link show pinned /sys/fs/bpf/merino/links/uplink | grep -qi detached",
     Told::by_full_check},
    {"Programs", "rm /sys/fs/bpf/merino/programs/*", "test $(ls /sys/fs/bpf/merino/programs | wc -l) = 4"},
    {"AllPins", "rm -r /sys/fs/bpf/merino/*",
     "test " MERINO_ATTACHED " = 4 && test -e /sys/fs/bpf/merino/pods && test $(ls /sys/fs/bpf/merino/programs | wc -l) "
     "= 4"},
    {"PodsMap", "rm /sys/fs/bpf/merino/pods", "bpftool map dump pinned /sys/fs/bpf/merino/pods | grep -q ifindex"},
    {"PeersMap", "rm /sys/fs/bpf/merino/peers", "bpftool map dump pinned /sys/fs/bpf/merino/peers | grep -q underlay"},
    {"PodEntry", MERINO_DELETE_ENTRIES("pods"), "bpftool map dump pinned /sys/fs/bpf/merino/pods | grep -q ifindex", Told::by_full_check},
    {"PeerEntry", MERINO_DELETE_ENTRIES("peers"), "bpftool map dump pinned /sys/fs/bpf/merino/peers | grep -q underlay",
     Told::by_full_check},
    {"PodRoute", "ip route del $POD", "ip route show $POD | grep -q dev"},
    {"PodNeighbour", "ip neigh flush nud permanent", "ip neigh show $POD | grep -q PERMANENT"},
    {"SubnetFile", "rm /run/flannel/subnet.env", "grep -q FLANNEL_SUBNET /run/flannel/subnet.env"},
    {"SubnetFileChanged", "echo FLANNEL_MTU=9 > /run/flannel/subnet.env", "grep -q FLANNEL_MTU=1450 /run/flannel/subnet.env"},
    {"StatusFile", "rm /run/merino/status.json", "test -s /run/merino/status.json"},
    {"PodEntryChanged", MERINO_CHANGE_ENTRIES("pods", "v[16]=\"0x7f\""),
     "! bpftool -j map dump pinned /sys/fs/bpf/merino/pods | grep -q '\"ifindex\":127'", Told::by_full_check},
    {"PeerEntryChanged", MERINO_CHANGE_ENTRIES("peers", "v[15]=\"0x63\""),
     "! bpftool -j map dump pinned /sys/fs/bpf/merino/peers | grep -q '\"0x63\"'", Told::by_full_check},
    {"Bpffs", "umount -l /sys/fs/bpf", "test " MERINO_ATTACHED " = 4 && bpftool map dump pinned /sys/fs/bpf/merino/pods | grep -q ifindex"},
    {"UplinkDownAndUp", "ip link set eth0 down; ip link set eth0 up; ip route replace default via 192.168.88.1", "true"},
    {"UplinkRenamed", "ip link set eth0 down; ip link set eth0 name wan0; ip link set wan0 up; ip route replace default via 192.168.88.1",
     "grep -q '\"uplink\": *\"wan0\"' /run/merino/status.json"},
    {"UplinkMtu", "ip link set eth0 mtu 1600",
     "ip link show merino0 | grep -q 'mtu 1550' && grep -q FLANNEL_MTU=1550 /run/flannel/subnet.env"},
};

class Healing : public testing::TestWithParam<Damage> {};
INSTANTIATE_TEST_SUITE_P(Of, Healing, testing::ValuesIn(kDamages), [](const auto& each) { return std::string(each.param.name); });

void expect_fast(Node& node, const Pod& on_it, const Pod& elsewhere) {
  const Counters before = node.counters();
  const TrafficServer server(on_it, 7100);
  const TrafficResult tcp = traffic(elsewhere, "tcp --to " + on_it.address() + ":7100 --up 500000 --down 500000");
  EXPECT_TRUE(tcp.ok) << tcp.line;
  const Counters counted = node.counters() - before;
  EXPECT_GT(counted[MERINO_ENCAP], 0U) << "the fast path works again\n" << counted.to_string();
  EXPECT_GT(counted.sum({MERINO_DECAP, MERINO_TUNNEL}), 0U) << counted.to_string();
}

TEST_P(Healing, ComesBack) {
  Lab lab;
  const bool by_event = GetParam().told == Told::by_event;
  Node& a = lab.add_node("a", {.flags = by_event ? "--ip-masq --iptables-resync=3600 --full-check=3600" : "--ip-masq --full-check=2"});
  Node& b = lab.add_node("b");
  lab.wait_ready();
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const std::string mac = a.vtep_mac();
  const std::string subnet = a.subnet();
  const std::string variables = fmt::format("POD={} SUBNET={}; ", on_a.address(), subnet);

  a.must(variables + GetParam().command);
  const auto damaged = std::chrono::steady_clock::now();
  EXPECT_TRUE(eventually([&] { return a.run(variables + GetParam().check).ok(); }, std::chrono::seconds(25), std::chrono::milliseconds(5)))
      << GetParam().check;
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - damaged);
  fmt::print("{}: back after {} ms ({})\n", GetParam().name, took.count(), by_event ? "an event told" : "full check, here every 2 s");
  EXPECT_TRUE(eventually([&] { return ping(on_a, "-c 1 -W 1 " + on_b.address()).all(); }, std::chrono::seconds(25)));
  EXPECT_TRUE(eventually([&] { return ping(on_b, "-c 1 -W 1 " + on_a.address()).all(); }, std::chrono::seconds(25)));
  expect_fast(a, on_a, on_b);
  EXPECT_EQ(a.vtep_mac(), mac);
  EXPECT_EQ(a.subnet(), subnet);
  EXPECT_TRUE(eventually([&] { return a.http_status("/readyz") == 200; }, std::chrono::seconds(25)));
  EXPECT_TRUE(a.agent().running());
}

// Another address, on the same interface and then on another one: the node's lease says so, and the others follow.
class UplinkMoves : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(
    To, UplinkMoves,
    testing::Values(
        "ip addr flush dev eth0 && ip addr add 192.168.88.77/24 dev eth0 && ip route replace default via 192.168.88.1",
        "ip link set eth0 down && ip link set eth0 name old0 && ip link add eth1 link old0 type macvlan mode bridge && ip addr flush "
        "dev old0 && ip link set old0 up && ip addr add 192.168.88.77/24 dev eth1 && ip link set eth1 up && ip route replace "
        "default via 192.168.88.1"),
    [](const auto& each) { return each.index == 0 ? "AnotherAddress" : "AnotherInterface"; });

TEST_P(UplinkMoves, TheOthersFollow) {
  Lab lab;
  Node& a = lab.add_node("a", {.flags = "--full-check=3600"});
  Node& b = lab.add_node("b", {.flags = "--full-check=3600"});
  lab.wait_ready();
  const Pod& on_a = a.add_pod("a1");
  const Pod& on_b = b.add_pod("b1");
  const std::string subnet = a.subnet();
  ASSERT_TRUE(eventually([&] { return ping(on_a, "-c 1 -W 1 " + on_b.address()).all(); }));
  a.must(GetParam());
  const auto moved = std::chrono::steady_clock::now();
  EXPECT_TRUE(
      eventually([&] { return ping(on_b, "-c 1 -W 1 " + on_a.address()).all(); }, std::chrono::seconds(25), std::chrono::milliseconds(5)));
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - moved);
  fmt::print("the others follow after {} ms\n", took.count());
  EXPECT_EQ(a.subnet(), subnet);
  EXPECT_NE(b.must("cat /run/merino/status.json; bpftool -j map dump pinned /sys/fs/bpf/merino/peers"), "");
  expect_fast(a, on_a, on_b);
}

}  // namespace
}  // namespace merino::lab::agent_healing_test
