// What the programs tell of single packets: the last that was dropped, and those that somebody watches.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <ctime>
#include <thread>

#include "bpf/cases.h"
#include "bpf/fixture.h"

namespace merino::test::witness_test {
namespace {

uint64_t monotonic_ns() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000U + static_cast<uint64_t>(now.tv_nsec);
}

merino_addr addr(const std::string& text) {
  merino_addr out{};
  if (text.find(':') != std::string::npos) {
    ::inet_pton(AF_INET6, text.c_str(), out.bytes);
  } else {
    out.bytes[10] = out.bytes[11] = 0xff;
    ::inet_pton(AF_INET, text.c_str(), out.bytes + 12);
  }
  return out;
}

struct Event {
  merino_sighting seen{};
  Frame frame;
};

class Witness : public BpfTest {
 protected:
  ~Witness() override { ring_buffer__free(ring_); }

  // Nothing if no packet was dropped for it.
  std::optional<Event> last_drop(merino_reason reason) {
    std::vector<merino_drop> per_cpu(static_cast<size_t>(libbpf_num_possible_cpus()));
    const uint32_t key = reason;
    EXPECT_EQ(bpf_map_lookup_elem(programs.map_fd("drops"), &key, per_cpu.data()), 0);
    const merino_drop* newest = nullptr;
    for (const merino_drop& drop : per_cpu) {
      if (drop.seen.time_ns != 0 && (newest == nullptr || drop.seen.time_ns > newest->seen.time_ns)) newest = &drop;
    }
    if (newest == nullptr) return std::nullopt;
    return Event{newest->seen, Frame(newest->frame, newest->frame + newest->seen.captured)};
  }

  static merino_trace_filter everything() {
    merino_trace_filter filter{};
    filter.until_ns = monotonic_ns() + 3'600'000'000'000U;
    return filter;
  }
  void watch(const merino_trace_filter& filter) {
    const uint32_t zero = 0;
    ASSERT_EQ(bpf_map_update_elem(programs.map_fd("trace_filter"), &zero, &filter, BPF_ANY), 0);
  }
  merino_trace_filter filter() {
    merino_trace_filter out{};
    const uint32_t zero = 0;
    EXPECT_EQ(bpf_map_lookup_elem(programs.map_fd("trace_filter"), &zero, &out), 0);
    return out;
  }

  // What was told since the last call.
  std::vector<Event> told() {
    if (ring_ == nullptr) ring_ = ring_buffer__new(programs.map_fd("trace"), &take, this, nullptr);
    EXPECT_NE(ring_, nullptr);
    ring_buffer__consume(ring_);
    return std::exchange(events_, {});
  }
  // Is this packet told of under the filter?
  bool tells(const merino_trace_filter& wanted, Program program, const Frame& frame, const Metadata& metadata = {}) {
    watch(wanted);
    programs.run(program, frame, metadata);
    return !told().empty();
  }

 private:
  static int take(void* self, void* data, size_t size) {
    EXPECT_EQ(size, sizeof(merino_trace_event));
    const auto* event = static_cast<const merino_trace_event*>(data);
    static_cast<Witness*>(self)->events_.push_back({event->seen, Frame(event->frame, event->frame + event->seen.captured)});
    return 0;
  }

  ring_buffer* ring_ = nullptr;
  std::vector<Event> events_;
};

Frame head(const Frame& frame, size_t size) { return slice(frame, 0, std::min(size, frame.size())); }

TEST_F(Witness, TheLastDropOfEachReason) {
  EXPECT_FALSE(last_drop(MERINO_SPOOFED));
  const Frame first = from_pod_a(udp(kPodB, kPodAtPeer2, 200));
  programs.run(Program::from_pod, first);
  const auto seen = last_drop(MERINO_SPOOFED);
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->frame, head(first, MERINO_DROP_BYTES));
  EXPECT_EQ(seen->seen.len, first.size());
  EXPECT_EQ(seen->seen.program, MERINO_FROM_POD);
  EXPECT_EQ(seen->seen.reason, MERINO_SPOOFED);
  EXPECT_EQ(seen->seen.ifindex, topology.ifindex("vetha"));
  EXPECT_LE(seen->seen.time_ns, monotonic_ns());
  std::this_thread::sleep_for(std::chrono::milliseconds(3));
  const Frame second = from_pod_a(udp(kOutside, kPodAtPeer2));
  programs.run(Program::from_pod, second);
  // On another CPU perhaps: the newest of all counts.
  EXPECT_EQ(last_drop(MERINO_SPOOFED)->frame, head(second, MERINO_DROP_BYTES));
  EXPECT_FALSE(last_drop(MERINO_FORGED)) << "each reason has its own";
}

TEST_F(Witness, WhatIsNotDroppedIsNotRemembered) {
  programs.run(Program::from_pod, from_pod_a(udp(kPodA, kPodAtPeer2)));
  programs.run(Program::from_pod, from_pod_a(ping(kPodA, kPodAtPeer2)));
  for (int reason = 0; reason < MERINO_REASON_COUNT; ++reason) EXPECT_FALSE(last_drop(static_cast<merino_reason>(reason)));
}

TEST_F(Witness, NobodyWatchesNothingIsTold) {
  programs.run(Program::from_pod, from_pod_a(udp(kPodA, kPodAtPeer2)));
  EXPECT_TRUE(told().empty());
}

