// program_cost [RUNS]: nanoseconds that each BPF program takes for one packet of each kind, and its size, as JSON.
#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/bpf.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <string>

#include "base/address.h"
#include "base/fd.h"
#include "bpf/conntrack.h"
#include "bpf/frames.h"
#include "bpf/loaded_programs.h"
#include "bpf/loaded_wire_xdp.h"
#include "bpf/topology.h"
#include "datapath/convert.h"
#include "programs/stopwatch.h"

namespace merino::bench {

namespace {

using nlohmann::json;
using test::LoadedPrograms;
using test::Topology;

constexpr size_t kSmall = 64;
constexpr size_t kLarge = 1400;
constexpr uint16_t kTranslatedPort = 41000;
constexpr uint16_t kServicePort = 41001;

uint32_t number(const char* address) { return IpAddress::parse(address).value().v4(); }

// Flows that conntrack translates: of this node's pod to a pod of peer 2, masqueraded; and to a service whose backend is that pod.
void add_translated_flows(const Topology& topology) {
  using namespace test;
  add_connection(topology.node(), "udp", {kPodA, kTranslatedPort, kPodAtPeer2, kServerPort},
                 {kPodAtPeer2, kServerPort, kNode, kTranslatedPort});
  add_connection(topology.node(), "udp", {kPodA, kServicePort, "10.96.0.10", kServerPort}, {kPodAtPeer2, kServerPort, kPodA, kServicePort});
}

Tins::IP masqueraded() { return test::udp_ports(test::kPodA, test::kPodAtPeer2, kTranslatedPort, test::kServerPort); }
Tins::IP answer_of_service() { return test::udp_ports(test::kPodAtPeer2, test::kPodA, test::kServerPort, kServicePort); }

class Bench {
 public:
  explicit Bench(int runs) : runs_(runs), stopwatch_(runs) {}

  // What the program does with the packet must be what the case is about: `reason`.
  void measure(LoadedPrograms& programs, Program program, const std::string& what, merino_reason reason,
               const std::vector<Packet>& packets) {
    const auto before = programs.counters();
    const double cost = stopwatch_.measure(programs.fd(program), packets);
    for (const test::Count& count : programs.counted_since(before)) {
      if (count.reason != reason)
        throw std::runtime_error(fmt::format("{}, {}: counted as {}", test::name_of(program), what, test::name_of(count.reason)));
    }
    costs_.push_back({{"program", test::name_of(program)}, {"packet", what}, {"reason", test::name_of(reason)}, {"ns", std::round(cost)}});
  }

  // wire_xdp changes no packet, so the kernel runs it on the same one again and again.
  void measure_xdp(test::LoadedWireXdp& xdp, const std::string& what, merino_reason reason, const test::Frame& frame) {
    const test::Outcome outcome = xdp.run(frame);
    const bool is_right = reason == MERINO_REASON_COUNT ? outcome.verdict == XDP_PASS && outcome.counted.empty()
                                                        : outcome.verdict == XDP_DROP && outcome.reason() == reason;
    if (!is_right) throw std::runtime_error("wire_xdp, " + what + ": judged otherwise");
    const double cost = xdp_nanoseconds(xdp.fd(), frame) - xdp_nanoseconds(nothing_.get(), frame);
    costs_.push_back({{"program", "wire_xdp"}, {"packet", what}, {"reason", test::name_of(reason)}, {"ns", std::round(cost)}});
  }

  void sizes(const LoadedPrograms& programs) {
    for (const Program program : test::kPrograms) {
      const auto size = programs.size(program);
      sizes_.push_back({{"program", test::name_of(program)}, {"instructions", size.instructions}, {"verified", size.verified}});
    }
  }

  void print() const { std::puts(json{{"costs", costs_}, {"sizes", sizes_}}.dump(1).c_str()); }

