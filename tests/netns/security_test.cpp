// What must not reach a pod: forged sources, tunnel packets made by pods or by strangers, foreign VNIs. Each case has its honest twin,
// which shows that the packet would arrive if it were not for the forgery.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <thread>

#include "lab/lab.h"
#include "lab/traffic.h"

namespace merino::lab::security_test {
namespace {

constexpr int kPort = 7600;
constexpr int kCount = 5;

class Security : public testing::TestWithParam<PodNetwork> {
 protected:
  void SetUp() override {
    lab_.wait_ready();
    attacker_ = &a_.add_pod("attacker");
    victim_ = &b_.add_pod("victim");
    neighbour_ = &a_.add_pod("neighbour");
    for (const Pod* pod : {victim_, neighbour_}) pod->must(fmt::format("{} -A PREROUTING -p udp --dport {}", raw_table(), kPort));
  }
  [[nodiscard]] static Family family() { return each(GetParam().families).front(); }
  [[nodiscard]] static const char* raw_table() { return family() == Family::v4 ? "iptables -t raw" : "ip6tables -t raw"; }
  [[nodiscard]] static std::string of_family(const char* v4, const char* v6) { return family() == Family::v4 ? v4 : v6; }
  [[nodiscard]] static std::string far_away() { return of_family("8.8.8.8", "2001:db8::8"); }
  [[nodiscard]] static const std::string& address(const Pod& pod) { return pod.address(family()); }
  [[nodiscard]] static const std::string& address(const Machine& machine) { return machine.address(family()); }

  // How many UDP packets came to the victim's port since the last call.
  static uint64_t arrived(const Pod& pod) {
    return std::stoull(pod.must(fmt::format("{} -Z -L PREROUTING -nvx | awk 'NR==3 {{print $1}}'", raw_table())));
  }

  // Sends; then says what arrived at `pod`. A packet that is on its way gets the time that an honest one needs.
  static uint64_t arrived_after(const Place& from, const std::string& command, const Pod& pod) {
    arrived(pod);
    const TrafficResult sent = traffic(from, fmt::format("{} --count {}", command, kCount));
    EXPECT_TRUE(sent.ok) << command << "\n" << sent.line;
    // What is sent afterwards on the same way has arrived afterwards.
    ping(from, "-c 1 -W 1 " + address(pod));
    return arrived(pod);
  }

  // A tunnel packet for `node`, sent to one of its addresses.
  static std::string tunnel(const Node& node, const std::string& to, const std::string& inner_from, const Pod& inner_to, int vni = 1) {
    const std::string inner = fmt::format("--inner-from {} --inner-to {}", inner_from, endpoint(address(inner_to), kPort));
    if (GetParam().backend == Backend::udp) return fmt::format("udp-tunnel --to {} {}", endpoint(to, 8285), inner);
    return fmt::format("vxlan --to {} --vni {} --target-mac {} {}", endpoint(to, 8472), vni, node.vtep_mac(), inner);
  }

