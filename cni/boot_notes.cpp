#include "cni/boot_notes.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

#include "base/file.h"

namespace merino::cni {
namespace {

constexpr size_t kBootIdSize = 36;  // 01234567-89ab-cdef-0123-456789abcdef

// It becomes a directory's name.
bool is_boot_id(const std::string& text) {
  return text.size() == kBootIdSize &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || c == '-'; });
}

std::string read_boot_id(const std::string& path) {
  auto text = read_file(path, 2 * kBootIdSize);
  if (!text) return "";
  if (text->ends_with('\n')) text->pop_back();
  return is_boot_id(*text) ? *text : "";
}

std::vector<std::filesystem::path> entries_of(const std::string& directory) {
  std::vector<std::filesystem::path> paths;
  std::error_code ignored;
  for (std::filesystem::directory_iterator entry(directory, ignored), end; entry != end; entry.increment(ignored)) {
    paths.push_back(entry->path());
  }
  return paths;
}

}  // namespace

BootNotes::BootNotes(const std::string& data_dir, const std::string& network, const std::string& boot_id_path)
    : directory_(data_dir + "/.merino/" + network), boot_id_(read_boot_id(boot_id_path)) {}

std::string BootNotes::owner_text(const AttachmentId& owner) { return owner.container_id + ":" + owner.ifname; }

std::string BootNotes::path(const IpAddress& address, const AttachmentId& owner) const {
  return directory_ + "/" + boot_id_ + "/" + address.to_string() + "@" + owner_text(owner);
}

void BootNotes::add(const std::string& reservation, const IpAddress& address, const AttachmentId& owner) const {
  if (boot_id_.empty()) return;
  const std::string note = path(address, owner);
  // One of the same name is of a reservation that another program took away.
  ::unlink(note.c_str());
  if (::link(reservation.c_str(), note.c_str()) == 0 || errno != ENOENT) return;
  if (make_directories(directory_ + "/" + boot_id_, 0700)) (void)::link(reservation.c_str(), note.c_str());
}

Status BootNotes::remove(const IpAddress& address, const std::optional<AttachmentId>& owner) const {
  // The owner is what stands in a file that anybody may have written.
  if (!boot_id_.empty() && owner && owner_text(*owner).find('/') == std::string::npos) return remove_file(path(address, *owner));
  const std::string prefix = address.to_string() + "@";
  for (const auto& boot : entries_of(directory_)) {
    for (const auto& note : entries_of(boot)) {
      std::error_code unknown;
      if (note.filename().native().starts_with(prefix) && std::filesystem::is_regular_file(note, unknown)) TRY(remove_file(note));
    }
  }
  return ok();
}

void BootNotes::take_earlier(const std::function<void(const Note&)>& use) const {
  if (boot_id_.empty()) return;
  for (const auto& boot : entries_of(directory_)) {
    if (boot.filename() == boot_id_) continue;
    for (const auto& link : entries_of(boot)) {
      const std::string name = link.filename();
      const size_t at = name.find('@');
      const auto address = IpAddress::parse(name.substr(0, at));
      if (address && at != std::string::npos) use({link, *address, name.substr(at + 1)});
    }
    std::error_code ignored;
    std::filesystem::remove_all(boot, ignored);
  }
}

}  // namespace merino::cni
