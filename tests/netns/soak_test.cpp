// Pods come and go on a node, leases in the store, and traffic goes on, for as long as one likes: nothing is lost, and nothing grows.
// MERINO_SOAK_SECONDS, _PODS and _LEASES say how long and how many; scripts/soak is the long form. MERINO_SEED repeats the choices.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <random>

#include "lab/lab.h"
#include "lab/load.h"
#include "support/sanitizer.h"

namespace merino::lab::soak_test {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::seconds;

constexpr seconds kPatience{180};
// What the agent may grow by. The sanitizers keep what was freed, and what they know of it.
constexpr long kGrowthKib = test::kSanitized ? 256 * 1024L : 4 * 1024L;
constexpr int kBatch = 25;       // pods that come or go at once
constexpr int kLeaseBatch = 20;  // each time one of so many leases comes or goes

long from_environment(const char* name, long otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtol(text, nullptr, 10);
}

// The agent and its state at one moment.
struct Sample {
  long descriptors = 0;
  long resident_kib = 0;
  long files = 0;  // of the state directories, but for those of pods
};

class Soak : public testing::Test {
 protected:
  Soak()
      : random_(static_cast<unsigned>(from_environment("MERINO_SEED", std::random_device{}()))),
        attached_(from_environment("MERINO_SOAK_PODS", 50)),
        leased_(from_environment("MERINO_SOAK_LEASES", 1000)) {
    lab_.wait_ready();
    std::string script = "mkdir -p /run/netns /run/soak\n";
    for (size_t i = 0; i < attached_.size(); i++) {
      script += fmt::format("touch {0} && unshare --net sh -c 'ip link set lo up && mount --bind /proc/self/ns/net {0}'\n", netns(i));
    }
    a_.must(script);
  }

  static std::string netns(size_t pod) { return fmt::format("/run/netns/k{}", pod); }
  size_t below(size_t limit) { return static_cast<size_t>(random_() % limit); }
  static long count(const std::vector<bool>& of) { return std::count(of.begin(), of.end(), true); }

  // ADD where there is none, DEL where there is one, all at once.
  void turn_pods(const std::vector<size_t>& pods) {
    std::string script;
    for (const size_t pod : pods) {
      script += fmt::format(
          "(echo '{{\"name\":\"cbr0\",\"type\":\"merino\",\"cniVersion\":\"1.1.0\"}}' | env CNI_COMMAND={} CNI_CONTAINERID=k{} "
          "CNI_NETNS={} "
          "CNI_IFNAME=eth0 CNI_PATH=/usr/lib/cni {} > /run/soak/{}.out 2>&1 || echo k{} >> /run/soak/failed) &\n",
          attached_[pod] ? "DEL" : "ADD", pod, netns(pod), MERINO_PLUGIN, pod, pod);
      attached_[pod] = !attached_[pod];
      calls_++;
    }
    // A host that is busy with other things may hold each of them up for a while.
    ASSERT_TRUE(a_.run(script + "wait\n", "", kPatience).ok());
    const Output failed = a_.run("cat /run/soak/failed 2>/dev/null && cat $(sed 's|.*k\\([0-9]*\\)|/run/soak/\\1.out|' /run/soak/failed)");
    ASSERT_EQ(failed.out, "");
  }
  void turn_some_pods() {
    std::vector<size_t> pods(attached_.size());
    for (size_t i = 0; i < pods.size(); i++) pods[i] = i;
    std::shuffle(pods.begin(), pods.end(), random_);
    pods.resize(std::min<size_t>(pods.size(), kBatch));
    turn_pods(pods);
  }

