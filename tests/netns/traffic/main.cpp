// traffic: sends pseudo-random content and compares every byte that arrives. One JSON line on standard output; exit code 0 only if
// everything arrived and was right.
// An ADDR with a port is 10.0.0.1:80 or [fd00::1]:80.
//
//   traffic serve  --port P [--bind ADDR]                 TCP and UDP server of both families; prints "ready" when it listens
//   traffic tcp    --to ADDR:P --up BYTES --down BYTES    [--payload N] [--connections N] [--interval-us N] [--timeout MS] [--bind A[:P]]
//   traffic udp    --to ADDR:P --payload N --count N      [--interval-us N] [--gso N] [--sockets N] [--pmtu do|dont|want] [--timeout MS]
//   traffic ping   --to ADDR --count N                    [--interval-us N] [--timeout MS]
//                  tcp, udp and ping: --until-signal 1 sends until SIGTERM comes, whatever --up or --count says
//   traffic vxlan  --to ADDR:P --vni N --source-mac M --target-mac M --inner-from A --inner-to A:P [--count N]   a forged tunnel packet
//   traffic udp-tunnel --to ADDR:P --inner-from A --inner-to A:P [--count N]   the same of the udp backend
//   traffic spoof  --from ADDR --to ADDR:P [--count N]    UDP with a source address that is not the sender's
//   traffic neighbour --kind advertisement|redirect|answer|question|arp --source-mac M --target-mac M --from A --to A [--target A]
//                  [--about A] [--interface NAME] [--count N]   neighbour discovery and ARP in a frame of one's own
#include <fmt/core.h>

#include <csignal>

#include "traffic/arguments.h"

namespace {
volatile std::sig_atomic_t stop = 0;
}

bool traffic::stop_requested() { return stop != 0; }

int main(int argc, char** argv) {
  using namespace traffic;
  ::signal(SIGPIPE, SIG_IGN);
  const std::string command = argc > 1 ? argv[1] : "";
  try {
    const Arguments arguments(argc - 2, argv + 2);
    if (arguments.number("until-signal", 0) != 0) ::signal(SIGTERM, [](int) { stop = 1; });
    if (command == "serve") return serve(arguments);
    if (command == "tcp") return tcp_client(arguments);
    if (command == "udp") return udp_client(arguments);
    if (command == "ping") return ping(arguments);
    if (command == "vxlan") return forge_vxlan(arguments);
    if (command == "udp-tunnel") return forge_udp(arguments);
    if (command == "spoof") return forge_source(arguments);
    if (command == "neighbour") return forge_neighbour(arguments);
    throw Failure("unknown command \"" + command + "\"; see the head of tests/netns/traffic/main.cpp");
  } catch (const std::exception& error) {
    std::string text = error.what();
    for (char& c : text) {
      if (c == '"' || c == '\\') c = '\'';
    }
    fmt::print("{{\"ok\":false,\"error\":\"{}\"}}\n", text);
    return 1;
  }
}
