#include "datapath/counters.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <string>

#include "base/fd.h"
#include "datapath/pins.h"

namespace merino {

namespace {

static_assert(MERINO_REASON_COUNT <= MERINO_MAX_REASONS);

#define ACTION_FAST Action::fast
#define ACTION_STACK Action::stack
#define ACTION_DROP Action::drop

// "NO_ROUTE" is "no_route" to people and metrics.
const char* lower_case(const char* name) {
  auto* text = new std::string(name);  // lives as long as the table
  std::transform(text->begin(), text->end(), text->begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text->c_str();
}

}  // namespace

const char* action_name(Action action) {
  switch (action) {
    case Action::fast:
      return "fast";
    case Action::stack:
      return "stack";
    case Action::drop:
      return "drop";
  }
  return "?";
}

const std::vector<ReasonInfo>& reasons() {
  static const auto* table = new std::vector<ReasonInfo>{
#define X(name, action, meaning, remedy) {MERINO_##name, lower_case(#name), ACTION_##action, meaning, remedy},
      MERINO_REASONS(X)
#undef X
  };
  return *table;
}

Result<std::vector<Counter>> read_counters() {
  const std::string path = pins::map("counters");
  const Fd fd(bpf_obj_get(path.c_str()));
  if (!fd) {
    if (errno == ENOENT) return with_remedy(fail(ErrorKind::not_found, "map {} does not exist", path), "start merinod, it makes the maps");
    return fail_errno(errno, "open map {}", path);
  }
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return fail_errno(-cpus, "count the CPUs");
  std::vector<merino_counter> per_cpu(static_cast<size_t>(cpus));
  std::vector<Counter> out;
  for (const ReasonInfo& info : reasons()) {
    const uint32_t key = info.reason;
    if (bpf_map_lookup_elem(fd.get(), &key, per_cpu.data()) != 0) return fail_errno(errno, "read map {}", path);
    Counter sum{.reason = &info, .packets = 0, .bytes = 0};
    for (const merino_counter& one : per_cpu) {
      sum.packets += one.packets;
      sum.bytes += one.bytes;
    }
    out.push_back(sum);
  }
  return out;
}

}  // namespace merino
