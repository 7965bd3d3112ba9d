#include "base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>

namespace merino {
namespace {

tl::unexpected<Error> open_failed(int sys_errno, const std::string& path) {
  auto error = fail_errno(sys_errno, "open {}", path);
  if (sys_errno == ENOENT) error.value().kind = ErrorKind::not_found;
  return error;
}

struct DirectoryCloser {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Status write_all(int fd, const std::string& content, const std::string& path) {
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t n = ::write(fd, content.data() + done, content.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "write {}", path);
    done += static_cast<size_t>(n);
  }
  return ok();
}

// The rename is on disk only after the directory is. Some filesystems cannot sync a directory and say EINVAL.
Status sync_directory(const std::string& directory) {
  const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail_errno(errno, "open directory {}", directory);
  if (::fsync(fd.get()) != 0 && errno != EINVAL) return fail_errno(errno, "fsync directory {}", directory);
  return ok();
}

// Errors name the file that was to be: the temporary one is gone when they are read.
Status fill_and_rename(Fd fd, const std::string& temporary, const std::string& path, const std::string& content, mode_t mode) {
  TRY(write_all(fd.get(), content, path));
  if (::fchmod(fd.get(), mode) != 0) return fail_errno(errno, "chmod {}", path);
  if (::fsync(fd.get()) != 0) return fail_errno(errno, "fsync {}", path);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno(errno, "rename {} to {}", temporary, path);
  return ok();
}

}  // namespace

Result<std::string> read_file(const std::string& path, size_t max_bytes) {
  // O_NONBLOCK, because opening a FIFO would wait for a writer; it changes nothing for regular files.
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return open_failed(errno, path);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return fail_errno(errno, "stat {}", path);
  if (!S_ISREG(status.st_mode)) return fail(ErrorKind::invalid, "{} is not a regular file", path);

  std::string content;
  std::array<char, 16384> buffer{};
  for (;;) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(errno, "read {}", path);
    if (n == 0) return content;
    if (content.size() + static_cast<size_t>(n) > max_bytes) {
      return fail(ErrorKind::invalid, "{} is larger than the {} bytes that are read", path, max_bytes);
    }
    content.append(buffer.data(), static_cast<size_t>(n));
  }
}

Status write_file_atomic(const std::string& path, const std::string& content, mode_t mode) {
  const std::string directory = directory_of(path);
  // A leading dot: programs that list the directory (libcni, lease watchers, host-local) pass it over.
  std::string temporary = directory + "/." + path.substr(path.rfind('/') + 1) + ".XXXXXX";
  Fd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) return fail_errno(errno, "create a temporary file for {}", path);
  if (auto filled = fill_and_rename(std::move(fd), temporary, path, content, mode); !filled) {
    ::unlink(temporary.c_str());
    return filled;
  }
  return sync_directory(directory);
}

Result<std::vector<std::string>> list_directory(const std::string& path) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, DirectoryCloser> directory(::opendir(path.c_str()));
  if (!directory && errno == ENOENT) return names;
  if (!directory) return fail_errno(errno, "open {}", path);
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(directory.get());
    if (entry == nullptr && errno != 0) return fail_errno(errno, "list {}", path);
    if (entry == nullptr) return names;
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
}

Status make_directories(const std::string& path, mode_t mode) {
  for (size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    const std::string part = path.substr(0, end);
    if (::mkdir(part.c_str(), mode) == 0) {
      if (::chmod(part.c_str(), mode) != 0) return fail_errno(errno, "chmod {}", part);
    } else {
      const int mkdir_errno = errno;
      struct stat status {};
      const bool is_directory = ::stat(part.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
      if (!is_directory) return fail_errno(mkdir_errno == EEXIST ? ENOTDIR : mkdir_errno, "make directory {}", part);
    }
    if (end == std::string::npos) return ok();
  }
}

Status remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return fail_errno(errno, "remove {}", path);
  return ok();
}

Result<FileLock> FileLock::acquire(const std::string& path) {
  Fd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd) return open_failed(errno, path);
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return fail_errno(errno, "lock {}", path);
  }
  return FileLock(std::move(fd));
}

}  // namespace merino
