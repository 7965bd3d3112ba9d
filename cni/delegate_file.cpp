#include "cni/delegate_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd.h"
#include "base/file.h"

namespace merino::cni {
namespace {

constexpr size_t kMaxDelegateFile = 1U << 20U;

std::string path_of(const std::string& data_dir, const std::string& container_id) { return data_dir + "/" + container_id; }

}  // namespace

Status write_delegate_file(const std::string& data_dir, const std::string& container_id, const std::string& text) {
  TRY(make_directories(data_dir, 0700));
  const std::string path = path_of(data_dir, container_id);
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd || ::fchmod(fd.get(), 0600) != 0) return fail_errno(errno, "create {}", path);
  const ssize_t written = ::write(fd.get(), text.data(), text.size());
  if (written < 0) return fail_errno(errno, "write {}", path);
  if (static_cast<size_t>(written) != text.size()) return fail_errno(ENOSPC, "write {}", path);
  return ok();
}

Result<std::optional<std::string>> read_delegate_file(const std::string& data_dir, const std::string& container_id) {
  auto text = read_file(path_of(data_dir, container_id), kMaxDelegateFile);
  if (text) return *std::move(text);
  if (text.error().kind == ErrorKind::not_found) return std::nullopt;
  return tl::unexpected(std::move(text.error()));
}

Status remove_delegate_file(const std::string& data_dir, const std::string& container_id) {
  return remove_file(path_of(data_dir, container_id));
}

Result<std::vector<std::string>> list_delegate_files(const std::string& data_dir) { return list_directory(data_dir); }

}  // namespace merino::cni
