#include "datapath/witness.h"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>

#include "base/fd.h"
#include "base/file.h"
#include "datapath/convert.h"
#include "datapath/map.h"
#include "datapath/pins.h"

namespace merino {

namespace {

static_assert(sizeof(merino_sighting) == 24 && sizeof(merino_drop) == 128 && sizeof(merino_trace_event) == 256);
static_assert(sizeof(merino_trace_filter) == 64 && MERINO_REASON_COUNT <= 64);

constexpr const char* kTraceLock = "/run/merino/trace.lock";
// How long the programs go on telling after the last word of who watches.
constexpr std::chrono::seconds kGrace{5};

std::chrono::nanoseconds monotonic_now() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

Program program_of(uint8_t number) {
  switch (number) {
    case MERINO_FROM_WIRE:
      return Program::from_wire;
    case MERINO_FROM_TUNNEL:
      return Program::from_tunnel;
    case MERINO_FROM_HOST:
      return Program::from_host;
    case MERINO_WIRE_XDP:
      return Program::wire_xdp;
    default:
      return Program::from_pod;
  }
}

// nullopt: of a reason that this build does not know.
std::optional<Sighting> sighting_of(const merino_sighting& seen, const uint8_t* frame, size_t room) {
  if (seen.reason >= reasons().size()) return std::nullopt;
  Sighting out;
  out.reason = &reasons()[seen.reason];
  out.program = program_of(seen.program);
  out.ifindex = seen.ifindex;
  const auto age = monotonic_now() - std::chrono::nanoseconds(seen.time_ns);
  out.time = std::chrono::system_clock::now() - std::chrono::duration_cast<std::chrono::system_clock::duration>(age);
  out.length = seen.len;
  out.frame.assign(frame, frame + std::min<size_t>(seen.captured, room));
  return out;
}

Result<Fd> open_pin(const std::string& name) {
  const std::string path = pins::map(name);
  Fd fd(bpf_obj_get(path.c_str()));
  if (fd) return fd;
  if (errno == ENOENT) return with_remedy(fail(ErrorKind::not_found, "map {} does not exist", path), "start merinod, it makes the maps");
  return fail_errno(errno, "open map {}", path);
}

}  // namespace

Result<std::vector<Sighting>> read_drops() {
  const Fd fd = TRY(open_pin("drops"));
  const int cpus = libbpf_num_possible_cpus();
  if (cpus <= 0) return fail_errno(-cpus, "count the CPUs");
  std::vector<merino_drop> per_cpu(static_cast<size_t>(cpus));
  std::vector<Sighting> drops;
  for (const ReasonInfo& info : reasons()) {
    if (info.action != Action::drop) continue;
    const uint32_t key = info.reason;
    if (bpf_map_lookup_elem(fd.get(), &key, per_cpu.data()) != 0) return fail_errno(errno, "read map {}", pins::map("drops"));
    const auto newest = std::max_element(per_cpu.begin(), per_cpu.end(),
                                         [](const merino_drop& a, const merino_drop& b) { return a.seen.time_ns < b.seen.time_ns; });
    if (newest->seen.time_ns == 0) continue;
    if (auto seen = sighting_of(newest->seen, newest->frame, sizeof(newest->frame))) drops.push_back(*std::move(seen));
  }
  return drops;
}

struct Trace::State {
  Fd lock;
  Map<uint32_t, merino_trace_filter> filter_map;
  merino_trace_filter filter{};
  Fd ring_map;
  ring_buffer* ring = nullptr;
  std::vector<Sighting> pending;

  State(Fd held, Map<uint32_t, merino_trace_filter> filters, Fd events)
      : lock(std::move(held)), filter_map(std::move(filters)), ring_map(std::move(events)) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    (void)filter_map.update(0, merino_trace_filter{});
    ring_buffer__free(ring);
  }

  // `lost` is the programs' to count: it is read before the entry is written.
  Status go_on() {
    merino_trace_filter now{};
    TRY(filter_map.lookup(0, now));
    filter.lost = now.lost;
    filter.until_ns = static_cast<uint64_t>((monotonic_now() + kGrace).count());
    return filter_map.update(0, filter);
  }

  static int take(void* context, void* data, size_t size) {
    if (size < sizeof(merino_trace_event)) return 0;
    const auto* event = static_cast<const merino_trace_event*>(data);
    if (auto seen = sighting_of(event->seen, event->frame, sizeof(event->frame)))
      static_cast<State*>(context)->pending.push_back(*std::move(seen));
    return 0;
  }
};

Trace::Trace(std::unique_ptr<State> state) : state_(std::move(state)) {}
Trace::Trace(Trace&&) noexcept = default;
Trace& Trace::operator=(Trace&&) noexcept = default;
Trace::~Trace() = default;

Result<Trace> Trace::start(const TraceFilter& filter) {
  if (filter.addresses.size() > 2) return fail(ErrorKind::invalid, "a trace is for two addresses at most");
  TRY(make_directories("/run/merino"));
  Fd lock(::open(kTraceLock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644));
  if (!lock) return fail_errno(errno, "open {}", kTraceLock);
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0)
    return with_remedy(fail(ErrorKind::exists, "another trace runs on this node"), "end it first: there is one ring buffer");
  auto filters = TRY((Map<uint32_t, merino_trace_filter>::open("trace_filter")));
  Fd events = TRY(open_pin("trace"));
  auto state = std::make_unique<State>(std::move(lock), std::move(filters), std::move(events));
  state->ring = ring_buffer__new(state->ring_map.get(), &State::take, state.get(), nullptr);
  if (state->ring == nullptr) return fail_errno(errno, "map the ring buffer {}", pins::map("trace"));
  // What an earlier trace left behind is not this one's.
  ring_buffer__consume(state->ring);
  state->pending.clear();
  for (size_t i = 0; i < filter.addresses.size(); ++i) state->filter.addresses[i] = to_abi(filter.addresses[i]);
  state->filter.port = htons(filter.port.value_or(0));
  state->filter.protocol = filter.protocol.value_or(0);
  for (const merino_reason reason : filter.reasons) state->filter.reasons |= 1ULL << static_cast<unsigned>(reason);
  TRY(state->filter_map.update(0, merino_trace_filter{}));
  TRY(state->go_on());
  return Trace(std::move(state));
}

Result<std::vector<Sighting>> Trace::next(std::chrono::milliseconds patience) {
  TRY(state_->go_on());
  const int got = ring_buffer__poll(state_->ring, static_cast<int>(patience.count()));
  if (got < 0 && got != -EINTR) return fail_errno(-got, "read the ring buffer");
  return std::exchange(state_->pending, {});
}

Result<uint64_t> Trace::lost() const {
  merino_trace_filter now{};
  TRY(state_->filter_map.lookup(0, now));
  return now.lost;
}

}  // namespace merino
