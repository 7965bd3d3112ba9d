// Which pods of another plugin are proven to be what they seem.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "agent/adopt.h"
#include "support/golden.h"
#include "support/temp_dir.h"

namespace merino {
namespace agent_adopt_test {

using testing::HasSubstr;

constexpr const char* kCached = R"({"kind":"cniCacheV1","containerId":"c1","config":"e30=","ifName":"eth0","networkName":"cbr0",
  "result":{"cniVersion":"0.3.1",
    "interfaces":[{"name":"cni0","mac":"02:00:00:00:00:01"},{"name":"veth1","mac":"02:00:00:00:00:02"},
                  {"name":"eth0","mac":"02:00:00:00:00:03","sandbox":"/run/netns/c1"}],
    "ips":[{"version":"4","interface":2,"address":"10.244.98.2/24","gateway":"10.244.98.1"}],
    "routes":[],"dns":{}}})";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos);
  return text.replace(at, from.size(), to);
}

TEST(CachedResult, IsRead) {
  const auto cached = parse_cached_result(kCached);
  ASSERT_TRUE(cached) << cached.error().message();
  EXPECT_EQ(cached->network, "cbr0");
  EXPECT_EQ(cached->container_id, "c1");
  EXPECT_EQ(cached->ifname, "eth0");
  EXPECT_EQ(cached->host_ifnames, (std::vector<std::string>{"cni0", "veth1"}));
  EXPECT_EQ(cached->pod_mac.to_string(), "02:00:00:00:00:03");
  EXPECT_EQ(cached->addresses, std::vector<Prefix>{*Prefix::parse("10.244.98.2/24")});
  EXPECT_FALSE(cached->shaped);
  EXPECT_TRUE(parse_cached_result(replaced(kCached, R"("config")", R"("capabilityArgs":{"bandwidth":{}},"config")"))->shaped);
}

TEST(CachedResult, NonsenseIsAnError) {
  for (const std::string& text :
       {std::string("no JSON"), std::string("[]"), std::string("null"), std::string("{}"), replaced(kCached, "cniCacheV1", "cniCacheV9"),
        replaced(kCached, R"("ips":[)", R"("ips":5,"x":[)"), replaced(kCached, "10.244.98.2/24", "10.244.98.2/99"),
        replaced(kCached, R"("sandbox")", R"("box")"), replaced(kCached, R"("name":"cni0")", R"("name":7)")}) {
    EXPECT_FALSE(parse_cached_result(text)) << text;
  }
}

TEST(CachedResult, FilesThatCannotBeReadArePassedOver) {
  const test::TempDir dir;
  std::filesystem::create_directories(dir.path() + "/results/subdirectory");
  test::write_text(dir.path() + "/results/cbr0-c1-eth0", kCached);
  test::write_text(dir.path() + "/results/broken", "{");
  EXPECT_EQ(read_cached_results(dir.path()).value().size(), 1U);
  EXPECT_TRUE(read_cached_results(dir.path() + "/missing").value().empty());
}

TEST(AddressHolder, IsTheContainerOfTheFile) {
  const test::TempDir dir;
  std::filesystem::create_directories(dir.path() + "/networks/cbr0");
  test::write_text(dir.path() + "/networks/cbr0/10.244.98.2", "c1\r\neth0");
  const auto address = *IpAddress::parse("10.244.98.2");
  EXPECT_EQ(address_holder(dir.path(), "cbr0", address), "c1");
  EXPECT_EQ(address_holder(dir.path(), "cbr0", address.plus(1)), "");
  EXPECT_EQ(address_holder(dir.path(), "../networks/cbr0", address), "");
  EXPECT_EQ(address_holder(dir.path(), "..", address), "");
}

class ProvePod : public testing::Test {
 protected:
  ProvePod() {
    Link bridge;
    bridge.index = 5;
    bridge.mac = *MacAddress::parse("02:00:00:00:00:01");
    site_.bridge = bridge;
    site_.host_side.index = 7;
    site_.host_side.name = "veth1";
    site_.host_side.mac = *MacAddress::parse("02:00:00:00:00:02");
    site_.host_side.qdisc = "noqueue";
    site_.pod_side.link.mac = *MacAddress::parse("02:00:00:00:00:03");
    site_.pod_side.addresses = {*Prefix::parse("10.244.98.2/24"), *Prefix::parse("fe80::1/64")};
  }
  std::string refusal() const {
    const auto pod = prove_pod(site_, cached_, subnets_, holders_);
    return pod ? "" : pod.error().message();
  }

