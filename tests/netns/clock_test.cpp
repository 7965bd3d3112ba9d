// A node's wall clock is set by more than a day, ahead and back, while the agent runs: no lease ends, none is renewed without need, and no
// packet is lost. Every program of the node sees the other time (clock/shift.c); its files have the right one, as on a file server.
#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <memory>

#include "etcd_members.h"
#include "lab/lab.h"
#include "lab/load.h"

namespace merino::lab::clock_test {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::Ge;
using testing::HasSubstr;
using testing::Le;
using testing::Not;

enum class Store { directory, etcd };

class ClockIsSet : public testing::TestWithParam<Store> {
 protected:
  static std::unique_ptr<EtcdMembers> open_etcd(const Lab& lab) {
    if (GetParam() != Store::etcd) return nullptr;
    auto etcd = std::make_unique<EtcdMembers>(lab.underlay(), EtcdSetup{.address = "192.168.88.1"});
    etcd->put("/coreos.com/network/config", NodeOptions{}.net_conf);
    return etcd;
  }

  [[nodiscard]] NodeOptions options() const {
    NodeOptions options{.flags = "--ip-masq --metrics-port 9477 --full-check 1"};
    if (etcd_) options.store = "--etcd-endpoints=" + etcd_->url(0);
    return options;
  }
  [[nodiscard]] NodeOptions options_with_a_clock() const {
    NodeOptions options = this->options();
    options.before_start = fmt::format("head -c 8 /dev/zero > /run/clock-shift; echo {} > /etc/ld.so.preload", CLOCK_SHIFT);
    return options;
  }
  void set_clock(std::chrono::seconds ahead) const {
    const int64_t seconds = ahead.count();
    std::fstream file(a_.outside_path("/run/clock-shift"), std::ios::in | std::ios::out | std::ios::binary);
    file.write(reinterpret_cast<const char*>(&seconds), sizeof(seconds));
    ASSERT_TRUE(file.flush());
    const int64_t seen = std::stoll(a_.must("date +%s"));
    const int64_t here = std::stoll(lab_.underlay().must("date +%s"));
    EXPECT_NEAR(static_cast<double>(seen - here), static_cast<double>(seconds), 60) << "the node has the other time";
  }

  // Another node's lease, which the agent sees only if it looks at the store.
  void announce(int number) const {
    const std::string key = fmt::format("10.244.{}.0-24", number);
    const std::string value = fmt::format(R"({{"PublicIP":"192.168.88.{}","PublicIPv6":null,"BackendType":"vxlan","BackendData":)"
                                          R"({{"VNI":1,"VtepMAC":"02:66:66:66:66:66"}}}})",
                                          number);
    if (etcd_) {
      etcd_->put("/coreos.com/network/subnets/" + key, value);
    } else {
      lab_.underlay().write(lab_.lease_dir() + "/subnets/" + key, value);
    }
  }

  // What says that a lease is the same one, and how old its file is.
  [[nodiscard]] std::string lease_of(const Node& node) const {
    const std::string key = node.subnet() + "-24";
    if (etcd_) return etcd_->lease_of("/coreos.com/network/subnets/" + key);
    return lab_.underlay().must(fmt::format("stat -c '%i %y' {}/subnets/{}", lab_.lease_dir(), key));
  }

  // What the node says of its own lease, by its own clock.
  void expect_sane() const {
    EXPECT_EQ(a_.http_status("/readyz"), 200);
    const Output status = a_.run(std::string(MERINOCTL) + " status");
    EXPECT_TRUE(status.ok()) << status.out << status.err;
    EXPECT_THAT(status.out, Not(HasSubstr("run out")));
    const auto leases = [&] { return a_.must(std::string(MERINOCTL) + " leases"); };
    EXPECT_TRUE(eventually([&] { return leases().find("run out") == std::string::npos; }, 30s)) << leases();
    const std::string minutes_left = a_.must(
        "curl -s http://127.0.0.1:9477/metrics | sed -n 's/^merino_lease_expiry_timestamp_seconds //p' | "
        "awk -v now=$(date +%s) '{printf \"%d\", ($1 - now) / 60}'");
    EXPECT_THAT(std::stol(minutes_left), AllOf(Ge(23 * 60), Le(24 * 60 + 1))) << "minutes until the lease ends";
  }

  Lab lab_;
  std::unique_ptr<EtcdMembers> etcd_ = open_etcd(lab_);
  Node& a_ = lab_.add_node("a", options_with_a_clock());
  Node& b_ = lab_.add_node("b", options());
};
INSTANTIATE_TEST_SUITE_P(Leases, ClockIsSet, testing::Values(Store::directory, Store::etcd),
                         [](const auto& value) { return value.param == Store::etcd ? "InEtcd" : "InADirectory"; });

TEST_P(ClockIsSet, NothingEndsAndNothingIsLost) {
  lab_.wait_ready();
  const Pod& on_a = a_.add_pod("a1");
  const Pod& on_b = b_.add_pod("b1");
  ASSERT_TRUE(ping(on_a, "-c 1 " + on_b.address()).all());
  const std::string leases = lease_of(a_) + lease_of(b_);
  Load load(on_a, on_b, on_b.address());
  size_t others = 1;
  for (const auto ahead : {std::chrono::hours(2), std::chrono::hours(30), std::chrono::hours(-30), std::chrono::hours(0)}) {
    SCOPED_TRACE(fmt::format("set to {} hours ahead", ahead.count()));
    set_clock(ahead);
    for (int looks = 0; looks < 2; looks++) {
      announce(static_cast<int>(200 + others++));
      EXPECT_TRUE(eventually([&] { return a_.peer_count() == others; }, 30s)) << a_.peer_count() << " peers of " << others;
    }
    expect_sane();
  }
  load.expect_whole("the clock set ahead and back");
  EXPECT_EQ(lease_of(a_) + lease_of(b_), leases) << "not taken anew";
  // etcd's lease may be kept alive once for each time that the clock was set ahead, if the agent looks before it hears of the new time.
  const long renewals = std::stol(lab_.underlay().run("grep -c renewed", a_.agent().log()).out);
  EXPECT_LE(renewals, etcd_ ? 3 : 0);
  EXPECT_EQ(a_.peer_count(), others);
}

}  // namespace
}  // namespace merino::lab::clock_test
