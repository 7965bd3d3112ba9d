// peer_sync COUNT: milliseconds of CPU that PeerTable::sync() takes with so many peers, on maps of its own in this mount namespace's bpffs:
// all of them new, none changed, one changed; and all removed. One line each.
#include <fmt/format.h>

#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "datapath/peer_table.h"
#include "datapath/programs.h"

namespace {

using merino::Peer;
using merino::Status;

std::vector<Peer> make_peers(uint32_t count) {
  std::vector<Peer> peers;
  for (uint32_t i = 0; i < count; ++i) {
    peers.push_back({.subnet = merino::Prefix(merino::IpAddress::from_v4(0x0a000000U + (i << 8U)), 24),
                     .underlay = merino::IpAddress::from_v4(0xac100000U + i),
                     .vtep_mac = merino::MacAddress({2, 0, 0, 0, 0, 1}),
                     .kind = merino::PeerKind::vxlan});
  }
  return peers;
}

double cpu_milliseconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

Status time_sync(const std::vector<Peer>& peers) {
  const double start = cpu_milliseconds();
  TRY(merino::PeerTable().sync(peers));
  fmt::print("{:.3f}\n", cpu_milliseconds() - start);
  return merino::ok();
}

Status run(uint32_t count) {
  TRY(merino::ensure_bpffs());
  TRY(merino::load_programs(merino_config{}));
  std::vector<Peer> peers = make_peers(count);
  TRY(time_sync(peers));
  TRY(time_sync(peers));
  peers.back().vtep_mac = merino::MacAddress({2, 0, 0, 0, 0, 2});
  TRY(time_sync(peers));
  return time_sync({});
}

}  // namespace

int main(int argc, char** argv) {
  const Status ran = run(argc > 1 ? static_cast<uint32_t>(std::stoul(argv[1])) : 5000);
  if (ran) return 0;
  fmt::print(stderr, "peer_sync: {}\n", ran.error().message());
  return 1;
}
