#include "datapath/programs.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/magic.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/file.h"
#include "datapath/kernel.h"
#include "datapath/map.h"
#include "datapath/pins.h"
#include "merino.skel.h"

namespace merino {

namespace {

// A struct with hidden padding does not compare by its bytes.
static_assert(std::has_unique_object_representations_v<merino_config> && sizeof(merino_config) == 128);

constexpr std::array kPrograms = {Program::from_pod, Program::from_wire, Program::from_tunnel, Program::from_host};
constexpr std::array kMaps = {"pods", "peers", "nodes", "network", "counters", "drops", "trace", "trace_filter"};
constexpr std::string_view kConfigMap = ".rodata.config";
constexpr const char* kBpffs = "/sys/fs/bpf";

struct SkeletonCloser {
  void operator()(merino_bpf* skeleton) const { merino_bpf__destroy(skeleton); }
};
using Skeleton = std::unique_ptr<merino_bpf, SkeletonCloser>;

// libbpf explains itself on a log callback only: what it says during a load becomes part of the error.
class LibbpfLog {
 public:
  LibbpfLog() {
    text().clear();
    previous_ = libbpf_set_print(&collect);
  }
  ~LibbpfLog() { libbpf_set_print(previous_); }
  LibbpfLog(const LibbpfLog&) = delete;
  LibbpfLog& operator=(const LibbpfLog&) = delete;

  // The end of the log: the verifier's verdict stands there.
  [[nodiscard]] static std::string tail() {
    constexpr size_t kEnough = 2000;
    const std::string& all = text();
    return all.size() <= kEnough ? all : "…" + all.substr(all.size() - kEnough);
  }

 private:
  static std::string& text() {
    thread_local std::string collected;
    return collected;
  }
  __attribute__((format(printf, 2, 0))) static int collect(libbpf_print_level level, const char* format, va_list args) {
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
    text() += line;
    return length;
  }
  libbpf_print_fn_t previous_;
};

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
  }
  return nullptr;
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

// The one with the frozen configuration; 0 if there is none.
uint32_t config_map_id(const std::vector<uint32_t>& ids) {
  for (const uint32_t id : ids) {
    const Fd map(bpf_map_get_fd_by_id(id));
    bpf_map_info info{};
    uint32_t size = sizeof(info);
    if (!map || bpf_obj_get_info_by_fd(map.get(), &info, &size) != 0) continue;
    if (kConfigMap == info.name && info.value_size == sizeof(merino_config)) return id;
  }
  return 0;
}

// Do the pins show the maps that the programs use? They do not when somebody removed a pin, or a load ended halfway after that.
Result<bool> pins_show(const std::set<uint32_t>& ids) {
  for (const char* name : kMaps) {
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

// The pinned maps must be of this ABI; a node without maps is fine.
Status check_abi() {
  const std::string path = pins::map("network");
  const Fd fd(bpf_obj_get(path.c_str()));
  if (!fd) return errno == ENOENT ? ok() : Status(fail_errno(errno, "open map {}", path));
  bpf_map_info info{};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd.get(), &info, &size) != 0) return fail_errno(errno, "ask the kernel about map {}", path);
  std::vector<char> value(info.value_size + sizeof(uint32_t));
  const uint32_t zero = 0;
  if (bpf_map_lookup_elem(fd.get(), &zero, value.data()) != 0) return fail_errno(errno, "read map {}", path);
  uint32_t version = 0;
  std::memcpy(&version, value.data(), sizeof(version));
  if (version == MERINO_ABI_VERSION || version == 0) return ok();
  return with_remedy(
      fail(ErrorKind::unsupported, "the maps below {} have ABI version {}, this merinod knows version {}", pins::kRoot, version,
           MERINO_ABI_VERSION),
      version > MERINO_ABI_VERSION
          ? "install the newer merinod again, or remove the pins and restart: pods go through the kernel's slow path meanwhile"
          : "remove the pins and restart merinod: pods go through the kernel's slow path meanwhile");
}

Status write_abi_version() {
  auto network = TRY(Map<uint32_t, merino_network>::open("network"));
  merino_network value{};
  TRY(network.lookup(0, value));
  if (value.abi_version == MERINO_ABI_VERSION) return ok();
  value.abi_version = MERINO_ABI_VERSION;
  return network.update(0, value);
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
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton->obj) {
    const std::string name = bpf_map__name(map);
    if (name.starts_with(".")) continue;
    if (const int error = bpf_map__set_pin_path(map, pins::map(name).c_str()); error != 0)
      return fail_errno(-error, "name the pin of map {}", name);
  }
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
    const uint32_t id = config_map_id(ids);
    if (id == 0 || (map_id != 0 && id != map_id)) return std::nullopt;
    map_id = id;
    all_ids.insert(ids.begin(), ids.end());
  }
  if (!TRY(pins_show(all_ids))) return std::nullopt;
  const Fd map(bpf_map_get_fd_by_id(map_id));
  if (!map) return fail_errno(errno, "open the programs' configuration, map id {}", map_id);
  merino_config config{};
  const uint32_t zero = 0;
  if (bpf_map_lookup_elem(map.get(), &zero, &config) != 0) return fail_errno(errno, "read the programs' configuration");
  return config;
}

uint64_t program_id() {
  // FNV-1a, 64 bits.
  static const uint64_t id = [] {
    size_t size = 0;
    const auto* bytes = static_cast<const unsigned char*>(merino_bpf__elf_bytes(&size));
    uint64_t hash = 0xcbf29ce484222325U;
    for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 0x100000001b3U;
    return hash;
  }();
  return id;
}

Status load_programs(merino_config config) {
  TRY(ensure_bpffs());
  TRY(check_abi());
  TRY(check_kernel());
  const LibbpfLog log;
  const Skeleton skeleton = TRY(open_skeleton());
  config.program_id = program_id();
  if (getrandom(&config.flow_seed, sizeof config.flow_seed, 0) != sizeof config.flow_seed) return fail_errno(errno, "get random bytes");
  std::memcpy(&skeleton->rodata_config->merino_config, &config, sizeof(config));
  if (const int error = merino_bpf__load(skeleton.get()); error != 0) {
    if (error == -EPERM)
      return with_remedy(fail_errno(EPERM, "load the BPF programs"), "merinod needs CAP_BPF and CAP_NET_ADMIN (or root)");
    return with_remedy(fail_errno(-error, "load the BPF programs: {}", LibbpfLog::tail()),
                       "this kernel refuses them: merino needs Linux 6.1 or later with BTF");
  }
  TRY(write_abi_version());
  for (const Program program : kPrograms) TRY(pin_program(find(*skeleton, program), program_name(program)));
  return ok();
}

}  // namespace merino
