// A pinned BPF map with the types of abi.h: sizes are compared once, when it is opened.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace merino {

namespace detail {
// Opens the pin and compares sizes; not_found if there is no pin, unsupported if the maps are another version's, invalid if this one is
// another map.
Result<Fd> open_map(const std::string& pin_name, uint32_t key_size, uint32_t value_size);
Result<uint32_t> map_id(int fd, const std::string& name);
Result<bool> map_lookup(int fd, const std::string& name, const void* key, void* value);
Status map_update(int fd, const std::string& name, const void* key, const void* value);
// As many of `count` as the map has room for, in one system call if it has room for all; their number. Keys and values lie in arrays.
Result<size_t> map_update_all(int fd, const std::string& name, const void* keys, const void* values, uint32_t key_size, uint32_t value_size,
                              size_t count);
Status map_remove(int fd, const std::string& name, const void* key);
// Calls visit(key, value) for each entry (bpf_map_lookup_batch, a few system calls for any size).
Status map_for_each(int fd, const std::string& name, uint32_t key_size, uint32_t value_size, void (*visit)(void*, const void*, const void*),
                    void* context);
}  // namespace detail

template <class Key, class Value>
class Map {
  static_assert(std::has_unique_object_representations_v<Key>, "a key with padding does not compare by its bytes");

 public:
  // `name` as below pins::kRoot: "pods".
  static Result<Map> open(const std::string& name) {
    Fd fd = TRY(detail::open_map(name, sizeof(Key), sizeof(Value)));
    return Map(std::move(fd), name);
  }
  // Takes over a map that is not pinned (tests).
  static Map adopt(Fd fd, std::string name) { return Map(std::move(fd), std::move(name)); }

  // The kernel's number of the map: a pin may be of another one later.
  [[nodiscard]] Result<uint32_t> id() const { return detail::map_id(fd_.get(), name_); }
  // False: no such entry.
  Result<bool> lookup(const Key& key, Value& value) const { return detail::map_lookup(fd_.get(), name_, &key, &value); }
  // Inserts or replaces. exhausted if the map is full.
  Status update(const Key& key, const Value& value) { return detail::map_update(fd_.get(), name_, &key, &value); }
  // Inserts or replaces as many as there is room for; how many that were.
  Result<size_t> update_all(const std::vector<std::pair<Key, Value>>& entries) {
    std::vector<Key> keys;
    std::vector<Value> values;
    keys.reserve(entries.size());
    values.reserve(entries.size());
    for (const auto& [key, value] : entries) {
      keys.push_back(key);
      values.push_back(value);
    }
    return detail::map_update_all(fd_.get(), name_, keys.data(), values.data(), sizeof(Key), sizeof(Value), entries.size());
  }
  // An entry that is gone already is success.
  Status remove(const Key& key) { return detail::map_remove(fd_.get(), name_, &key); }
  [[nodiscard]] Result<std::vector<std::pair<Key, Value>>> entries() const {
    std::vector<std::pair<Key, Value>> out;
    TRY(detail::map_for_each(
        fd_.get(), name_, sizeof(Key), sizeof(Value),
        [](void* context, const void* key, const void* value) {
          static_cast<std::vector<std::pair<Key, Value>>*>(context)->emplace_back(*static_cast<const Key*>(key),
                                                                                  *static_cast<const Value*>(value));
        },
        &out));
    return out;
  }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  Map(Fd fd, std::string name) : fd_(std::move(fd)), name_(std::move(name)) {}
  Fd fd_;
  std::string name_;
};

}  // namespace merino
