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

namespace merino::lab {
namespace {

using testing::HasSubstr;

// Another build: the same program with one byte changed in a name within its built-in BPF object, which nothing but program_id depends on.
constexpr const char* kOtherBuild = "/run/merinod-of-another-build";

void make_other_build(const Node& node) {
  node.must(
      fmt::format("python3 -c 'import re\n"
                  "data = bytearray(open(\"{0}\", \"rb\").read())\n"
                  "names = list(re.finditer(rb\"\\0LBB[0-9]+_[0-9]+(?=\\0)\", data))\n"
                  "assert names\n"
                  "data[names[0].start() + 1] = ord(\"M\")\n"
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

TEST(Downgrade, IsRefusedAndThePodsGoOn) {
  TwoNodes two_nodes;
  auto& [lab, a, b, on_a, on_b] = two_nodes;
  make_other_build(a);
  const std::string before = program_ids(a);
  a.agent().signal(SIGTERM);
  a.agent().wait();
  set_abi_version(a, MERINO_ABI_VERSION + 1);
  Process other = start_other(a, lab);
  other.wait_for_log(fmt::format("ABI version {}, this merinod knows version {}", MERINO_ABI_VERSION + 1, MERINO_ABI_VERSION));
  EXPECT_THAT(other.log(), HasSubstr("install the newer merinod again"));
  EXPECT_NE(a.http_status("/readyz"), 200);
  EXPECT_EQ(program_ids(a), before) << "nothing is replaced";
  EXPECT_TRUE(ping(on_a, "-c 3 -i 0.01 " + on_b.address()).all());
  EXPECT_TRUE(ping(on_b, "-c 3 -i 0.01 " + on_a.address()).all());
}

}  // namespace
}  // namespace merino::lab
