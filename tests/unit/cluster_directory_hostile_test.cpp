// What else may stand in a lease directory, and which of overlapping leases counts.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <optional>
#include <string>
#include <thread>

#include "base/fd.h"
#include "cluster/lease_directory.h"
#include "support/lease_dir.h"

namespace merino {
namespace cluster_directory_hostile_test {

using namespace merino::test;  // NOLINT(google-build-using-namespace)
using namespace std::chrono_literals;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;
using testing::StartsWith;

// One good lease among whatever a test puts beside it.
class HostileDirectory : public testing::Test {
 protected:
  HostileDirectory() { dir_.write_lease("10.244.1.0-24", "1.1.1.1"); }
  void expect_rejected(const std::string& key, const std::string& reason) {
    const auto store = dir_.open();
    EXPECT_THAT(listed(*store), ElementsAre("10.244.1.0/24 1.1.1.1"));
    EXPECT_THAT(rejected(*store), ElementsAre(AllOf(StartsWith(key), HasSubstr(reason))));
    EXPECT_THAT(rejected(*store), SizeIs(1)) << "the second time too";
  }
  LeaseDir dir_;
};

// One descriptor more may be opened.
class OneDescriptor {
 public:
  OneDescriptor() {
    const Fd lowest(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit few{static_cast<rlim_t>(lowest.get()) + 1, before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &few);
  }
  OneDescriptor(const OneDescriptor&) = delete;
  OneDescriptor& operator=(const OneDescriptor&) = delete;
  ~OneDescriptor() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_F(HostileDirectory, a_lack_of_descriptors_is_no_fault_of_a_lease) {
  LeaseDirectory directory(dir_.path() + "/subnets");
  ASSERT_TRUE(directory.refresh());
  dir_.write_lease("10.244.1.0-24", "2.2.2.2");
  // Sanitizers want descriptors, too: nothing is judged before there are some again.
  std::optional<OneDescriptor> few(std::in_place);
  const auto changed = directory.refresh();
  const auto read = directory.read("10.244.1.0-24");
  few.reset();
  ASSERT_FALSE(changed);
  EXPECT_THAT(changed.error().message(), AllOf(HasSubstr("open lease 10.244.1.0-24"), HasSubstr("Too many open files")));
  EXPECT_FALSE(read);
  ASSERT_EQ(directory.files().size(), 1U);
  EXPECT_EQ(directory.files().begin()->second.reason, "") << "what was known stays known";
  EXPECT_TRUE(directory.refresh().value());
  EXPECT_EQ(directory.files().begin()->second.lease->attributes.public_ip.v4->to_string(), "2.2.2.2");
}

TEST_F(HostileDirectory, nothing_is_rejected_without_cause) { EXPECT_THAT(rejected(*dir_.open()), IsEmpty()); }

TEST_F(HostileDirectory, foreign_name) {
  dir_.write("README", "x");
  expect_rejected("README: ", "not a subnet key");
}

TEST_F(HostileDirectory, a_name_for_the_terminal) {
  dir_.write("\x1b[31m\n10.244.2.0-24", "x");
  expect_rejected("\\x1b[31m\\x0a10.244.2.0-24: ", "not a subnet key");
}

TEST_F(HostileDirectory, names_that_are_nearly_dual_stack_keys) {
  for (const std::string key : {"10.244.2.0-24&", "10.244.2.0-24&fd10:244:0:5::1-64", "fd10:244:0:5::-64&10.244.2.0-24",
                                "10.244.2.0-24&fd10:244:0:5::-64&fd10:244:0:6::-64", "&fd10:244:0:5::-64"}) {
    dir_.write_lease(key, "1.1.1.2");
    expect_rejected(key + ": ", key.find("::1-") != std::string::npos ? "host bits" : "not a subnet key");
    std::filesystem::remove(dir_.file(key));
  }
}

TEST_F(HostileDirectory, an_ipv6_field_of_a_dual_stack_lease) {
  const std::string key = "10.244.2.0-24&fd10:244:0:5::-64";
  for (const char* json : {R"({"PublicIP":"1.1.1.2","PublicIPv6":"ff02::1"})", R"({"PublicIP":"1.1.1.2","PublicIPv6":7})",
                           R"({"PublicIP":"0.0.0.0","PublicIPv6":"fe80::1"})", R"({"PublicIP":"moon","PublicIPv6":"fd00::1"})"}) {
    dir_.write(key, json);
    expect_rejected(key + ": ", "PublicIP");
  }
}

TEST_F(HostileDirectory, host_bits) {
  dir_.write_lease("10.244.2.1-24", "1.1.1.2");
  expect_rejected("10.244.2.1-24: ", "host bits");
}

TEST_F(HostileDirectory, empty_file) {
  dir_.write("10.244.2.0-24", "");
  expect_rejected("10.244.2.0-24: ", "not valid JSON");
}

TEST_F(HostileDirectory, content_that_is_no_lease) {
  dir_.write("10.244.2.0-24", R"({"PublicIP":"224.0.0.1"})");
  expect_rejected("10.244.2.0-24: ", "PublicIP");
}

TEST_F(HostileDirectory, huge_file) {
  dir_.write("10.244.2.0-24", "{");
  std::filesystem::resize_file(dir_.file("10.244.2.0-24"), 1ULL << 40U);  // sparse
  expect_rejected("10.244.2.0-24: ", "larger than");
}

TEST_F(HostileDirectory, a_lease_of_the_largest_size_is_read) {
  std::string json = format_lease_attributes(attributes("1.1.1.2"));
  json += std::string(16384 - json.size(), ' ');
  dir_.write("10.244.2.0-24", json);
  EXPECT_THAT(listed(*dir_.open()), SizeIs(2));
  dir_.write("10.244.2.0-24", json + " ");
  expect_rejected("10.244.2.0-24: ", "larger than");
}

TEST_F(HostileDirectory, directory) {
  std::filesystem::create_directory(dir_.file("10.244.2.0-24"));
  expect_rejected("10.244.2.0-24: ", "a directory");
}

TEST_F(HostileDirectory, symbolic_link_even_to_a_lease) {
  std::filesystem::create_symlink("10.244.1.0-24", dir_.file("10.244.2.0-24"));
  expect_rejected("10.244.2.0-24: ", "a symbolic link");
}

TEST_F(HostileDirectory, fifo_without_a_writer) {
  ASSERT_EQ(::mkfifo(dir_.file("10.244.2.0-24").c_str(), 0600), 0);
  expect_rejected("10.244.2.0-24: ", "a FIFO");
}

TEST_F(HostileDirectory, socket) {
  const Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = dir_.file("10.244.2.0-24");
  ASSERT_LT(path.size(), sizeof address.sun_path);
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  expect_rejected("10.244.2.0-24: ", "a socket");
}

TEST_F(HostileDirectory, a_subnet_outside_of_the_network_once_that_is_known) {
  dir_.write_lease("10.99.1.0-24", "1.1.1.2");
  dir_.write_lease("10.244.0.0-16", "1.1.1.3");
  dir_.write_lease("0.0.0.0-0", "1.1.1.4");
  const auto store = dir_.open();
  ASSERT_TRUE(store->acquire(net_conf("10.244.0.0/16"), request("1.2.3.4", "10.244.5.0/24")));
  EXPECT_THAT(listed(*store), ElementsAre("10.244.1.0/24 1.1.1.1", "10.244.5.0/24 1.2.3.4"));
  EXPECT_THAT(rejected(*store),
              ElementsAre("0.0.0.0-0: outside of Network 10.244.0.0/16", "10.244.0.0-16: outside of Network 10.244.0.0/16",
                          "10.99.1.0-24: outside of Network 10.244.0.0/16"));
}

TEST_F(HostileDirectory, times_from_the_past_and_the_future) {
  const auto set_seconds = [&](const std::string& key, time_t seconds) {
    const timespec times[2]{{seconds, 0}, {seconds, 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, dir_.file(key).c_str(), times, 0), 0);
  };
  for (const char* key : {"10.244.2.0-24", "10.244.3.0-24", "10.244.4.0-24"}) dir_.write_lease(key, "1.1.1.2");
  set_seconds("10.244.2.0-24", -2000000000);
  set_seconds("10.244.3.0-24", 0);
  set_seconds("10.244.4.0-24", 15000000000);  // the last that ext4 can store is in 2446
  EXPECT_THAT(listed(*dir_.open()), ElementsAre("10.244.1.0/24 1.1.1.1", "10.244.4.0/24 1.1.1.2"));
}

TEST_F(HostileDirectory, names_that_are_taken_by_anything_are_not_leased) {
  const NetConf tiny = net_conf("10.244.0.0/28");  // .4, .8 and .12
  std::filesystem::create_directory(dir_.file("10.244.0.4-30"));
  ASSERT_EQ(::mkfifo(dir_.file("10.244.0.8-30").c_str(), 0600), 0);
  const auto store = dir_.open();
  const auto lease = store->acquire(tiny, request("1.2.3.4", "10.244.0.8/30"));
  ASSERT_TRUE(lease) << lease.error().message();
  EXPECT_EQ(lease->subnet, prefix("10.244.0.12/30"));
  EXPECT_EQ(dir_.open()->acquire(tiny, request("1.2.3.5")).error().kind, ErrorKind::exhausted);
}

TEST_F(HostileDirectory, a_file_that_is_rewritten_within_one_step_of_the_clock_is_read_again) {
  const auto store = dir_.open();
  for (int i = 10; i < 60; ++i) {  // same length, same inode, maybe the same time
    dir_.write_lease("10.244.1.0-24", "1.1.1." + std::to_string(i));
    EXPECT_THAT(listed(*store), ElementsAre("10.244.1.0/24 1.1.1." + std::to_string(i)));
  }
}

TEST_F(HostileDirectory, a_settled_file_that_changes_is_read_again) {
  const auto store = dir_.open();
  std::this_thread::sleep_for(2100ms);  // now its times tell of any change
  EXPECT_THAT(listed(*store), ElementsAre("10.244.1.0/24 1.1.1.1"));
  EXPECT_THAT(listed(*store), ElementsAre("10.244.1.0/24 1.1.1.1"));
  dir_.write_lease("10.244.1.0-24", "1.1.1.2");
  EXPECT_THAT(listed(*store), ElementsAre("10.244.1.0/24 1.1.1.2"));
  dir_.expire("10.244.1.0-24");
  EXPECT_THAT(listed(*store), IsEmpty());
  dir_.reserve("10.244.1.0-24");
  EXPECT_THAT(listed(*store), ElementsAre("10.244.1.0/24 1.1.1.2"));
}

// --- overlaps

class Overlap : public testing::Test {
 protected:
  // Files are born a step of the clock apart.
  void write_lease_later(const std::string& key, const std::string& public_ip) {
    std::this_thread::sleep_for(50ms);
    dir_.write_lease(key, public_ip);
  }
  LeaseDir dir_;
};

TEST_F(Overlap, the_older_lease_counts_whatever_comes_later) {
  dir_.write_lease("10.244.4.0-22", "1.1.1.1");
  write_lease_later("10.244.5.0-24", "1.1.1.2");
  write_lease_later("10.244.0.0-20", "1.1.1.3");
  const auto store = dir_.open();
  EXPECT_THAT(listed(*store), ElementsAre("10.244.4.0/22 1.1.1.1"));
  EXPECT_THAT(rejected(*store), ElementsAre("10.244.0.0-20: overlaps 10.244.4.0/22, the lease of 1.1.1.1",
                                            "10.244.5.0-24: overlaps 10.244.4.0/22, the lease of 1.1.1.1"));

  dir_.set_age("10.244.4.0-22", 0s);  // renewal does not make it younger
  EXPECT_THAT(listed(*store), ElementsAre("10.244.4.0/22 1.1.1.1"));
  EXPECT_THAT(listed(*dir_.open()), ElementsAre("10.244.4.0/22 1.1.1.1")) << "another node sees it alike";

  std::filesystem::remove(dir_.file("10.244.4.0-22"));
  EXPECT_THAT(listed(*store), ElementsAre("10.244.5.0/24 1.1.1.2"));
}

TEST_F(Overlap, an_expired_lease_hinders_nobody) {
  dir_.write_lease("10.244.4.0-22", "1.1.1.1");
  write_lease_later("10.244.5.0-24", "1.1.1.2");
  dir_.expire("10.244.4.0-22");
  const auto store = dir_.open();
  EXPECT_THAT(listed(*store), ElementsAre("10.244.5.0/24 1.1.1.2"));
  EXPECT_THAT(rejected(*store), IsEmpty());
}

TEST_F(Overlap, the_configured_length_counts_more_than_age) {
  dir_.write_lease("10.244.4.0-22", "1.1.1.1");
  write_lease_later("10.244.5.0-24", "1.1.1.2");
  write_lease_later("10.244.5.128-25", "1.1.1.3");
  const auto store = dir_.open();
  ASSERT_TRUE(store->acquire(net_conf("10.244.0.0/16"), request("1.2.3.4", "10.244.9.0/24")));
  EXPECT_THAT(listed(*store), ElementsAre("10.244.5.0/24 1.1.1.2", "10.244.9.0/24 1.2.3.4"));
  EXPECT_THAT(rejected(*store), ElementsAre("10.244.4.0-22: overlaps 10.244.5.0/24, the lease of 1.1.1.2",
                                            "10.244.5.128-25: overlaps 10.244.5.0/24, the lease of 1.1.1.2"));
}

TEST_F(Overlap, nobody_is_given_a_subnet_that_overlaps) {
  dir_.write_lease("10.244.0.0-17", "1.1.1.1");
  for (int i = 0; i < 20; ++i) {
    const auto store = dir_.open();
    const auto lease = store->acquire(net_conf("10.244.0.0/16"), request("1.2.3." + std::to_string(i + 1), "10.244.5.0/24"));
    ASSERT_TRUE(lease);
    EXPECT_GE(lease->subnet.v4->address(), ip("10.244.128.0"));
  }
}

TEST_F(Overlap, neighbours_do_not_overlap) {
  for (const char* key : {"10.244.0.0-17", "10.244.128.0-18", "10.244.192.0-24", "10.244.193.0-24", "10.244.255.252-30"}) {
    dir_.write_lease(key, "1.1.1.1");
  }
  EXPECT_THAT(listed(*dir_.open()), SizeIs(5));
  EXPECT_THAT(rejected(*dir_.open()), IsEmpty());
}

}  // namespace cluster_directory_hostile_test
}  // namespace merino
