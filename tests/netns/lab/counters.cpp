#include "lab/counters.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/core.h>

#include <vector>

#include "base/fd.h"

namespace merino::lab {

namespace {

enum class Action { FAST, STACK, DROP };

struct Reason {
  const char* name;
  Action action;
};

constexpr std::array<Reason, MERINO_REASON_COUNT> kReasons = {{
#define X(name, action, meaning, remedy) {#name, Action::action},
    MERINO_REASONS(X)
#undef X
}};

uint64_t total(const std::array<uint64_t, MERINO_REASON_COUNT>& packets, Action action) {
  uint64_t sum = 0;
  for (size_t i = 0; i < kReasons.size(); i++) sum += kReasons[i].action == action ? packets[i] : 0;
  return sum;
}

}  // namespace

Counters Counters::read(const std::string& path) {
  Counters counters;
  const Fd map(::bpf_obj_get(path.c_str()));
  std::vector<merino_counter> per_cpu(static_cast<size_t>(::libbpf_num_possible_cpus()));
  for (uint32_t reason = 0; map && reason < MERINO_REASON_COUNT; reason++) {
    if (::bpf_map_lookup_elem(map.get(), &reason, per_cpu.data()) != 0) continue;
    for (const auto& cpu : per_cpu) counters.packets_[reason] += cpu.packets;
  }
  return counters;
}

uint64_t Counters::sum(std::initializer_list<merino_reason> reasons) const {
  uint64_t sum = 0;
  for (const auto reason : reasons) sum += packets_[reason];
  return sum;
}

uint64_t Counters::fast_for_pods() const {
  return total(packets_, Action::FAST) - packets_[MERINO_HOST_ENCAP] - packets_[MERINO_HOST_DIRECT] - packets_[MERINO_ARP_REPLY];
}

uint64_t Counters::dropped() const { return total(packets_, Action::DROP); }

Counters Counters::operator-(const Counters& before) const {
  Counters difference;
  for (size_t i = 0; i < packets_.size(); i++) difference.packets_[i] = packets_[i] - before.packets_[i];
  return difference;
}

std::string Counters::to_string() const {
  std::string text;
  for (size_t i = 0; i < packets_.size(); i++) {
    if (packets_[i] != 0) text += fmt::format("  {:<16} {}\n", kReasons[i].name, packets_[i]);
  }
  return text;
}

size_t count_entries(const std::string& path) {
  const Fd map(::bpf_obj_get(path.c_str()));
  if (!map) return 0;
  std::array<char, 64> key{};
  size_t count = 0;
  for (int more = ::bpf_map_get_next_key(map.get(), nullptr, key.data()); more == 0; count++) {
    more = ::bpf_map_get_next_key(map.get(), key.data(), key.data());
  }
  return count;
}

}  // namespace merino::lab
