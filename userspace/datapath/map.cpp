#include "datapath/map.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>

#include "datapath/abi_version.h"
#include "datapath/pins.h"

namespace merino::detail {

Result<Fd> open_map(const std::string& pin_name, uint32_t key_size, uint32_t value_size) {
  TRY(check_abi_version());
  const std::string path = pins::map(pin_name);
  Fd fd(bpf_obj_get(path.c_str()));
  if (!fd) {
    if (errno == ENOENT) return with_remedy(fail(ErrorKind::not_found, "map {} does not exist", path), "start merinod, it makes the maps");
    return fail_errno(errno, "open map {}", path);
  }
  bpf_map_info info{};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return fail_errno(errno, "ask the kernel about map {}", path);
  if (info.key_size != key_size || info.value_size != value_size) {
    return with_remedy(fail(ErrorKind::invalid, "map {} has keys of {} and values of {} bytes, this version has {} and {}", path,
                            info.key_size, info.value_size, key_size, value_size),
                       "it was made by another version of merino: use that version's tools, or restart this version's merinod");
  }
  return fd;
}

Result<uint32_t> map_id(int fd, const std::string& name) {
  bpf_map_info info{};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) return fail_errno(errno, "ask the kernel about map {}", name);
  return info.id;
}

Result<bool> map_lookup(int fd, const std::string& name, const void* key, void* value) {
  if (bpf_map_lookup_elem(fd, key, value) == 0) return true;
  if (errno == ENOENT) return false;
  return fail_errno(errno, "look up in map {}", name);
}

Status map_update(int fd, const std::string& name, const void* key, const void* value) {
  if (bpf_map_update_elem(fd, key, value, BPF_ANY) == 0) return ok();
  if (errno == E2BIG) return fail(ErrorKind::exhausted, "map {} is full", name);
  return fail_errno(errno, "write to map {}", name);
}

Result<size_t> map_update_all(int fd, const std::string& name, const void* keys, const void* values, uint32_t key_size, uint32_t value_size,
                              size_t count) {
  auto batch = static_cast<uint32_t>(count);
  if (count == 0 || bpf_map_update_batch(fd, keys, values, &batch, nullptr) == 0) return count;
  // A full map refuses new keys and takes other values of those that it has: from the refused one on it is asked one by one.
  // Of any other error it would not be sure how far it got.
  size_t written = errno == E2BIG ? std::min<size_t>(batch, count) : 0;
  for (size_t i = written; i < count; i++) {
    const Status updated =
        map_update(fd, name, static_cast<const char*>(keys) + i * key_size, static_cast<const char*>(values) + i * value_size);
    if (updated) {
      written++;
    } else if (updated.error().kind != ErrorKind::exhausted) {
      return tl::unexpected(updated.error());
    }
  }
  return written;
}

Status map_remove(int fd, const std::string& name, const void* key) {
  if (bpf_map_delete_elem(fd, key) == 0 || errno == ENOENT) return ok();
  return fail_errno(errno, "delete from map {}", name);
}

Status map_for_each(int fd, const std::string& name, uint32_t key_size, uint32_t value_size, void (*visit)(void*, const void*, const void*),
                    void* context) {
  // A batch must hold the fullest bucket of the hash, or the kernel answers ENOSPC: then try again with more room.
  constexpr uint32_t kMaxBatch = 1U << 20U;
  uint32_t batch = 1024;
  std::vector<char> keys;
  std::vector<char> values;
  uint64_t position = 0;
  bool first = true;
  while (true) {
    keys.resize(size_t{batch} * key_size);
    values.resize(size_t{batch} * value_size);
    uint32_t count = batch;
    uint64_t next = 0;
    const int failed = bpf_map_lookup_batch(fd, first ? nullptr : &position, &next, keys.data(), values.data(), &count, nullptr);
    if (failed != 0 && errno == ENOSPC && batch < kMaxBatch) {
      batch *= 2;
      continue;
    }
    if (failed != 0 && errno != ENOENT) return fail_errno(errno, "read map {}", name);
    const bool last = failed != 0;
    for (uint32_t i = 0; i < count; i++) visit(context, &keys[size_t{i} * key_size], &values[size_t{i} * value_size]);
    if (last) return ok();
    position = next;
    first = false;
  }
}

}  // namespace merino::detail