  AdoptionSite site_;
  CachedResult cached_ = *parse_cached_result(kCached);
  PerFamily<Prefix> subnets_ = *Prefix::parse("10.244.98.0/24");
  std::vector<std::string> holders_ = {"c1"};
};

TEST_F(ProvePod, OfABridge) {
  const auto pod = prove_pod(site_, cached_, subnets_, holders_);
  ASSERT_TRUE(pod) << pod.error().message();
  EXPECT_EQ(pod->host_ifindex, 7U);
  EXPECT_EQ(pod->host_ifname, "veth1");
  EXPECT_EQ(pod->host_mac.to_string(), "02:00:00:00:00:01") << "the bridge is the gateway";
  EXPECT_EQ(pod->pod_mac.to_string(), "02:00:00:00:00:03");
  EXPECT_TRUE(pod->gateways.empty()) << "the host answers ARP";
  EXPECT_TRUE(pod->complete);
}

TEST_F(ProvePod, WithoutABridge) {
  site_.bridge.reset();
  EXPECT_EQ(prove_pod(site_, cached_, subnets_, holders_)->host_mac.to_string(), "02:00:00:00:00:02");
}

TEST_F(ProvePod, NotIfTheKernelDisagrees) {
  site_.pod_side.link.mac = MacAddress::random();
  EXPECT_THAT(refusal(), HasSubstr("another MAC"));
}

TEST_F(ProvePod, NotIfTheInterfaceHasAnotherAddress) {
  site_.pod_side.addresses = {*Prefix::parse("10.244.98.3/24")};
  EXPECT_THAT(refusal(), HasSubstr("does not have 10.244.98.2"));
}

TEST_F(ProvePod, NotIfTheAddressIsAnothers) {
  holders_ = {"c2"};
  EXPECT_THAT(refusal(), HasSubstr("host-local"));
  holders_ = {""};
  EXPECT_THAT(refusal(), HasSubstr("host-local"));
  holders_ = {};
  EXPECT_THAT(refusal(), HasSubstr("host-local"));
}

TEST_F(ProvePod, NotOutsideOfTheSubnet) {
  subnets_ = *Prefix::parse("10.244.99.0/24");
  EXPECT_THAT(refusal(), HasSubstr("not in this node's subnet"));
}

class ProveDualStackPod : public ProvePod {
 protected:
  ProveDualStackPod() {
    subnets_.v6 = *Prefix::parse("fd10:244:0:62::/64");
    cached_.addresses.push_back(*Prefix::parse("fd10:244:0:62::2/64"));
    site_.pod_side.addresses.push_back(*Prefix::parse("fd10:244:0:62::2/64"));
    holders_ = {"c1", "c1"};
  }
};

TEST_F(ProveDualStackPod, HasBothAddresses) {
  const auto pod = prove_pod(site_, cached_, subnets_, holders_);
  ASSERT_TRUE(pod) << pod.error().message();
  EXPECT_EQ(pod->addresses, cached_.addresses);
}

// The program on its port would drop what it sends from the other one.
TEST_F(ProveDualStackPod, NotByOneAddress) {
  holders_ = {"c1", "c2"};
  EXPECT_THAT(refusal(), HasSubstr("host-local does not say that fd10:244:0:62::2"));
  holders_ = {"c1", "c1"};
  site_.pod_side.addresses.pop_back();
  EXPECT_THAT(refusal(), HasSubstr("does not have fd10:244:0:62::2"));
}

TEST_F(ProveDualStackPod, NotOutsideOfTheSubnet) {
  subnets_.v6 = *Prefix::parse("fd10:244:0:63::/64");
  EXPECT_THAT(refusal(), HasSubstr("fd10:244:0:62::2 is not in this node's subnet"));
}

TEST_F(ProveDualStackPod, InANetworkOfOneFamily) {
  subnets_.v6.reset();
  EXPECT_EQ(prove_pod(site_, cached_, subnets_, holders_)->addresses.size(), 2U) << "it may send from both";
}

TEST_F(ProvePod, NotIfItsBandwidthIsShaped) {
  site_.host_side.qdisc = "tbf";
  EXPECT_THAT(refusal(), HasSubstr("shaped"));
  site_.host_side.qdisc = "noqueue";
  cached_.shaped = true;
  EXPECT_THAT(refusal(), HasSubstr("shaped"));
}

}  // namespace agent_adopt_test
}  // namespace merino
