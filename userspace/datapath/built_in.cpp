#include "datapath/built_in.h"

#include <bpf/bpf.h>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <string_view>

#include "base/fd.h"
#include "datapath/pins.h"

namespace merino {

namespace {

constexpr std::string_view kConfigMap = ".rodata.config";

std::string& log_text() {
  thread_local std::string collected;
  return collected;
}

__attribute__((format(printf, 2, 0))) int collect(libbpf_print_level level, const char* format, va_list args) {
  if (level != LIBBPF_WARN) return 0;
  // The verifier's log is one message, of up to 16 MiB.
  va_list again;
  va_copy(again, args);
  const int length = vsnprintf(nullptr, 0, format, again);
  va_end(again);
  if (length <= 0) return length;
  std::string line(static_cast<size_t>(length) + 1, '\0');
  vsnprintf(line.data(), line.size(), format, args);
  line.pop_back();
  log_text() += line;
  return length;
}

}  // namespace

LibbpfLog::LibbpfLog() : previous_(libbpf_set_print(&collect)) { log_text().clear(); }

std::string LibbpfLog::tail() {
  constexpr size_t kEnough = 2000;
  const std::string& all = log_text();
  return all.size() <= kEnough ? all : "…" + all.substr(all.size() - kEnough);
}

uint64_t object_id(std::span<const unsigned char> elf) {
  // FNV-1a, 64 bits.
  uint64_t hash = 0xcbf29ce484222325U;
  for (const unsigned char byte : elf) hash = (hash ^ byte) * 0x100000001b3U;
  return hash;
}

Result<std::vector<uint32_t>> used_maps(int program_fd, const std::string& path) {
  std::vector<uint32_t> ids(16);
  bpf_prog_info info{};
  info.nr_map_ids = static_cast<uint32_t>(ids.size());
  info.map_ids = reinterpret_cast<uintptr_t>(ids.data());
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(program_fd, &info, &size) != 0) return fail_errno(errno, "ask the kernel about program {}", path);
  ids.resize(std::min<size_t>(ids.size(), info.nr_map_ids));
  return ids;
}

uint32_t config_map_id(const std::vector<uint32_t>& ids, size_t size) {
  for (const uint32_t id : ids) {
    const Fd map(bpf_map_get_fd_by_id(id));
    bpf_map_info info{};
    uint32_t info_size = sizeof(info);
    if (!map || bpf_obj_get_info_by_fd(map.get(), &info, &info_size) != 0) continue;
    if (kConfigMap == info.name && info.value_size == size) return id;
  }
  return 0;
}

Result<bool> pins_show(std::span<const char* const> names, const std::set<uint32_t>& ids) {
  for (const char* name : names) {
    const std::string path = pins::map(name);
    const Fd fd(bpf_obj_get(path.c_str()));
    if (!fd && errno == ENOENT) return false;
    bpf_map_info info{};
    uint32_t size = sizeof(info);
    if (!fd || bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return fail_errno(errno, "open map {}", path);
    if (!ids.contains(info.id)) return false;
  }
  return true;
}

}  // namespace merino