  void turn_lease(size_t lease) {
    const std::string directory = lab_.lease_dir() + "/subnets/";
    const std::string path = fmt::format("{}10.{}.{}.0-24", directory, 200 + lease / 256, lease % 256);
    if (leased_[lease]) {
      std::filesystem::remove(path);
    } else {
      std::ofstream(directory + ".new-soak") << fmt::format(
          R"({{"PublicIP":"172.16.{}.{}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"02:66:66:66:66:66"}}}})",
          lease / 256, lease % 256);
      std::filesystem::rename(directory + ".new-soak", path);
    }
    leased_[lease] = !leased_[lease];
    changes_++;
  }
  void turn_some_leases() {
    for (size_t lease = below(kLeaseBatch); lease < leased_.size(); lease += 1 + below(2 * kLeaseBatch)) turn_lease(lease);
  }

  // What is there because of pods and leases is what was asked for.
  void expect_as_asked() {
    const size_t peers = static_cast<size_t>(count(leased_)) + 1;
    for (const Node* node : {&a_, &b_})
      ASSERT_TRUE(eventually([&] { return node->peer_count() == peers; }, kPatience)) << node->peer_count() << " of " << peers;
    const long pods = count(attached_) + 2;  // the traffic's own
    const std::string found = a_.must(
        "ls /run/merino/attachments | wc -l; ls /var/lib/cni/flannel | wc -l; find /var/lib/cni/networks/.merino -type f | wc -l; ls "
        "/var/lib/cni/networks/cbr0 | grep -c '^[0-9]'; ip -o link show type veth | grep -c ' mr'; "
        "ls /sys/fs/bpf/merino/links | grep -vc 'device_\\|uplink'; ip route | grep -c ' dev mr'; ip neigh show nud permanent | grep -c ' "
        "dev mr'");
    ASSERT_EQ(found, fmt::format("{0}\n{0}\n{0}\n{0}\n{0}\n{0}\n{0}\n{0}\n", pods))
        << "records, delegates, notes, addresses, veths, links, routes, neighbours";
    ASSERT_EQ(count_entries(a_.outside_path(MERINO_PIN_ROOT "/pods")), static_cast<size_t>(pods));
  }

  // Between two passes: the least of several looks.
  Sample sample() {
    const std::string text =
        a_.must(fmt::format("for i in 1 2 3 4 5 6 7 8; do ls /proc/{0}/fd | wc -l; sleep 0.02; done | sort -n | head -1; sed -n "
                            "'s/^VmRSS:[^0-9]*\\([0-9]*\\).*/\\1/p' /proc/{0}/status; "
                            "find /run/merino /run/flannel /var/lib/cni /sys/fs/bpf/merino -type f ! -path '*/attachments/*' ! -path "
                            "'*/links/*' ! -path '*/.merino/*' ! -path '*/cni/flannel/*' "
                            "! -path '*/cbr0/[0-9]*' | wc -l",
                            a_.agent().pid()));
    Sample out;
    std::istringstream(text) >> out.descriptors >> out.resident_kib >> out.files;
    fmt::print("{:5.0f} s: {} calls, {} pods; {} lease changes, {} leases; {} descriptors, {} KiB resident, {} files\n",
               std::chrono::duration<double>(Clock::now() - begin_).count(), calls_, count(attached_), changes_, count(leased_),
               out.descriptors, out.resident_kib, out.files);
    std::fflush(stdout);
    return out;
  }

  void churn_until(Clock::time_point end) {
    while (Clock::now() < end && !HasFailure()) {
      turn_some_leases();
      turn_some_pods();
    }
  }

  // All pods and all leases at once, then none: memory that this needs is had from then on.
  void fill_and_empty() {
    for (const bool wanted : {true, false}) {
      for (size_t lease = 0; lease < leased_.size(); lease++) {
        if (leased_[lease] != wanted) turn_lease(lease);
      }
      std::vector<size_t> pods;
      for (size_t pod = 0; pod < attached_.size(); pod++) {
        if (attached_[pod] == wanted) continue;
        pods.push_back(pod);
        if (pods.size() == kBatch) turn_pods(std::exchange(pods, {}));
      }
      turn_pods(pods);
      ASSERT_NO_FATAL_FAILURE(expect_as_asked());
    }
  }

  std::mt19937 random_;
  std::vector<bool> attached_;
  std::vector<bool> leased_;
  Lab lab_;
  const NodeOptions options_{.net_conf = R"({"Network": "10.128.0.0/9", "SubnetLen": 24, "Backend": {"Type": "vxlan"}})"};
  Node& a_ = lab_.add_node("a", options_);
  Node& b_ = lab_.add_node("b", options_);
  long calls_ = 0;
  long changes_ = 0;
  const Clock::time_point begin_ = Clock::now();
};

TEST_F(Soak, NothingIsLostAndNothingGrows) {
  constexpr int kSamples = 12;  // of which the first quarter warms up
  const auto interval = std::chrono::milliseconds(1000 * from_environment("MERINO_SOAK_SECONDS", 12) / kSamples);
  const Pod& stays = a_.add_pod("stays");
  const Pod& beside = a_.add_pod("beside");
  const Pod& far = b_.add_pod("far");
  ASSERT_TRUE(ping(stays, "-c 1 " + far.address()).all());
  Load load(stays, far, far.address());
  Load local_load(beside, stays, stays.address());
  ASSERT_NO_FATAL_FAILURE(fill_and_empty());
  std::vector<Sample> samples;
  for (int i = 0; i < kSamples; i++) {
    churn_until(Clock::now() + interval);
    ASSERT_NO_FATAL_FAILURE(expect_as_asked());
    samples.push_back(sample());
  }
  ASSERT_NO_FATAL_FAILURE(fill_and_empty());
  samples.push_back(sample());
  load.expect_whole("pods and leases come and go");
  local_load.expect_whole("pods and leases come and go");

  const Sample& warm = samples[kSamples / 4];
  for (size_t i = kSamples / 4 + 1; i < samples.size(); i++) {
    EXPECT_LE(samples[i].descriptors, warm.descriptors + 2) << "of sample " << i;
    EXPECT_LE(samples[i].resident_kib, warm.resident_kib + kGrowthKib) << "of sample " << i;
    EXPECT_EQ(samples[i].files, warm.files) << "of sample " << i;
  }
  EXPECT_EQ(count(attached_) + count(leased_), 0);
}

}  // namespace
}  // namespace merino::lab::soak_test
