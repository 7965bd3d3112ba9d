// peer_watch: for each subnet on standard input ("10.9.8.0/24"), waits until merinod has it in its pinned map of peers and prints when that
// was, in nanoseconds of CLOCK_MONOTONIC. Says "ready" first.
#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <iostream>
#include <string>
#include <thread>

#include "abi.h"
#include "base/address.h"
#include "datapath/convert.h"
#include "datapath/map.h"

namespace {

using Clock = std::chrono::steady_clock;
using PeerMap = merino::Map<merino_peer_key, merino_peer>;

constexpr std::chrono::microseconds kPause{20};
constexpr std::chrono::seconds kPatience{30};

merino::Status wait_for(const PeerMap& peers, const merino::Prefix& subnet) {
  const merino_peer_key key = merino::to_abi(subnet);
  const auto end = Clock::now() + kPatience;
  merino_peer value{};
  while (!TRY(peers.lookup(key, value))) {
    if (Clock::now() > end) return merino::fail(merino::ErrorKind::unavailable, "{} did not come", subnet.to_string());
    std::this_thread::sleep_for(kPause);
  }
  return merino::ok();
}

merino::Status watch() {
  const auto peers = TRY(PeerMap::open("peers"));
  fmt::print("ready\n");
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) {
    const merino::Prefix subnet = TRY(merino::Prefix::parse(line));
    TRY(wait_for(peers, subnet));
    fmt::print("{}\n", Clock::now().time_since_epoch().count());
    std::fflush(stdout);
  }
  return merino::ok();
}

}  // namespace

int main() {
  const auto watched = watch();
  if (watched) return 0;
  fmt::print(stderr, "peer_watch: {}\n", watched.error().message());
  return 1;
}
