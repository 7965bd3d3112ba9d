// What must not reach a pod: forged sources, tunnel packets made by pods or by strangers, foreign VNIs. Each case has its honest twin,
// which shows that the packet would arrive if it were not for the forgery.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <thread>

#include "lab/lab.h"
#include "lab/traffic.h"

namespace merino::lab {
namespace {

constexpr int kPort = 7600;
constexpr int kCount = 5;

class Security : public testing::Test {
 protected:
  void SetUp() override {
    lab_.wait_ready();
    attacker_ = &a_.add_pod("attacker");
    victim_ = &b_.add_pod("victim");
    neighbour_ = &a_.add_pod("neighbour");
    for (const Pod* pod : {victim_, neighbour_}) pod->must(fmt::format("iptables -t raw -A PREROUTING -p udp --dport {}", kPort));
  }

  // How many UDP packets came to the victim's port since the last call.
  static uint64_t arrived(const Pod& pod) {
    return std::stoull(pod.must("iptables -t raw -Z -L PREROUTING -nvx | awk 'NR==3 {print $1}'"));
  }

  // Sends; then says what arrived at `pod`. A packet that is on its way gets the time that an honest one needs.
  uint64_t arrived_after(const Place& from, const std::string& command, const Pod& pod) const {
    arrived(pod);
    const TrafficResult sent = traffic(from, fmt::format("{} --count {}", command, kCount));
    EXPECT_TRUE(sent.ok) << command << "\n" << sent.line;
    // What is sent afterwards on the same way has arrived afterwards.
    ping(from, "-c 1 -W 1 " + pod.address());
    return arrived(pod);
  }

  [[nodiscard]] std::string vxlan(const std::string& to, const std::string& inner_from, const Pod& inner_to, int vni = 1) const {
    return fmt::format("vxlan --to {}:8472 --vni {} --target-mac {} --inner-from {} --inner-to {}:{}", to, vni, b_.vtep_mac(), inner_from,
                       inner_to.address(), kPort);
  }

  Lab lab_;
  Node& a_ = lab_.add_node("a");
  Node& b_ = lab_.add_node("b");
  Pod* attacker_ = nullptr;
  Pod* victim_ = nullptr;
  Pod* neighbour_ = nullptr;
};

TEST_F(Security, SpoofedPodSource) {
  for (const Pod* target : {victim_, neighbour_}) {
    const auto spoof = [&](const std::string& from) { return fmt::format("spoof --from {} --to {}:{}", from, target->address(), kPort); };
    EXPECT_EQ(arrived_after(*attacker_, spoof(attacker_->address()), *target), kCount) << "its own address";
    const Counters before = a_.counters();
    const std::string unused = a_.subnet().substr(0, a_.subnet().size() - 1) + "250";
    for (const std::string& from :
         {neighbour_->address(), unused, victim_->address(), a_.gateway(), a_.address(), std::string("8.8.8.8")}) {
      EXPECT_EQ(arrived_after(*attacker_, spoof(from), *target), 0U) << "from " << from;
    }
    EXPECT_EQ((a_.counters() - before)[MERINO_SPOOFED], 6U * kCount);
  }
}

TEST_F(Security, PodSendsTunnelPackets) {
  b_.must("ip addr add 192.168.88.100/24 dev eth0; ip addr add 192.168.99.1/32 dev lo");
  lab_.underlay().must("ip route add 192.168.99.1 via " + b_.address());
  for (const std::string& inner_from : {attacker_->address(), neighbour_->address(), a_.address(), std::string("8.8.8.8")}) {
    for (const std::string& to : {b_.address(), std::string("192.168.88.100"), std::string("192.168.99.1"), b_.subnet(), b_.gateway()}) {
      EXPECT_EQ(arrived_after(*attacker_, vxlan(to, inner_from, *victim_), *victim_), 0U) << "to " << to << " from " << inner_from;
    }
  }
  // At its own node, to a pod beside it.
  for (const std::string& to : {a_.address(), a_.subnet(), a_.gateway()}) {
    const std::string packet = fmt::format("vxlan --to {}:8472 --target-mac {} --inner-from {} --inner-to {}:{}", to, a_.vtep_mac(),
                                           victim_->address(), neighbour_->address(), kPort);
    EXPECT_EQ(arrived_after(*attacker_, packet, *neighbour_), 0U) << "to " << to;
  }
  const Counters counted = a_.counters();
  EXPECT_GE(counted[MERINO_TUNNEL_PORT], 2U * kCount) << counted.to_string();
  EXPECT_GE(b_.counters()[MERINO_WRONG_ENDPOINT], 4U * kCount) << b_.counters().to_string();
}

TEST_F(Security, StrangersOnTheUnderlay) {
  const Machine& stranger = lab_.add_host("stranger");
  for (const std::string& inner_from : {attacker_->address(), stranger.address(), a_.address(), std::string("8.8.8.8")}) {
    EXPECT_EQ(arrived_after(stranger, vxlan(b_.address(), inner_from, *victim_), *victim_), 0U) << inner_from;
  }
  const Counters counted = b_.counters();
  EXPECT_EQ(counted[MERINO_UNKNOWN_SENDER], 4U * kCount) << counted.to_string();
}

TEST_F(Security, PeersMaySendWhatIsTheirs) {
  EXPECT_EQ(arrived_after(a_, vxlan(b_.address(), attacker_->address(), *victim_), *victim_), kCount) << "its pod";
  EXPECT_EQ(arrived_after(a_, vxlan(b_.address(), a_.address(), *victim_), *victim_), kCount) << "the node itself";
  const Counters before = b_.counters();
  for (const std::string& inner_from :
       {victim_->address(), b_.gateway(), b_.address(), std::string("10.244.250.7"), std::string("8.8.8.8")}) {
    EXPECT_EQ(arrived_after(a_, vxlan(b_.address(), inner_from, *victim_), *victim_), 0U) << inner_from;
  }
  EXPECT_EQ((b_.counters() - before)[MERINO_FORGED], 5U * kCount) << b_.counters().to_string();
}

TEST_F(Security, WrongVni) {
  for (const int vni : {0, 2, 256})
    EXPECT_EQ(arrived_after(a_, vxlan(b_.address(), attacker_->address(), *victim_, vni), *victim_), 0U) << vni;
  EXPECT_EQ(b_.counters()[MERINO_WRONG_VNI], 3U * kCount) << b_.counters().to_string();
}

}  // namespace
}  // namespace merino::lab
