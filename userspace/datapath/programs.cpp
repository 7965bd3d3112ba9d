#include "datapath/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <set>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "datapath/abi_version.h"
#include "datapath/built_in.h"
#include "datapath/kernel.h"
#include "datapath/pinned_maps.h"
#include "datapath/pins.h"
#include "datapath/pod_table.h"
#include "merino.skel.h"

namespace merino {

namespace {

// A struct with hidden padding does not compare by its bytes.
static_assert(std::has_unique_object_representations_v<merino_config> && sizeof(merino_config) == 128);

constexpr std::array kPrograms = {Program::from_pod, Program::from_wire, Program::from_tunnel, Program::from_host};
constexpr std::array kMaps = {"pods", "peers", "nodes", "network", "counters", "drops", "trace", "trace_filter"};
constexpr const char* kBpffs = "/sys/fs/bpf";

struct SkeletonCloser {
  void operator()(merino_bpf* skeleton) const { merino_bpf__destroy(skeleton); }
};
using Skeleton = std::unique_ptr<merino_bpf, SkeletonCloser>;

bpf_program* find(const merino_bpf& skeleton, Program program) {
  switch (program) {
    case Program::from_pod:
      return skeleton.progs.from_pod;
    case Program::from_wire:
      return skeleton.progs.from_wire;
    case Program::from_tunnel:
      return skeleton.progs.from_tunnel;
    case Program::from_host:
      return skeleton.progs.from_host;
    case Program::wire_xdp:
      break;
  }
  return nullptr;
}

Status write_abi_version(int network_fd) {
  const uint32_t zero = 0;
  merino_network value{};
  if (bpf_map_lookup_elem(network_fd, &zero, &value) != 0) return fail_errno(errno, "read map network");
  if (value.abi_version == MERINO_ABI_VERSION) return ok();
  value.abi_version = MERINO_ABI_VERSION;
  if (bpf_map_update_elem(network_fd, &zero, &value, BPF_ANY) != 0) return fail_errno(errno, "write the ABI version into map network");
  return ok();
}

// Replaces the pin atomically: bpffs can rename. Names with dots are reserved there.
Status pin_program(const bpf_program* program, const std::string& name) {
  const std::string path = pins::program(name);
  const std::string fresh = pins::program("new_" + name);
  TRY(remove_file(fresh));
  if (bpf_obj_pin(bpf_program__fd(program), fresh.c_str()) != 0) return fail_errno(errno, "pin program {}", fresh);
  if (::rename(fresh.c_str(), path.c_str()) != 0) return fail_errno(errno, "rename program pin {} to {}", fresh, path);
  return ok();
}

Result<Skeleton> open_skeleton() {
  Skeleton skeleton(merino_bpf__open());
  if (!skeleton) return fail_errno(errno, "open the built-in BPF object: {}", LibbpfLog::tail());
  return skeleton;
}

}  // namespace

const char* program_name(Program program) {
  switch (program) {
    case Program::from_pod:
      return "from_pod";
    case Program::from_wire:
      return "from_wire";
    case Program::from_tunnel:
      return "from_tunnel";
    case Program::from_host:
      return "from_host";
    case Program::wire_xdp:
      return "wire_xdp";
  }
  return "?";
}

Status ensure_bpffs() {
  struct statfs fs {};
  if (::statfs(kBpffs, &fs) != 0) {
    return with_remedy(fail_errno(errno, "look at {}", kBpffs), "the kernel needs CONFIG_BPF_SYSCALL, and /sys must be mounted");
  }
  if (fs.f_type != BPF_FS_MAGIC && ::mount("bpf", kBpffs, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700") != 0) {
    return with_remedy(fail_errno(errno, "mount bpffs at {}", kBpffs), "mount it before merinod starts: mount -t bpf bpf /sys/fs/bpf");
  }
  TRY(make_directories(pins::kRoot, 0700));
  TRY(make_directories(pins::kPrograms, 0700));
  return make_directories(pins::kLinks, 0700);
}

Status remove_pins() {
  std::error_code error;
  std::filesystem::remove_all(pins::kRoot, error);
  if (error) return fail_errno(error.value(), "remove {}", pins::kRoot);
  return ok();
}

Result<std::optional<merino_config>> loaded_config() {
  uint32_t map_id = 0;
  std::set<uint32_t> all_ids;
  for (const Program program : kPrograms) {
    const std::string path = pins::program(program_name(program));
    const Fd fd(bpf_obj_get(path.c_str()));
    if (!fd) {
      if (errno == ENOENT) return std::nullopt;
      return fail_errno(errno, "open program {}", path);
    }
    const std::vector<uint32_t> ids = TRY(used_maps(fd.get(), path));
    const uint32_t id = config_map_id(ids, sizeof(merino_config));
    if (id == 0 || (map_id != 0 && id != map_id)) return std::nullopt;
    map_id = id;
    all_ids.insert(ids.begin(), ids.end());
  }
  if (!TRY(pins_show(kMaps, all_ids))) return std::nullopt;
  const Fd map(bpf_map_get_fd_by_id(map_id));
  if (!map) return fail_errno(errno, "open the programs' configuration, map id {}", map_id);
  merino_config config{};
  const uint32_t zero = 0;
  if (bpf_map_lookup_elem(map.get(), &zero, &config) != 0) return fail_errno(errno, "read the programs' configuration");
  return config;
}

uint64_t program_id() {
  static const uint64_t id = [] {
    size_t size = 0;
    const void* bytes = merino_bpf__elf_bytes(&size);
    return object_id({static_cast<const unsigned char*>(bytes), size});
  }();
  return id;
}

Status load_programs(merino_config config) {
  TRY(ensure_bpffs());
  if (TRY(pinned_abi_version()) > MERINO_ABI_VERSION) return check_abi_version();
  TRY(check_kernel());
  const LibbpfLog log;
  const Skeleton skeleton = TRY(open_skeleton());
  const MapPins map_pins = TRY(choose_map_pins(*skeleton->obj));
  TRY(name_map_pins(*skeleton->obj, map_pins));
  config.program_id = program_id();
  if (getrandom(&config.flow_seed, sizeof config.flow_seed, 0) != sizeof config.flow_seed) return fail_errno(errno, "get random bytes");
  std::memcpy(&skeleton->rodata_config->merino_config, &config, sizeof(config));
  if (const int error = merino_bpf__load(skeleton.get()); error != 0) {
    if (error == -EPERM)
      return with_remedy(fail_errno(EPERM, "load the BPF programs"), "merinod needs CAP_BPF and CAP_NET_ADMIN (or root)");
    return with_remedy(fail_errno(-error, "load the BPF programs: {}", LibbpfLog::tail()),
                       "this kernel refuses them: merino needs Linux 6.1 or later with BTF");
  }
  TRY(write_abi_version(bpf_map__fd(skeleton->maps.network)));
  // The plugin finds maps and programs that belong together.
  const FileLock lock = TRY(attachments_lock());
  if (map_pins == MapPins::renewed) TRY(replace_maps(*skeleton->obj));
  for (const Program program : kPrograms) TRY(pin_program(find(*skeleton, program), program_name(program)));
  return ok();
}

}  // namespace merino
