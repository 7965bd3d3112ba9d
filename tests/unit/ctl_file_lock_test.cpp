#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/file.h"
#include "ctl/file_lock.h"

namespace merino::ctl {
namespace ctl_file_lock_test {

constexpr const char* kLocks =
    "1: POSIX  ADVISORY  READ  10 fd:01:200 0 EOF\n"
    "2: FLOCK  ADVISORY  WRITE 3817 00:29:107 0 EOF\n"
    "2: -> FLOCK  ADVISORY  WRITE 3818 00:29:108 0 EOF\n";

TEST(FileLockListing, TheHolderCounts) { EXPECT_TRUE(is_locked(kLocks, {0x00, 0x29, 107})); }

TEST(FileLockListing, OtherFilesKindsAndWaitersDoNot) {
  EXPECT_FALSE(is_locked(kLocks, {0x00, 0x29, 10}));
  EXPECT_FALSE(is_locked(kLocks, {0x00, 0x28, 107}));
  EXPECT_FALSE(is_locked(kLocks, {0xfd, 0x01, 200}));
  EXPECT_FALSE(is_locked(kLocks, {0x00, 0x29, 108}));
  EXPECT_FALSE(is_locked("", {0, 0, 0}));
  EXPECT_FALSE(is_locked("garbage\n\n1:\n", {0, 0, 0}));
}

TEST(FileLockListing, TheKernelSpellsItThatWay) {
  struct stat file {};
  Fd fd(::memfd_create("lock", MFD_CLOEXEC));
  ASSERT_EQ(::fstat(fd.get(), &file), 0);
  const FileIdentity identity{major(file.st_dev), minor(file.st_dev), file.st_ino};
  EXPECT_FALSE(is_locked(*read_file("/proc/locks"), identity));
  ASSERT_EQ(::flock(fd.get(), LOCK_EX), 0);
  EXPECT_TRUE(is_locked(*read_file("/proc/locks"), identity));
  fd.reset();
  EXPECT_FALSE(is_locked(*read_file("/proc/locks"), identity));
}

}  // namespace ctl_file_lock_test
}  // namespace merino::ctl
