#include "programs/stopwatch.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>

#include "yardstick.skel.h"

namespace merino::bench {

namespace {

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error(what + ": " + std::strerror(errno)); }

// The mean of the middle half: finer than the clock's steps, and blind to interrupts.
double middle(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const auto quarter = static_cast<std::ptrdiff_t>(values.size() / 4);
  const auto count = static_cast<double>(values.size() - 2 * (values.size() / 4));
  return std::accumulate(values.begin() + quarter, values.end() - quarter, 0.0) / count;
}

}  // namespace

Stopwatch::Stopwatch(int runs) : runs_(runs), yardstick_(yardstick_bpf__open_and_load()) {
  if (yardstick_ == nullptr) fail("load the yardstick");
}

Stopwatch::~Stopwatch() { yardstick_bpf__destroy(yardstick_); }

// The program that a packet is given to, so that the one under test sees it with all that belongs to it.
int Stopwatch::entry(int program_fd, const Packet& packet) {
  if (packet.tunnel == nullptr) return program_fd;
  // Programs can make keys for sending only: the addresses stand the other way round.
  bpf_tunnel_key key{};
  key.tunnel_id = packet.tunnel->vni;
  key.remote_ipv4 = packet.tunnel->local;
  key.local_ipv4 = packet.tunnel->remote;
  const uint32_t zero = 0;
  if (bpf_map_update_elem(bpf_map__fd(yardstick_->maps.tunnel_key), &zero, &key, BPF_ANY) != 0) fail("set the tunnel key");
  if (bpf_map_update_elem(bpf_map__fd(yardstick_->maps.next), &zero, &program_fd, BPF_ANY) != 0) fail("set the next program");
  return bpf_program__fd(yardstick_->progs.with_tunnel_key);
}

std::vector<double> Stopwatch::durations(int program_fd, const std::vector<Packet>& packets) {
  const int fd = entry(program_fd, packets.front());
  std::vector<double> out;
  out.reserve(static_cast<size_t>(runs_));
  for (int run = 0; run < runs_; ++run) {
    const Packet& packet = packets[static_cast<size_t>(run) % packets.size()];
    __sk_buff context{};
    context.ifindex = packet.ifindex;
    context.gso_size = packet.gso_size;
    LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = packet.frame.data(), .data_size_in = static_cast<uint32_t>(packet.frame.size()),
                .ctx_in = &context, .ctx_size_in = sizeof(context));
    if (bpf_prog_test_run_opts(fd, &options) != 0) fail("run a program");
    out.push_back(options.duration);
  }
  return out;
}

// Program and yardstick in turn, so that both meet the same machine.
double Stopwatch::measure(int program_fd, const std::vector<Packet>& packets) {
  constexpr int kTurns = 8;
  std::vector<double> costs;
  for (int turn = 0; turn < kTurns; ++turn) {
    const double nothing = middle(durations(bpf_program__fd(yardstick_->progs.empty), packets));
    costs.push_back(middle(durations(program_fd, packets)) - nothing);
  }
  return middle(costs);
}

}  // namespace merino::bench
