#include "lab/load.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <csignal>

namespace merino::lab {

Load::Load(const Place& from, const Place& to, const std::string& address, int port, Requests requests)
    : name_(from.name() + " to " + address),
      server_(to, port),
      ping_(start_traffic(from, "ping --until-signal 1 --interval-us 1000 --to " + address)),
      udp_(start_traffic(from, fmt::format("udp --until-signal 1 --interval-us {} --payload 200 --to {}",
                                           requests == Requests::many ? 100 : 1000, endpoint(address, port)))),
      tcp_(start_traffic(from, "tcp --until-signal 1 --interval-us 1000 --payload 1000 --to " + endpoint(address, port))) {}

void Load::expect_whole(const std::string& event) {
  for (Process* process : {&ping_, &udp_, &tcp_}) EXPECT_TRUE(process->running()) << process->log();
  for (const Process* process : {&ping_, &udp_, &tcp_}) process->signal(SIGTERM);
  for (Process* process : {&ping_, &udp_, &tcp_}) process->wait();
  const TrafficResult pings = traffic_result(ping_);
  const TrafficResult udp = traffic_result(udp_);
  const TrafficResult tcp = traffic_result(tcp_);
  fmt::print("{}, {}: ping {} of {} lost; UDP {} of {} lost, longest gap {} us; TCP {} bytes, {}, {} retransmits\n", event, name_,
             pings.lost, pings.sent, udp.lost, udp.sent, udp.longest_gap_us, tcp.sent, tcp.ok ? "whole" : "damaged", tcp.retransmits);
  EXPECT_TRUE(pings.ok) << pings.line;
  EXPECT_GT(pings.sent, 10U) << pings.line;
  EXPECT_TRUE(udp.ok) << udp.line;
  EXPECT_TRUE(tcp.ok) << tcp.line;
}

}  // namespace merino::lab
