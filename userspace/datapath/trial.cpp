#include "datapath/trial.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstring>
#include <string>

#include "base/fd.h"
#include "datapath/pins.h"
#include "merino.skel.h"

namespace merino {

namespace {

constexpr std::array kTried = {Program::from_pod, Program::from_wire, Program::from_host};
constexpr size_t kLargestFrame = 2048;

// The instructions' hash, map numbers aside.
using Tag = std::array<uint8_t, BPF_TAG_SIZE>;
Result<Tag> tag_of(int fd, const std::string& name) {
  bpf_prog_info info{};
  uint32_t size = sizeof(info);
  if (bpf_obj_get_info_by_fd(fd, &info, &size) != 0) return fail_errno(errno, "ask the kernel about program {}", name);
  Tag tag{};
  std::copy(std::begin(info.tag), std::end(info.tag), tag.begin());
  return tag;
}

int quiet(libbpf_print_level, const char*, va_list) { return 0; }

class Quiet {
 public:
  Quiet() : previous_(libbpf_set_print(quiet)) {}
  ~Quiet() { libbpf_set_print(previous_); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  libbpf_print_fn_t previous_;
};

}  // namespace

struct Trial::Object {
  merino_bpf* skeleton = nullptr;

  Object() = default;
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  ~Object() { merino_bpf__destroy(skeleton); }

  [[nodiscard]] bpf_program* find(Program program) const { return bpf_object__find_program_by_name(skeleton->obj, program_name(program)); }
  Status share_maps() const;
  [[nodiscard]] Result<std::vector<uint64_t>> counted() const;
};

// All but the counters are those of the pins.
Status Trial::Object::share_maps() const {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, skeleton->obj) {
    const std::string name = bpf_map__name(map);
    if (name.starts_with(".") || name == "counters") continue;
    const std::string path = pins::map(name);
    const Fd pinned(bpf_obj_get(path.c_str()));
    if (!pinned) return fail_errno(errno, "open map {}", path);
    if (const int error = bpf_map__reuse_fd(map, pinned.get()); error != 0) return fail_errno(-error, "use map {}", path);
  }
  return ok();
}

Result<std::vector<uint64_t>> Trial::Object::counted() const {
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return fail_errno(-cpus, "count the CPUs");
  std::vector<merino_counter> per_cpu(static_cast<size_t>(cpus));
  std::vector<uint64_t> packets;
  for (uint32_t reason = 0; reason < MERINO_REASON_COUNT; ++reason) {
    if (bpf_map_lookup_elem(bpf_map__fd(skeleton->maps.counters), &reason, per_cpu.data()) != 0)
      return fail_errno(errno, "read the trial's counters");
    uint64_t sum = 0;
    for (const merino_counter& one : per_cpu) sum += one.packets;
    packets.push_back(sum);
  }
  return packets;
}

Trial::Trial(std::unique_ptr<Object> object, const merino_config& config, Likeness likeness)
    : object_(std::move(object)), config_(config), likeness_(likeness) {}
Trial::Trial(Trial&&) noexcept = default;
Trial& Trial::operator=(Trial&&) noexcept = default;
Trial::~Trial() = default;

Result<Trial> Trial::open() {
  const auto config = TRY(loaded_config());
  if (!config) {
    return with_remedy(fail(ErrorKind::not_found, "the BPF programs are not loaded: nothing is pinned below {}", pins::kRoot),
                       "start merinod on this node");
  }
  const Quiet no_log;
  auto object = std::make_unique<Object>();
  object->skeleton = merino_bpf__open();
  if (object->skeleton == nullptr) return fail_errno(errno, "open the built-in BPF object");
  TRY(object->share_maps());
  bpf_program__set_autoload(object->find(Program::from_tunnel), false);
  std::memcpy(&object->skeleton->rodata_config->merino_config, &*config, sizeof(*config));
  if (const int error = merino_bpf__load(object->skeleton); error != 0) return fail_errno(-error, "load the programs for a trial");
  Likeness likeness = Likeness::same;
  for (const Program program : kTried) {
    const std::string path = pins::program(program_name(program));
    const Fd pinned(bpf_obj_get(path.c_str()));
    if (!pinned) return fail_errno(errno, "open program {}", path);
    if (TRY(tag_of(pinned.get(), path)) != TRY(tag_of(bpf_program__fd(object->find(program)), program_name(program))))
      likeness = Likeness::another_build;
  }
  return Trial(std::move(object), *config, likeness);
}

Result<TrialResult> Trial::run(const TrialPacket& packet) const {
  if (std::find(kTried.begin(), kTried.end(), packet.program) == kTried.end())
    return fail(ErrorKind::invalid, "program {} cannot be tried", program_name(packet.program));
  const std::vector<uint64_t> before = TRY(object_->counted());
  TrialResult result;
  result.frame.resize(kLargestFrame);
  __sk_buff context{};
  context.ifindex = packet.ifindex;
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = packet.frame.data();
  options.data_size_in = static_cast<uint32_t>(packet.frame.size());
  options.data_out = result.frame.data();
  options.data_size_out = static_cast<uint32_t>(result.frame.size());
  options.ctx_in = &context;
  options.ctx_size_in = sizeof(context);
  if (const int error = bpf_prog_test_run_opts(bpf_program__fd(object_->find(packet.program)), &options); error != 0)
    return fail_errno(-error, "try a packet with {} on interface {}", program_name(packet.program), packet.ifindex);
  result.frame.resize(options.data_size_out);
  const std::vector<uint64_t> after = TRY(object_->counted());
  for (const ReasonInfo& info : reasons()) {
    if (after[info.reason] != before[info.reason]) result.reason = &info;
  }
  if (result.reason == nullptr) return fail(ErrorKind::system, "{} counted nothing", program_name(packet.program));
  return result;
}

}  // namespace merino
