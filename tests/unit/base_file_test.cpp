#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "support/temp_dir.h"

namespace merino {
namespace base_file_test {

using testing::ElementsAre;
using testing::HasSubstr;

mode_t mode_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_mode & 07777U : 0;
}

std::vector<std::string> entries(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) names.push_back(entry.path().filename());
  return names;
}

// Sets the umask of the process for a test.
class Umask {
 public:
  explicit Umask(mode_t mask) : old_(::umask(mask)) {}
  ~Umask() { ::umask(old_); }
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;

 private:
  mode_t old_;
};

TEST(ReadFile, GivesTheWholeContent) {
  const test::TempDir directory;
  std::string content(100000, 'x');
  content[50000] = '\0';
  std::ofstream(directory.file("f"), std::ios::binary) << content;
  EXPECT_EQ(read_file(directory.file("f")).value(), content);
}

TEST(ReadFile, EmptyAndProcFilesWork) {
  const test::TempDir directory;
  std::ofstream(directory.file("empty")).flush();
  EXPECT_EQ(read_file(directory.file("empty")).value(), "");
  EXPECT_THAT(read_file("/proc/self/status").value(), HasSubstr("Pid:"));
}

TEST(ReadFile, LimitIsInclusive) {
  const test::TempDir directory;
  std::ofstream(directory.file("f")) << "12345";
  EXPECT_EQ(read_file(directory.file("f"), 5).value(), "12345");
  const auto over = read_file(directory.file("f"), 4);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().kind, ErrorKind::invalid);
}

TEST(ReadFile, MissingIsNotFoundAndNamed) {
  const test::TempDir directory;
  const auto missing = read_file(directory.file("no"));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  EXPECT_EQ(missing.error().sys_errno, ENOENT);
  EXPECT_THAT(missing.error().message(), HasSubstr(directory.file("no")));
}

TEST(ReadFile, DirectoriesAndFifosAreInvalid) {
  const test::TempDir directory;
  ASSERT_EQ(::mkfifo(directory.file("fifo").c_str(), 0600), 0);
  for (const std::string& path : {directory.path(), directory.file("fifo")}) {
    const auto result = read_file(path);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::invalid) << path;
  }
}

TEST(WriteFileAtomic, CreatesWithTheExactModeWhateverTheUmask) {
  const test::TempDir directory;
  const Umask umask(0077);
  ASSERT_TRUE(write_file_atomic(directory.file("f"), "content", 0644));
  EXPECT_EQ(mode_of(directory.file("f")), 0644U);
  ASSERT_TRUE(write_file_atomic(directory.file("secret"), "content", 0400));
  EXPECT_EQ(mode_of(directory.file("secret")), 0400U);
  EXPECT_EQ(read_file(directory.file("f")).value(), "content");
}

TEST(WriteFileAtomic, ReplacesContentAndModeAndLeavesNothingElse) {
  const test::TempDir directory;
  ASSERT_TRUE(write_file_atomic(directory.file("f"), std::string(100000, 'a'), 0600));
  ASSERT_TRUE(write_file_atomic(directory.file("f"), "short", 0644));
  EXPECT_EQ(read_file(directory.file("f")).value(), "short");
  EXPECT_EQ(mode_of(directory.file("f")), 0644U);
  EXPECT_THAT(entries(directory.path()), ElementsAre("f"));
}

TEST(WriteFileAtomic, FailureKeepsTheOldAndLeavesNoTemporary) {
  const test::TempDir directory;
  // A directory that is not empty cannot be replaced by a file: the rename fails, the last step that can.
  ASSERT_TRUE(make_directories(directory.file("target/inner")));
  const Status status = write_file_atomic(directory.file("target"), "content");
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message(), HasSubstr(directory.file("target")));
  EXPECT_THAT(entries(directory.path()), ElementsAre("target"));
  EXPECT_THAT(entries(directory.file("target")), ElementsAre("inner"));
}

TEST(WriteFileAtomic, MissingDirectoryIsAnErrorThatNamesThePath) {
  const test::TempDir directory;
  const Status status = write_file_atomic(directory.file("no/f"), "content");
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().sys_errno, ENOENT);
  EXPECT_THAT(status.error().message(), HasSubstr(directory.file("no/f")));
}

TEST(WriteFileAtomic, ReadersSeeOldOrNewNeverHalf) {
  const test::TempDir directory;
  const std::string path = directory.file("f");
  const std::string a(50000, 'a');
  const std::string b(70000, 'b');
  ASSERT_TRUE(write_file_atomic(path, a));
  std::atomic<bool> done = false;
  std::thread writer([&] {
    for (int i = 0; i < 50; ++i) {
      EXPECT_TRUE(write_file_atomic(path, i % 2 == 0 ? b : a));
    }
    done = true;
  });
  while (!done) {
    const std::string seen = read_file(path).value();
    EXPECT_TRUE(seen == a || seen == b) << seen.size();
  }
  writer.join();
}