  Lab lab_;
  NodeOptions options_{.net_conf = net_conf(GetParam())};
  Node& a_ = lab_.add_node("a", options_);
  Node& b_ = lab_.add_node("b", options_);
  Pod* attacker_ = nullptr;
  Pod* victim_ = nullptr;
  Pod* neighbour_ = nullptr;
};
INSTANTIATE_TEST_SUITE_P(Network, Security,
                         testing::Values(PodNetwork{Backend::vxlan, Families::ipv4}, PodNetwork{Backend::vxlan, Families::ipv6},
                                         PodNetwork{Backend::udp, Families::ipv4}),
                         [](const auto& value) { return to_string(value.param); });

TEST_P(Security, SpoofedPodSource) {
  for (const Pod* target : {victim_, neighbour_}) {
    const auto spoof = [&](const std::string& from) {
      return fmt::format("spoof --from {} --to {}", from, endpoint(address(*target), kPort));
    };
    EXPECT_EQ(arrived_after(*attacker_, spoof(address(*attacker_)), *target), kCount) << "its own address";
    const Counters before = a_.counters();
    const std::string unused = a_.prefix(family()).address().plus(250).to_string();
    for (const std::string& from : {address(*neighbour_), unused, address(*victim_), a_.gateway(family()), address(a_), far_away()}) {
      EXPECT_EQ(arrived_after(*attacker_, spoof(from), *target), 0U) << "from " << from;
    }
    EXPECT_EQ((a_.counters() - before)[MERINO_SPOOFED], 6U * kCount);
  }
}

TEST_P(Security, PodSendsTunnelPackets) {
  const std::string second = of_family("192.168.88.100", "fd00:88::100");
  const std::string routed = of_family("192.168.99.1", "fd00:99::1");
  b_.must(
      fmt::format("ip addr add {}/{} dev eth0 {}; ip addr add {} dev lo", second, of_family("24", "64"), of_family("", "nodad"), routed));
  lab_.underlay().must("ip route add " + routed + " via " + address(b_));
  for (const std::string& inner_from : {address(*attacker_), address(*neighbour_), address(a_), far_away()}) {
    for (const std::string& to : {address(b_), second, routed, b_.subnet(family()), b_.gateway(family())}) {
      EXPECT_EQ(arrived_after(*attacker_, tunnel(b_, to, inner_from, *victim_), *victim_), 0U) << "to " << to << " from " << inner_from;
    }
  }
  // At its own node, to a pod beside it.
  for (const std::string& to : {address(a_), a_.subnet(family()), a_.gateway(family())}) {
    EXPECT_EQ(arrived_after(*attacker_, tunnel(a_, to, address(*victim_), *neighbour_), *neighbour_), 0U) << "to " << to;
  }
  const Counters counted = a_.counters();
  EXPECT_GE(counted[MERINO_TUNNEL_PORT], 2U * kCount) << counted.to_string();
  if (GetParam().backend != Backend::udp) {  // which has no socket on other addresses
    EXPECT_GE(b_.counters()[MERINO_WRONG_ENDPOINT], 4U * kCount) << b_.counters().to_string();
  }
}

TEST_P(Security, StrangersOnTheUnderlay) {
  const Machine& stranger = lab_.add_host("stranger");
  for (const std::string& inner_from : {address(*attacker_), address(stranger), address(a_), far_away()}) {
    EXPECT_EQ(arrived_after(stranger, tunnel(b_, address(b_), inner_from, *victim_), *victim_), 0U) << inner_from;
  }
  const Counters counted = b_.counters();
  EXPECT_EQ(counted[MERINO_UNKNOWN_SENDER], 4U * kCount) << counted.to_string();
}

TEST_P(Security, PeersMaySendWhatIsTheirs) {
  EXPECT_EQ(arrived_after(a_, tunnel(b_, address(b_), address(*attacker_), *victim_), *victim_), kCount) << "its pod";
  EXPECT_EQ(arrived_after(a_, tunnel(b_, address(b_), address(a_), *victim_), *victim_), kCount) << "the node itself";
  const Counters before = b_.counters();
  const std::string nobodys = of_family("10.244.250.7", "fd10:244:0:fa::7");
  for (const std::string& inner_from : {address(*victim_), b_.gateway(family()), address(b_), nobodys, far_away()}) {
    EXPECT_EQ(arrived_after(a_, tunnel(b_, address(b_), inner_from, *victim_), *victim_), 0U) << inner_from;
  }
  EXPECT_EQ((b_.counters() - before)[MERINO_FORGED], 5U * kCount) << b_.counters().to_string();
}

class VxlanSecurity : public Security {};
INSTANTIATE_TEST_SUITE_P(Network, VxlanSecurity,
                         testing::Values(PodNetwork{Backend::vxlan, Families::ipv4}, PodNetwork{Backend::vxlan, Families::ipv6}),
                         [](const auto& value) { return to_string(value.param); });

TEST_P(VxlanSecurity, WrongVni) {
  for (const int vni : {0, 2, 256})
    EXPECT_EQ(arrived_after(a_, tunnel(b_, address(b_), address(*attacker_), *victim_, vni), *victim_), 0U) << vni;
  EXPECT_EQ(b_.counters()[MERINO_WRONG_VNI], 3U * kCount) << b_.counters().to_string();
}

}  // namespace
}  // namespace merino::lab::security_test
