#include "netlink/sysctl.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/fd.h"

namespace merino {
namespace {

// Without space at the ends, any space between as one: the kernel separates by tabs what is written with blanks.
std::string squeezed(std::string_view text) {
  std::string result;
  bool gap = false;
  for (const char c : text) {
    const bool space = c == ' ' || c == '\t' || c == '\n';
    if (!space && gap && !result.empty()) result += ' ';
    if (!space) result += c;
    gap = space;
  }
  return result;
}

Result<std::string> path_of(const std::string& key) {
  std::string path = key;
  if (key.find('/') == std::string::npos) std::ranges::replace(path, '.', '/');
  const std::string inside = "/" + path + "/";
  const bool leaves = inside.find("//") != std::string::npos || inside.find("/../") != std::string::npos;
  if (leaves) return fail(ErrorKind::invalid, "\"{}\" is not the name of a kernel setting", key);
  return "/proc/sys/" + path;
}

// In a container /proc/sys is read-only, and the host's /proc/sys/net may be mounted here. Both show the reader's network namespace.
std::string mounted_path_of(const std::string& path) { return "/host" + path; }

Result<std::string> read_setting(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) {
    const int code = errno;
    auto error = fail_errno(code, "read {}", path);
    if (code == ENOENT) error.value().kind = ErrorKind::not_found;
    return error;
  }
  std::array<char, 4096> text{};
  const ssize_t length = read(file.get(), text.data(), text.size());
  if (length < 0) return fail_errno(errno, "read {}", path);
  return std::string(text.data(), static_cast<size_t>(length));
}

}  // namespace

Result<bool> ensure_sysctl(const std::string& key, const std::string& value) {
  const std::string path = TRY(path_of(key));
  if (squeezed(TRY(read_setting(path))) == squeezed(value)) return false;
  Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file && errno == EROFS) {
    file.reset(::open(mounted_path_of(path).c_str(), O_WRONLY | O_CLOEXEC));
    if (!file) errno = EROFS;
  }
  if (!file || write(file.get(), value.data(), value.size()) < 0) {
    const int code = errno;
    auto error = fail_errno(code, "write \"{}\" to {}", value, path);
    if (code == EINVAL) error.value().kind = ErrorKind::invalid;
    if (code == EROFS || code == EACCES) return with_remedy(std::move(error), "set it on the host, or run with /proc/sys writable");
    return error;
  }
  return true;
}

Result<std::string> read_sysctl(const std::string& key) {
  const std::string path = TRY(path_of(key));
  return squeezed(TRY(read_setting(path)));
}

}  // namespace merino