TEST_F(Witness, APacketIsToldAsItLeft) {
  watch(everything());
  const Outcome outcome = programs.run(Program::from_pod, from_pod_a(udp(kPodA, kPodAtPeer2, 300)));
  const auto events = told();
  ASSERT_EQ(events.size(), 1U);
  EXPECT_EQ(events[0].seen.reason, MERINO_ENCAP);
  EXPECT_EQ(events[0].seen.len, outcome.frame.size()) << "with its tunnel's headers";
  EXPECT_EQ(events[0].frame, head(outcome.frame, MERINO_TRACE_BYTES));
  programs.run(Program::from_wire, tunnelled(udp(kPodAtPeer2, kPodA)));
  const auto arrived = told();
  ASSERT_EQ(arrived.size(), 1U);
  EXPECT_EQ(arrived[0].seen.reason, MERINO_DECAP);
  EXPECT_EQ(arrived[0].seen.program, MERINO_FROM_WIRE);
}

TEST_F(Witness, FilteredByAddressOfPacketAndTunnel) {
  const auto by = [](const std::string& first, const std::string& second = "") {
    merino_trace_filter filter = everything();
    filter.addresses[0] = addr(first);
    if (!second.empty()) filter.addresses[1] = addr(second);
    return filter;
  };
  const Frame out = from_pod_a(udp(kPodA, kPodAtPeer2));
  const Frame in = tunnelled(udp(kPodAtPeer2, kPodA));
  EXPECT_TRUE(tells(by(kPodA), Program::from_pod, out));
  EXPECT_TRUE(tells(by(kPodAtPeer2), Program::from_pod, out));
  EXPECT_FALSE(tells(by(kPodB), Program::from_pod, out));
  EXPECT_TRUE(tells(by(kPodB, kPodA), Program::from_pod, out)) << "either one";
  EXPECT_TRUE(tells(by(kPodA), Program::from_wire, in)) << "inside of the tunnel";
  EXPECT_TRUE(tells(by(kPeer2), Program::from_wire, in)) << "the tunnel's sender";
  EXPECT_FALSE(tells(by(kPodB), Program::from_wire, in));
  EXPECT_TRUE(tells(by(kPodA6), Program::from_pod, from_pod_a(udp<V6>(kPodA6, kPodB6))));
  EXPECT_FALSE(tells(by(kPodAtPeer2V6), Program::from_pod, from_pod_a(udp<V6>(kPodA6, kPodB6))));
}

TEST_F(Witness, FilteredByPortProtocolAndReason) {
  const Frame out = from_pod_a(udp(kPodA, kPodAtPeer2));
  merino_trace_filter filter = everything();
  filter.port = htons(kServerPort);
  EXPECT_TRUE(tells(filter, Program::from_pod, out));
  filter.port = htons(kClientPort);
  EXPECT_TRUE(tells(filter, Program::from_pod, out));
  filter.port = htons(81);
  EXPECT_FALSE(tells(filter, Program::from_pod, out));
  filter = everything();
  filter.protocol = IPPROTO_UDP;
  EXPECT_TRUE(tells(filter, Program::from_pod, out));
  filter.protocol = IPPROTO_TCP;
  EXPECT_FALSE(tells(filter, Program::from_pod, out));
  filter = everything();
  filter.reasons = 1ULL << MERINO_ENCAP;
  EXPECT_TRUE(tells(filter, Program::from_pod, out));
  filter.reasons = 1ULL << MERINO_SPOOFED;
  EXPECT_FALSE(tells(filter, Program::from_pod, out));
  EXPECT_TRUE(tells(filter, Program::from_pod, from_pod_a(udp(kPodB, kPodAtPeer2))));
}

TEST_F(Witness, AWatcherWhoIsGoneIsForgotten) {
  merino_trace_filter filter_then = everything();
  filter_then.until_ns = monotonic_ns() - 1;
  EXPECT_FALSE(tells(filter_then, Program::from_pod, from_pod_a(udp(kPodA, kPodAtPeer2))));
  EXPECT_EQ(filter().until_ns, 0U) << "the next packet does not even look at the clock";
}

TEST_F(Witness, WhatHasNoRoomIsCounted) {
  watch(everything());
  const Frame frame = from_pod_a(udp(kPodA, kPodB));
  constexpr size_t kMore = MERINO_TRACE_RING / sizeof(merino_trace_event) + 100;
  for (size_t i = 0; i < kMore; ++i) programs.run_uncounted(Program::from_pod, frame);
  const size_t heard = told().size();
  EXPECT_LT(heard, kMore);
  EXPECT_EQ(heard + filter().lost, kMore);
}

// Every case of the programs again: who is watched takes the same way.
TEST_F(Witness, WatchingChangesNothing) {
  merino_trace_filter filter = everything();
  filter.port = htons(kServerPort);
  watch(filter);
  for (const Program program : {Program::from_pod, Program::from_wire, Program::from_tunnel, Program::from_host}) {
    for (const Case& c : cases_of(program)) {
      if (c.setting != Setting::plain || c.reason == MERINO_TRANSLATED) continue;
      SCOPED_TRACE(c.name);
      expect(program, c.frame, c.metadata, c.reason);
    }
  }
}

}  // namespace
}  // namespace merino::test::witness_test
