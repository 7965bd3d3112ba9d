// A map that is full: who is in it goes on, who does not fit is named, and gets in as soon as there is room.
#include <bpf/bpf.h>
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstring>

#include "abi.h"
#include "base/fd.h"
#include "lab/lab.h"
#include "lab/load.h"

namespace merino::lab::full_maps_test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class FullMaps : public testing::Test {
 protected:
  FullMaps() { lab_.wait_ready(); }

  // Entries of nobody until no more fit. What is in the map stays.
  template <class Key, class Value>
  static void fill(const Node& node, const std::string& name, uint32_t most) {
    const Fd map(bpf_obj_get(node.outside_path(MERINO_PIN_ROOT "/" + name).c_str()));
    ASSERT_TRUE(map) << name;
    Key key{};
    const Value value{};
    for (uint32_t i = 1; i <= most; i++) {
      std::memcpy(reinterpret_cast<char*>(&key), &i, sizeof(i));  // begins no address of either family that is used here
      if (bpf_map_update_elem(map.get(), &key, &value, BPF_ANY) != 0) return;
    }
  }
  static void fill_peers(const Node& node) { fill<merino_peer_key, merino_peer>(node, "peers", MERINO_MAX_PEERS); }
  static void fill_pods(const Node& node) { fill<merino_pod_key, merino_pod>(node, "pods", MERINO_MAX_PODS); }

  static std::string status_of(const Node& node) { return node.run(std::string(MERINOCTL) + " status").out; }

  // A lease of a node that is not there.
  void announce(int number) const {
    lab_.underlay().write(fmt::format("{}/subnets/10.244.{}.0-24", lab_.lease_dir(), number),
                          fmt::format(R"({{"PublicIP":"192.168.88.{}","PublicIPv6":null,"BackendType":"vxlan","BackendData":)"
                                      R"({{"VNI":1,"VtepMAC":"02:66:66:66:66:66"}}}})",
                                      number));
  }

  Lab lab_;
  const NodeOptions options_{.flags = "--ip-masq --full-check=1"};
  Node& a_ = lab_.add_node("a", options_);
  Node& b_ = lab_.add_node("b", options_);
};

TEST_F(FullMaps, APeerThatDoesNotFitIsNamedAndTheOthersGoOn) {
  const Pod& on_a = a_.add_pod("a1");
  const Pod& on_b = b_.add_pod("b1");
  Pod& beside = a_.add_pod("a2");
  ASSERT_TRUE(ping(on_a, "-c 1 " + on_b.address()).all());
  Load load(on_a, on_b, on_b.address());
  Load local_load(on_a, beside, beside.address());

  a_.agent().signal(SIGSTOP);  // or it would make room before there is need of it
  fill_peers(a_);
  Node& c = lab_.add_node("c", options_);
  c.wait_ready();
  a_.agent().signal(SIGCONT);
  const std::string named = fmt::format("map peers is full, 1 did not fit: {} of {}", c.prefix().to_string(), c.address());
  a_.agent().wait_for_log(named, 30s);
  // It takes away what is nobody's, and tries again: the map must be full anew, for somebody new, until it has been seen.
  size_t others = 2;
  EXPECT_TRUE(eventually(
      [&] {
        if (status_of(a_).find("map peers is full") != std::string::npos) return true;
        fill_peers(a_);
        announce(static_cast<int>(200 + others++));
        return false;
      },
      30s))
      << status_of(a_);
  EXPECT_TRUE(ping(on_b, "-c 3 -i 0.01 " + on_a.address()).all());

  const Pod& on_c = c.add_pod("c1");
  EXPECT_TRUE(eventually([&] { return a_.peer_count() == others; }, 30s)) << a_.peer_count();
  EXPECT_TRUE(ping(on_a, "-c 3 -i 0.01 " + on_c.address()).all()) << "there is room";
  EXPECT_TRUE(eventually([&] { return a_.http_status("/readyz") == 200; }, 30s));
  load.expect_whole("the map peers full");
  local_load.expect_whole("the map peers full");
}

TEST_F(FullMaps, APodThatDoesNotFitIsRefusedAndTheOthersGoOn) {
  const Pod& on_a = a_.add_pod("a1");
  Pod& beside = a_.add_pod("a2");
  const Pod& on_b = b_.add_pod("b1");
  ASSERT_TRUE(ping(on_a, "-c 1 " + on_b.address()).all());
  Load load(on_a, on_b, on_b.address());
  Load local_load(on_a, beside, beside.address());

  a_.agent().signal(SIGSTOP);  // or it would make room before anybody has seen that there is none
  fill_pods(a_);
  try {
    a_.add_pod("late");
    ADD_FAILURE() << "there was no room for it";
  } catch (const Failure& refused) {
    EXPECT_THAT(refused.what(), HasSubstr("map pods is full"));
  }
  a_.agent().signal(SIGCONT);
  const Pod* fresh = nullptr;
  int tries = 0;
  EXPECT_TRUE(eventually(
      [&] {
        try {
          fresh = &a_.add_pod(fmt::format("fresh{}", tries++));
        } catch (const Failure&) {
          return false;
        }
        return true;
      },
      30s, 200ms));
  ASSERT_NE(fresh, nullptr);
  EXPECT_TRUE(ping(*fresh, "-c 3 -i 0.01 " + on_b.address()).all()) << "there is room";
  load.expect_whole("the map pods full");
  local_load.expect_whole("the map pods full");
}

// A pod's entry is lost, and something else has its place.
TEST_F(FullMaps, APodWhoseEntryDoesNotFitAnyMoreIsNamed) {
  Pod& pod = a_.add_pod("a1");
  const Pod& on_b = b_.add_pod("b1");
  ASSERT_TRUE(ping(on_b, "-c 1 " + pod.address()).all());
  a_.agent().signal(SIGSTOP);
  merino_pod_key key{};
  std::memcpy(key.addr.bytes, IpAddress::parse(pod.address())->bytes().data(), sizeof(key.addr.bytes));
  const Fd pods(bpf_obj_get(a_.outside_path(MERINO_PIN_ROOT "/pods").c_str()));
  ASSERT_EQ(bpf_map_delete_elem(pods.get(), &key), 0);
  const std::string named = fmt::format("of container {}: map pods is full", pod.attachment().container_id);
  fill_pods(a_);
  a_.agent().signal(SIGCONT);
  EXPECT_TRUE(eventually(
      [&] {
        fill_pods(a_);
        return status_of(a_).find(named) != std::string::npos;
      },
      30s))
      << status_of(a_);
  EXPECT_THAT(a_.agent().log(), HasSubstr(named));
  EXPECT_TRUE(eventually([&] { return ping(on_b, "-c 1 -W 1 " + pod.address()).all(); }, 30s)) << "there is room";
  EXPECT_TRUE(eventually([&] { return a_.http_status("/readyz") == 200; }, 30s));
}

}  // namespace
}  // namespace merino::lab::full_maps_test
