// netload: the servers and the measurements of scripts/bench, except for throughput, which is iperf3's.
//   netload serve ADDRESS PORT
//   netload tcp_rr|tcp_crr|udp_rr|udp_flood ADDRESS PORT MILLISECONDS [FLOWS [BYTES]]     prints the rate per second
#include <cstdio>
#include <span>
#include <string>

#include "load/client.h"
#include "load/server.h"

namespace {

constexpr const char* kUsage = "usage: netload serve|tcp_rr|tcp_crr|udp_rr|udp_flood ADDRESS PORT [MILLISECONDS [FLOWS [BYTES]]]";

double measure(const std::string& what, const load::Run& run) {
  if (what == "tcp_rr") return load::request_response(run, load::Transport::tcp);
  if (what == "udp_rr") return load::request_response(run, load::Transport::udp);
  if (what == "tcp_crr") return load::connect_request_response(run);
  if (what == "udp_flood") return load::flood(run);
  load::die_plain(kUsage);
}

}  // namespace

int main(int argc, char** argv) {
  const std::span<char*> arguments(argv, static_cast<size_t>(argc));
  const auto number = [&](size_t index, int fallback) { return arguments.size() > index ? std::stoi(arguments[index]) : fallback; };
  if (arguments.size() < 4) load::die_plain(kUsage);
  const sockaddr_in endpoint = load::endpoint(arguments[2], static_cast<uint16_t>(number(3, 0)));
  const std::string what = arguments[1];
  if (what == "serve") load::serve(endpoint);
  const load::Run run{endpoint, std::chrono::milliseconds(number(4, 1000)), number(5, 1), static_cast<size_t>(number(6, 1))};
  std::printf("%.1f\n", measure(what, run));
  return 0;
}
