// The first node of a network makes the lease directory itself, and must see the second one's lease at once, not at the next slow check.
#include <gtest/gtest.h>
#include <poll.h>

#include "base/file.h"
#include "cluster/directory_store.h"
#include "support/temp_dir.h"

namespace merino {
namespace cluster_fresh_directory_test {

TEST(FreshDirectory, IsWatchedFromTheStart) {
  const test::TempDir dir;
  const auto store = open_directory_store(dir.file("leases"), {.check_interval = std::chrono::hours(1)});
  ASSERT_TRUE(store) << store.error().message();
  ASSERT_TRUE((*store)->list());
  ASSERT_FALSE((*store)->drain_events());

  ASSERT_TRUE(
      write_file_atomic(dir.file("leases") + "/subnets/10.244.7.0-24",
                        R"({"PublicIP":"192.168.88.12","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"f2:91:b4:a4:d8:06"}})"));
  pollfd watched{(*store)->event_fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&watched, 1, 10000), 1);
  EXPECT_TRUE((*store)->drain_events());
}

}  // namespace cluster_fresh_directory_test
}  // namespace merino