 private:
  [[nodiscard]] static Fd load_nothing() {
    const bpf_insn program[] = {{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, XDP_PASS}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
    return Fd(bpf_prog_load(BPF_PROG_TYPE_XDP, "nothing", "GPL", program, std::size(program), nullptr));
  }

  [[nodiscard]] double xdp_nanoseconds(int program, const test::Frame& frame) const {
    constexpr int kRepeat = 1000;  // in one call, whose mean the kernel tells in whole nanoseconds
    std::vector<double> means;
    for (int run = 0; run < std::max(runs_ / 10, 5); run++) {
      LIBBPF_OPTS(bpf_test_run_opts, options);
      options.data_in = frame.data();
      options.data_size_in = static_cast<uint32_t>(frame.size());
      options.repeat = kRepeat;
      if (bpf_prog_test_run_opts(program, &options) != 0) throw std::runtime_error("run an XDP program");
      means.push_back(options.duration);
    }
    std::nth_element(means.begin(), means.begin() + static_cast<std::ptrdiff_t>(means.size() / 2), means.end());
    return means[means.size() / 2];
  }

  int runs_;
  Fd nothing_ = load_nothing();
  Stopwatch stopwatch_;
  json costs_ = json::array();
  json sizes_ = json::array();
};

std::vector<Packet> on(const char* interface, const test::Frame& frame, uint32_t gso_size = 0) {
  return {{frame, Topology::ifindex(interface), gso_size, nullptr}};
}

void measure_from_pod(Bench& bench, LoadedPrograms& programs) {
  using namespace test;
  const auto from_a = [](const Tins::IP& ip) { return on("vetha", from_pod_a(ip)); };
  const auto run = [&](const char* what, merino_reason reason, const std::vector<Packet>& packets) {
    bench.measure(programs, Program::from_pod, what, reason, packets);
  };
  run("to a pod of this node, 64 B", MERINO_LOCAL, from_a(udp_of(kPodA, kPodB, kSmall)));
  run("to a peer (vxlan), 64 B", MERINO_ENCAP, from_a(udp_of(kPodA, kPodAtPeer2, kSmall)));
  run("to a peer (vxlan), 1400 B", MERINO_ENCAP, from_a(tcp_of(kPodA, kPodAtPeer2, kLarge)));
  run("to a peer, translated: to the stack", MERINO_TRANSLATED, from_a(masqueraded()));
  run("out of the network: to the stack", MERINO_NO_ROUTE, from_a(udp_of(kPodA, kOutside, kSmall)));
  run("ICMP: to the stack", MERINO_PROTOCOL, from_a(ping(kPodA, kPodAtPeer2)));
  run("another pod's address: dropped", MERINO_SPOOFED, from_a(udp_of(kPodB, kPodAtPeer2, kSmall)));
}

void measure_from_wire(Bench& bench, LoadedPrograms& programs) {
  using namespace test;
  const auto wire = [](const Frame& frame, uint32_t gso_size = 0) { return on("uplink", frame, gso_size); };
  const auto run = [&](const char* what, merino_reason reason, const std::vector<Packet>& packets) {
    bench.measure(programs, Program::from_wire, what, reason, packets);
  };
  run("to a pod, 64 B", MERINO_DECAP, wire(tunnelled(udp_of(kPodAtPeer2, kPodA, kSmall))));
  run("to a pod, 1400 B", MERINO_DECAP, wire(tunnelled(tcp_of(kPodAtPeer2, kPodA, kLarge))));
  run("GRO aggregate: to the driver", MERINO_AGGREGATE, wire(tunnelled(tcp_of(kPodAtPeer2, kPodA, kLarge)), kLarge));
  run("translated: to the stack", MERINO_TRANSLATED, wire(tunnelled(answer_of_service())));
  run("not of the tunnel", MERINO_NOT_TUNNEL, wire(ethernet(kUplinkMac, kWireMac, udp_of(kPeer2, kNode, kSmall))));
  run("forged inner source: dropped", MERINO_FORGED, wire(tunnelled(udp_of(kPodAtPeer3, kPodA, kSmall))));
  run("unknown sender: dropped", MERINO_UNKNOWN_SENDER, wire(tunnelled(udp_of(kOutside, kPodA, kSmall), {.src = kStranger})));
}

void measure_wire_xdp(Bench& bench, const LoadedPrograms& programs, const Topology& topology) {
  using namespace test;
  LoadedWireXdp xdp(programs, topology.config());
  bench.measure_xdp(xdp, "not of the tunnel: passes", MERINO_REASON_COUNT, ethernet(kUplinkMac, kWireMac, udp_of(kPeer2, kNode, kSmall)));
  bench.measure_xdp(xdp, "from a peer: passes", MERINO_REASON_COUNT, tunnelled(udp_of(kPodAtPeer2, kPodA, kSmall)));
  bench.measure_xdp(xdp, "forged inner source: dropped", MERINO_FORGED, tunnelled(udp_of(kPodAtPeer3, kPodA, kSmall)));
  bench.measure_xdp(xdp, "unknown sender: dropped", MERINO_UNKNOWN_SENDER, tunnelled(udp_of(kOutside, kPodA, kSmall), {.src = kStranger}));
}

void measure_device(Bench& bench, LoadedPrograms& programs) {
  using namespace test;
  const TunnelKey key{kVni, number(kPeer2), number(kNode)};
  const Packet delivered{inner_frame(tcp_of(kPodAtPeer2, kPodA, kLarge)), Topology::ifindex("merino0"), kLarge, &key};
  bench.measure(programs, Program::from_tunnel, "GRO aggregate to a pod", MERINO_TUNNEL, {delivered});
  const auto host = [](const Tins::IP& ip) { return on("merino0", ethernet(kVtep2Mac, kVtepMac, ip)); };
  bench.measure(programs, Program::from_host, "to a peer (vxlan), 64 B", MERINO_HOST_ENCAP, host(udp_of(kNode, kPodAtPeer2, kSmall)));
  bench.measure(programs, Program::from_host, "to nobody's subnet: dropped", MERINO_NO_PEER, host(udp_of(kNode, kNoSubnet, kSmall)));
}

void measure_direct(Bench& bench, const Topology& topology) {
  using namespace test;
  merino_config config = topology.config();
  config.direct = 1;
  LoadedPrograms programs(config);
  programs.fill_direct();
  bench.measure(programs, Program::from_pod, "to a peer (direct), 64 B", MERINO_DIRECT,
                on("vetha", from_pod_a(udp_of(kPodA, kPodAtPeer2, kSmall))));
  bench.measure(programs, Program::from_wire, "to a pod (direct), 64 B", MERINO_DIRECT_IN,
                on("uplink", ethernet(kUplinkMac, kWireMac, udp_of(kPodAtPeer2, kPodA, kSmall))));
}

// The whole of 10.0.0.0/8 but this node's network in subnets of 24 bits, and packets to `sample` of them, in no order.
void measure_scale(Bench& bench, const Topology& topology, uint32_t peers) {
  using namespace test;
  constexpr size_t kSample = 1024;
  LoadedPrograms programs(topology.config());
  programs.fill();
  std::vector<uint32_t> subnets;
  for (uint32_t i = 0; subnets.size() < peers; ++i) {
    const uint32_t subnet = 0x0a000000U + (i << 8U);
    if ((subnet >> 16U) != 0x0af4U) subnets.push_back(subnet);
  }
  std::vector<merino_peer_key> keys(peers);
  std::vector<merino_peer> values(peers);
  for (uint32_t i = 0; i < peers; ++i) {
    keys[i] = to_abi(Prefix(IpAddress::from_v4(subnets[i]), 24));
    values[i].underlay = to_abi(IpAddress::from_v4(0xac100000U + i));
    values[i].kind = MERINO_PEER_VXLAN;
  }
  uint32_t count = peers;
  if (bpf_map_update_batch(programs.peers_fd(), keys.data(), values.data(), &count, nullptr) != 0) throw std::runtime_error("fill peers");
  std::mt19937 random(1);
  std::vector<Packet> packets;
  for (size_t i = 0; i < kSample; ++i) {
    const uint32_t target = subnets[random() % peers] + 9;
    const Frame frame = from_pod_a(udp_of(kPodA, IpAddress::from_v4(target).to_string(), kSmall));
    packets.push_back({frame, Topology::ifindex("vetha"), 0, nullptr});
  }
  bench.measure(programs, Program::from_pod, fmt::format("to one of {} peers (vxlan) at random, 64 B", peers), MERINO_ENCAP, packets);
  bench.measure(programs, Program::from_pod, fmt::format("to the same one of {} peers (vxlan), 64 B", peers), MERINO_ENCAP,
                {packets.front()});
}

void run(int runs) {
  using namespace test;
  const Topology topology;
  LoadedPrograms programs(topology.config());
  programs.fill();
  add_translated_flows(topology);

  Bench bench(runs);
  measure_from_pod(bench, programs);
  measure_from_wire(bench, programs);
  measure_wire_xdp(bench, programs, topology);
  measure_device(bench, programs);
  measure_direct(bench, topology);
  for (const uint32_t peers : {2U, 1000U, 5000U, 65000U}) measure_scale(bench, topology, peers);
  bench.sizes(programs);
  bench.print();
}

}  // namespace

}  // namespace merino::bench

int main(int argc, char** argv) {
  try {
    merino::bench::run(argc > 1 ? std::stoi(argv[1]) : 5000);
  } catch (const std::exception& error) {
    fmt::print(stderr, "program_cost: {}\n", error.what());
    return 1;
  }
  return 0;
}
