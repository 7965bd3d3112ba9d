// Another build of merinod takes over a node under traffic, and one that finds newer maps than it knows refuses.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "abi.h"
#include "lab/lab.h"
#include "lab/load.h"
#include "lab/traffic.h"
#include "lab/two_nodes.h"

namespace merino::lab::upgrade_test {
namespace {

using testing::HasSubstr;

// Another build: the same program with one byte changed in names within its built-in BPF objects, which nothing but program_id depends on.
constexpr const char* kOtherBuild = "/run/merinod-of-another-build";

void make_other_build(const Node& node) {
  node.must(
      fmt::format("python3 -c 'import re\n"
                  "data = bytearray(open(\"{0}\", \"rb\").read())\n"
                  "names = list(re.finditer(rb\"\\0LBB[0-9]+_[0-9]+(?=\\0)\", data))\n"
                  "assert names\n"
                  "for name in names: data[name.start() + 1] = ord(\"M\")\n"
                  "open(\"{1}\", \"wb\").write(data)' && chmod +x {1}",
                  MERINOD, kOtherBuild));
}

std::string program_ids(const Node& node) {
  return node.must("for program in /sys/fs/bpf/merino/programs/*; do bpftool -j prog show pinned $program | grep -o '\"id\":[0-9]*'; done");
}

Process start_other(const Node& node, const Lab& lab) {
  return node.start(fmt::format("exec {} --lease-dir {} --healthz-port 8081 --ip-masq", kOtherBuild, lab.lease_dir()));
}

TEST(Upgrade, ReplacesTheProgramsUnderTraffic) {
  TwoNodes two_nodes;
  auto& [lab, a, b, on_a, on_b] = two_nodes;
  ASSERT_TRUE(ping(on_a, "-c 1 " + on_b.address()).all());
  make_other_build(a);
  const std::string before = program_ids(a);

  Load load(on_a, on_b, on_b.address(), 7500, Requests::many);
  const uint64_t encapsulated = a.counters()[MERINO_ENCAP];
  ASSERT_TRUE(eventually([&] { return a.counters()[MERINO_ENCAP] > encapsulated + 200; }));

  a.agent().signal(SIGTERM);
  a.agent().wait();
  Process other = start_other(a, lab);
  EXPECT_TRUE(eventually([&] { return program_ids(a) != before && a.http_status("/readyz") == 200; }, std::chrono::seconds(25)))
      << other.log();
  const uint64_t since = a.counters()[MERINO_ENCAP];
  EXPECT_TRUE(eventually([&] { return a.counters()[MERINO_ENCAP] > since + 200; })) << "the new programs count in the old maps";

  load.expect_whole("another build's programs");
}

// The first four bytes of `network` are its version.
void set_abi_version(const Node& node, unsigned version) {
  node.must(
      fmt::format("bpftool -j map dump pinned /sys/fs/bpf/merino/network | python3 -c 'import json,sys\n"
                  "value = json.load(sys.stdin)[0][\"value\"]\n"
                  "value[0] = \"{:#x}\"\n"
                  "print(*value)' | sed s/0x//g | xargs bpftool map update pinned /sys/fs/bpf/merino/network key hex 0 0 0 0 value hex",
                  version));
}

unsigned abi_version(const Node& node) {
  return static_cast<unsigned>(
      std::stoul(node.must("bpftool -j map dump pinned /sys/fs/bpf/merino/network | python3 -c 'import json,sys\n"
                           "print(int(json.load(sys.stdin)[0][\"value\"][0], 16))'")));
}

std::string map_pins(const Node& node) { return node.must("find /sys/fs/bpf/merino -maxdepth 1 -type f -printf '%f\\n' | sort"); }

constexpr const char* kMapPins = "counters\ndrops\nnetwork\nnodes\npeers\npods\ntrace\ntrace_filter\nuntranslated\n";

// merinod, and as long as it runs the plugin, of an ABI version before this one's.
class OlderVersion {
 public:
  OlderVersion(Node& node, const Lab& lab) : node_(node) {
    node.must("mkdir -p /run/cni/bin && ln -s " OLDER_ABI_DIR "/merino /run/cni/bin/merino");
    agent_ = node.start(fmt::format("exec " OLDER_ABI_DIR "/merinod --lease-dir {} --healthz-port 8081 --ip-masq", lab.lease_dir()));
    EXPECT_TRUE(eventually([&] { return node.http_status("/readyz") == 200; }, std::chrono::seconds(60))) << agent_.log();
    EXPECT_EQ(abi_version(node), MERINO_ABI_VERSION - 1U) << agent_.log();
  }

  // As an update does it: the plugin first.
  void end() {
    node_.must("rm /run/cni/bin/merino");
    agent_.signal(SIGTERM);
    agent_.wait();
  }

