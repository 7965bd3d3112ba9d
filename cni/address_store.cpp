#include "cni/address_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

namespace merino::cni {
namespace {

// An address file appears under its name with its content in it: it is written here and then linked. There is one such file at most,
// because the lock is held.
constexpr const char* kTemporary = ".reserving";
constexpr size_t kMaxAddressFile = 4096;

// Not write_file_atomic(): host-local's directory is not synced to disk, a pod does not outlive the machine.
Status write_file(const std::string& path, const std::string& content) {
  const Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (!fd) return fail_errno(errno, "create {}", path);
  const ssize_t written = ::write(fd.get(), content.data(), content.size());
  if (written < 0) return fail_errno(errno, "write {}", path);
  if (static_cast<size_t>(written) != content.size()) return fail_errno(ENOSPC, "write {}", path);
  return ok();
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return "";
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

AttachmentId parse_owner(std::string_view content) {
  const std::string_view text = trimmed(content);
  const size_t line_break = text.find("\r\n");
  if (line_break == std::string_view::npos) return {std::string(text), ""};
  return {std::string(text.substr(0, line_break)), std::string(text.substr(line_break + 2))};
}

std::string path_of(const AddressDirectory& where) { return where.data_dir + "/" + where.network; }

bool are_one_file(const std::string& path, const std::string& other) {
  struct stat first {};
  struct stat second {};
  return ::stat(path.c_str(), &first) == 0 && ::stat(other.c_str(), &second) == 0 && first.st_dev == second.st_dev &&
         first.st_ino == second.st_ino;
}

}  // namespace

Result<AddressStore> AddressStore::lock_directory(const AddressDirectory& where) {
  std::string directory = path_of(where);
  FileLock lock = TRY(FileLock::acquire(directory + "/lock"));
  return AddressStore(std::move(directory), std::move(lock), BootNotes(where.data_dir, where.network, where.boot_id_path));
}

Result<AddressStore> AddressStore::create(const AddressDirectory& where) {
  TRY(make_directories(path_of(where)));
  return lock_directory(where);
}

Result<std::optional<AddressStore>> AddressStore::open(const AddressDirectory& where) {
  const std::string directory = path_of(where);
  struct stat status {};
  if (::stat(directory.c_str(), &status) != 0) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    return fail_errno(errno, "look at {}", directory);
  }
  return TRY(lock_directory(where));
}

Result<std::vector<AddressStore::Allocation>> AddressStore::allocations() const {
  std::vector<Allocation> found;
  for (const std::string& name : TRY(list_directory(directory_))) {
    const auto address = IpAddress::parse(name);
    if (!address) continue;
    auto content = read_file(file(name), kMaxAddressFile);
    if (content) found.push_back({*address, parse_owner(*content)});
    // It is taken, whoever has it. What is no such file belongs to nobody.
    if (!content && content.error().kind == ErrorKind::invalid) found.push_back({*address, {}});
    if (!content && content.error().kind == ErrorKind::system) found.push_back({*address, {}, std::move(content.error())});
  }
  return found;
}

Status AddressStore::reserve(const IpAddress& address, const AttachmentId& owner) {
  const std::string temporary = file(kTemporary);
  const std::string path = file(address.to_string());
  TRY(sweep());
  if (auto written = write_file(temporary, owner.container_id + "\r\n" + owner.ifname); !written) {
    ::unlink(temporary.c_str());
    return written;
  }
  const int link_errno = ::link(temporary.c_str(), path.c_str()) == 0 ? 0 : errno;
  ::unlink(temporary.c_str());
  if (link_errno == EEXIST) return fail(ErrorKind::exists, "address {} is taken, see {}", address.to_string(), path);
  if (link_errno != 0) return fail_errno(link_errno, "create {}", path);
  // Noted after it is there and forgotten before it goes: a crash leaves no note behind.
  notes_.add(path, address, owner);
  return ok();
}

Status AddressStore::release(const IpAddress& address) {
  const std::string path = file(address.to_string());
  const auto content = read_file(path, kMaxAddressFile);
  TRY(notes_.remove(address, content ? std::optional(parse_owner(*content)) : std::nullopt));
  return remove_file(path);
}

void AddressStore::release_earlier_boots() {
  notes_.take_earlier([this](const BootNotes::Note& note) {
    const std::string path = file(note.address.to_string());
    if (!are_one_file(path, note.path)) return;
    const auto content = read_file(path, kMaxAddressFile);
    // Empty: the machine went down before what was in it came to the disk.
    if (content && (content->empty() || BootNotes::owner_text(parse_owner(*content)) == note.owner)) (void)remove_file(path);
  });
}

Status AddressStore::sweep() { return remove_file(file(kTemporary)); }

std::optional<IpAddress> AddressStore::last_reserved(size_t range_set) const {
  // A missing or broken file costs the round robin's place, no more.
  const auto content = read_file(file(fmt::format("last_reserved_ip.{}", range_set)), kMaxAddressFile);
  if (!content) return std::nullopt;
  const auto address = IpAddress::parse(trimmed(*content));
  if (!address) return std::nullopt;
  return *address;
}

Status AddressStore::set_last_reserved(size_t range_set, const IpAddress& address) {
  return write_file(file(fmt::format("last_reserved_ip.{}", range_set)), address.to_string());
}

}  // namespace merino::cni
