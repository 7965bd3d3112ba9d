#include "datapath/pinned_maps.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <string>
#include <system_error>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "datapath/abi_version.h"
#include "datapath/pins.h"

namespace merino {

namespace {

constexpr const char* kVersioned = "network";

std::string pin_of(const std::string& map, MapPins pins) { return pins::map(pins == MapPins::renewed ? "new_" + map : map); }

// The pinned ones: not the compiler's own (".rodata.config").
std::vector<bpf_map*> maps_of(const bpf_object& object) {
  std::vector<bpf_map*> maps;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, &object) {
    if (bpf_map__name(map)[0] != '.') maps.push_back(map);
  }
  return maps;
}

// What libbpf compares before it uses a map on. A pin that is not there fits.
Result<bool> fits(const bpf_map* map) {
  const std::string path = pin_of(bpf_map__name(map), MapPins::kept);
  const Fd fd(bpf_obj_get(path.c_str()));
  if (!fd && errno == ENOENT) return true;
  bpf_map_info info{};
  uint32_t size = sizeof(info);
  if (!fd || bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return fail_errno(errno, "open map {}", path);
  return info.type == bpf_map__type(map) && info.key_size == bpf_map__key_size(map) && info.value_size == bpf_map__value_size(map) &&
         info.max_entries == bpf_map__max_entries(map) && info.map_flags == bpf_map__map_flags(map);
}

Status put_in_place(const std::string& map) {
  const std::string fresh = pin_of(map, MapPins::renewed);
  const std::string path = pin_of(map, MapPins::kept);
  if (::rename(fresh.c_str(), path.c_str()) != 0) return fail_errno(errno, "rename map pin {} to {}", fresh, path);
  return ok();
}

Status remove_other_pins(const std::set<std::string>& known) {
  for (const std::string& name : TRY(list_directory(pins::kRoot))) {
    std::error_code unknown;
    const std::string path = pins::map(name);
    if (std::filesystem::is_regular_file(path, unknown) && !known.contains(name)) TRY(remove_file(path));
  }
  return ok();
}

}  // namespace

Result<MapPins> choose_map_pins(const bpf_object& object) {
  const uint32_t version = TRY(pinned_abi_version());
  if (version != 0 && version != MERINO_ABI_VERSION) return MapPins::renewed;
  for (const bpf_map* map : maps_of(object)) {
    if (!TRY(fits(map))) return MapPins::renewed;
  }
  return MapPins::kept;
}

Status name_map_pins(const bpf_object& object, MapPins pins) {
  for (bpf_map* map : maps_of(object)) {
    const std::string path = pin_of(bpf_map__name(map), pins);
    // One that was left behind is used for nothing.
    if (pins == MapPins::renewed) TRY(remove_file(path));
    if (const int error = bpf_map__set_pin_path(map, path.c_str()); error != 0)
      return fail_errno(-error, "name the pin of map {}", bpf_map__name(map));
  }
  return ok();
}

Status replace_maps(const bpf_object& object) {
  std::set<std::string> known;
  for (const bpf_map* map : maps_of(object)) known.insert(bpf_map__name(map));
  for (const std::string& map : known) {
    if (map != kVersioned) TRY(put_in_place(map));
  }
  TRY(put_in_place(kVersioned));
  return remove_other_pins(known);
}

}  // namespace merino