 private:
  Node& node_;
  Process agent_;
};

TEST(Upgrade, MakesTheMapsOfAnOlderAbiAnewUnderTraffic) {
  Lab lab;
  Node& a = lab.add_node("a", {.agent = AgentStart::later});
  Node& b = lab.add_node("b");
  b.wait_ready();
  OlderVersion older(a, lab);
  const Pod& on_a = a.add_pod("a1");
  const Pod& too = a.add_pod("a2");
  Pod& going = a.add_pod("a3");
  const Pod& on_b = b.add_pod("b1");
  ASSERT_TRUE(ping(on_a, "-c 1 " + on_b.address()).all());

  Load out(on_a, on_b, on_b.address(), 7500, Requests::many);
  Load in(on_b, too, too.address(), 7501);
  Load beside(too, on_a, on_a.address(), 7502);
  const uint64_t before = a.counters()[MERINO_ENCAP];
  ASSERT_TRUE(eventually([&] { return a.counters()[MERINO_ENCAP] > before + 200; })) << "the older version has a fast path";
  older.end();

  // The newer plugin meets the older maps: it says so, and leaves nothing. What goes, goes.
  const std::string taken = a.must("ls /var/lib/cni/networks/cbr0");
  try {
    a.add_pod("early");
    ADD_FAILURE() << "ADD wrote into maps of another version";
  } catch (const Failure& failure) {
    EXPECT_THAT(failure.what(), HasSubstr(fmt::format("ABI version {}, this version of merino knows version {}", MERINO_ABI_VERSION - 1,
                                                      MERINO_ABI_VERSION)));
    EXPECT_THAT(failure.what(), HasSubstr("\"code\": 11")) << "to be tried again";
  }
  EXPECT_EQ(a.must("ls /var/lib/cni/networks/cbr0"), taken);
  going.remove();

  a.start_agent();
  a.wait_ready();
  EXPECT_EQ(abi_version(a), MERINO_ABI_VERSION);
  EXPECT_EQ(map_pins(a), kMapPins);
  EXPECT_EQ(count_entries(a.outside_path(MERINO_PIN_ROOT "/pods")), 2U) << "of those that are there";
  EXPECT_TRUE(eventually([&] {
    return a.counters()[MERINO_ENCAP] > 200 && a.counters()[MERINO_DECAP] > 200 && a.counters()[MERINO_LOCAL] > 200;
  })) << "new programs count in new maps\n"
      << a.counters().to_string();
  const Pod& fresh = a.add_pod("fresh");
  EXPECT_TRUE(ping(fresh, "-c 1 " + on_b.address()).all());
  const Counters counted = a.counters();
  EXPECT_EQ(counted.sum({MERINO_SPOOFED, MERINO_UNKNOWN_SENDER, MERINO_FORGED, MERINO_NO_PEER}), 0U) << counted.to_string();
  for (Load* one : {&out, &in, &beside}) one->expect_whole("maps of another ABI version");
}

// Some of the maps are this version's already, others are gone, or are others, and there is what was never renamed.
TEST(Upgrade, GoesOnWhereOneEndedHalfway) {
  TwoNodes two_nodes;
  auto& [lab, a, b, on_a, on_b] = two_nodes;
  Load load(on_a, on_b, on_b.address());
  a.agent().kill();
  set_abi_version(a, MERINO_ABI_VERSION - 1);
  a.must(
      "cd /sys/fs/bpf/merino && rm nodes peers && bpftool map create $PWD/peers type hash key 4 value 4 entries 9 name peers && "
      "bpftool map create $PWD/new_pods type array key 4 value 4 entries 9 name new_pods && "
      "bpftool map create $PWD/of_old type array key 4 value 4 entries 1 name of_old");
  a.start_agent();
  a.wait_ready();
  EXPECT_EQ(abi_version(a), MERINO_ABI_VERSION);
  EXPECT_EQ(map_pins(a), kMapPins);
  EXPECT_EQ(a.peer_count(), 1U);
  EXPECT_TRUE(eventually([&] { return a.counters().sum({MERINO_ENCAP, MERINO_DECAP}) > 200; })) << a.counters().to_string();
  load.expect_whole("an upgrade that ended halfway");
}

// A map that is not what this version makes of it, though the version is: no reason to give up.
TEST(Upgrade, MakesMapsOfAnotherShapeAnew) {
  TwoNodes two_nodes;
  auto& [lab, a, b, on_a, on_b] = two_nodes;
  a.agent().kill();
  a.must("cd /sys/fs/bpf/merino && rm pods && bpftool map create $PWD/pods type hash key 16 value 36 entries 9 name pods");
  a.start_agent();
  a.wait_ready();
  EXPECT_EQ(map_pins(a), kMapPins);
  EXPECT_TRUE(ping(on_a, "-c 3 -i 0.01 " + on_b.address()).all());
  EXPECT_TRUE(
      eventually([&] { return a.must("bpftool map show pinned /sys/fs/bpf/merino/pods").find("max_entries 4096") != std::string::npos; }));
}

TEST(Downgrade, IsRefusedAndThePodsGoOn) {
  TwoNodes two_nodes;
  auto& [lab, a, b, on_a, on_b] = two_nodes;
  const std::string before = program_ids(a);
  a.agent().signal(SIGTERM);
  a.agent().wait();
  Process older = a.start(fmt::format("exec " OLDER_ABI_DIR "/merinod --lease-dir {} --healthz-port 8081 --ip-masq", lab.lease_dir()));
  older.wait_for_log(fmt::format("ABI version {}, this version of merino knows version {}", MERINO_ABI_VERSION, MERINO_ABI_VERSION - 1));
  EXPECT_THAT(older.log(), HasSubstr("install the newer version again"));
  EXPECT_NE(a.http_status("/readyz"), 200);
  EXPECT_EQ(program_ids(a), before) << "nothing is replaced";
  EXPECT_EQ(abi_version(a), MERINO_ABI_VERSION);
  EXPECT_TRUE(ping(on_a, "-c 3 -i 0.01 " + on_b.address()).all());
  EXPECT_TRUE(ping(on_b, "-c 3 -i 0.01 " + on_a.address()).all());
}

}  // namespace
}  // namespace merino::lab::upgrade_test
