#include "lab/traffic.h"

#include <fmt/core.h>

#include <cstdio>
#include <nlohmann/json.hpp>

#ifndef TRAFFIC
#define TRAFFIC "traffic"
#endif

namespace merino::lab {
namespace {

TrafficResult parse_result(const std::string& text) {
  TrafficResult result;
  result.line = text;
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return result;
  result.ok = json.value("ok", false);
  result.seen_as = json.value("seen_as", "");
  result.sent = json.value("sent", uint64_t{0});
  result.received = json.value("received", uint64_t{0});
  result.lost = json.value("lost", uint64_t{0});
  result.longest_gap_us = json.value("longest_gap_us", uint64_t{0});
  result.retransmits = json.value("retransmits", uint64_t{0});
  result.mss = json.value("mss", uint64_t{0});
  return result;
}

}  // namespace

TrafficServer::TrafficServer(const Place& where, int port, const std::string& arguments)
    : process_(where.start(fmt::format("exec {} serve --port {} {}", TRAFFIC, port, arguments))) {
  process_.wait_for_log("ready");
}

TrafficResult traffic(const Place& where, const std::string& arguments) {
  const Output output = where.run(fmt::format("exec {} {}", TRAFFIC, arguments), "", std::chrono::seconds(60));
  return parse_result(output.out + output.err);
}

Process start_traffic(const Place& where, const std::string& arguments) {
  return where.start(fmt::format("exec {} {}", TRAFFIC, arguments));
}

TrafficResult traffic_result(const Process& process) { return parse_result(process.log()); }

std::string endpoint(const std::string& address, int port) {
  return address.find(':') == std::string::npos ? fmt::format("{}:{}", address, port) : fmt::format("[{}]:{}", address, port);
}

PingResult ping(const Place& where, const std::string& arguments) { return ping_result(where.run("ping -n -q " + arguments).out); }

PingResult ping_result(const std::string& text) {
  PingResult result;
  result.text = text;
  const size_t line = text.find(" packets transmitted");
  if (line == std::string::npos) return result;
  const size_t start = text.rfind('\n', line) + 1;
  if (std::sscanf(text.c_str() + start, "%lu packets transmitted, %lu received", &result.sent, &result.received) != 2) result.sent = 0;
  if (text.find("wrong data") != std::string::npos) result.received = 0;
  return result;
}

}  // namespace merino::lab