TEST(MakeDirectories, MakesWhatIsMissingWithTheModeAndIsIdempotent) {
  const test::TempDir directory;
  const Umask umask(0077);
  ASSERT_TRUE(make_directories(directory.file("a/b//c/"), 0711));
  EXPECT_EQ(mode_of(directory.file("a")), 0711U);
  EXPECT_EQ(mode_of(directory.file("a/b/c")), 0711U);
  ASSERT_TRUE(make_directories(directory.file("a/b/c"), 0755));
  EXPECT_EQ(mode_of(directory.file("a/b/c")), 0711U);
  EXPECT_TRUE(make_directories("/"));
}

TEST(MakeDirectories, AFileInTheWayIsAnError) {
  const test::TempDir directory;
  std::ofstream(directory.file("f")) << "x";
  for (const std::string& path : {directory.file("f"), directory.file("f/below")}) {
    const Status status = make_directories(path);
    ASSERT_FALSE(status);
    EXPECT_EQ(status.error().sys_errno, ENOTDIR);
    EXPECT_THAT(status.error().message(), HasSubstr(directory.file("f")));
  }
  EXPECT_FALSE(make_directories(""));
}

TEST(RemoveFile, RemovesAndIsIdempotent) {
  const test::TempDir directory;
  std::ofstream(directory.file("f")) << "x";
  EXPECT_TRUE(remove_file(directory.file("f")));
  EXPECT_FALSE(std::filesystem::exists(directory.file("f")));
  EXPECT_TRUE(remove_file(directory.file("f")));
  EXPECT_FALSE(remove_file(directory.path()));
}

bool is_locked(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  return ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

TEST(FileLock, IsHeldUntilDestroyed) {
  const test::TempDir directory;
  const std::string path = directory.file("lock");
  {
    auto lock = FileLock::acquire(path);
    ASSERT_TRUE(lock);
    EXPECT_TRUE(is_locked(path));
    const FileLock moved = std::move(*lock);
    EXPECT_TRUE(is_locked(path));
  }
  EXPECT_FALSE(is_locked(path));
  EXPECT_TRUE(std::filesystem::exists(path));
}

// Two processes add to a counter file, each addition read, changed and written under the lock: none is lost.
TEST(FileLock, ExcludesAnotherProcess) {
  constexpr int kRounds = 200;
  const test::TempDir directory;
  const std::string counter = directory.file("counter");
  std::ofstream(counter) << 0;
  const auto add = [&] {
    for (int i = 0; i < kRounds; ++i) {
      const auto lock = FileLock::acquire(directory.file("lock"));
      if (!lock) return false;
      const int value = std::stoi(read_file(counter).value());
      std::ofstream(counter) << value + 1;
    }
    return true;
  };
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) ::_exit(add() ? 0 : 1);
  EXPECT_TRUE(add());
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(read_file(counter).value(), std::to_string(2 * kRounds));
}

TEST(FileLock, DiesWithItsProcess) {
  const test::TempDir directory;
  const std::string path = directory.file("lock");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto lock = FileLock::acquire(path);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  ASSERT_TRUE(std::filesystem::exists(path));
  EXPECT_FALSE(is_locked(path));
}

TEST(FileLock, MissingDirectoryIsNotFound) {
  const test::TempDir directory;
  const auto lock = FileLock::acquire(directory.file("no/lock"));
  ASSERT_FALSE(lock);
  EXPECT_EQ(lock.error().kind, ErrorKind::not_found);
}

TEST(ListDirectory, NamesWhatIsThere) {
  const test::TempDir dir;
  EXPECT_THAT(list_directory(dir.path()).value(), testing::IsEmpty());
  std::ofstream(dir.path() + "/a") << "x";
  std::ofstream(dir.path() + "/.b") << "x";
  std::filesystem::create_directory(dir.path() + "/c");
  EXPECT_THAT(list_directory(dir.path()).value(), testing::UnorderedElementsAre("a", ".b", "c"));
}

TEST(ListDirectory, IsEmptyIfMissingButNotIfBroken) {
  const test::TempDir dir;
  EXPECT_THAT(list_directory(dir.path() + "/missing").value(), testing::IsEmpty());
  std::ofstream(dir.path() + "/file") << "x";
  const auto names = list_directory(dir.path() + "/file");
  ASSERT_FALSE(names);
  EXPECT_EQ(names.error().sys_errno, ENOTDIR);
  EXPECT_THAT(names.error().message(), HasSubstr(dir.path() + "/file"));
}

}  // namespace base_file_test
}  // namespace merino
