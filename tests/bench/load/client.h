// The measurements. Each runs for about the given time and says how often per second.
#pragma once

#include <netinet/in.h>

#include <chrono>

#include "load/socket.h"

namespace load {

struct Run {
  sockaddr_in server{};               // the first port of server.h
  std::chrono::milliseconds time{0};  // how long
  int flows = 1;                      // each a thread and a socket of its own
  size_t size = 1;                    // bytes of payload, UDP
};

// One byte there and back (UDP: `size`), the next when the answer has come. Transactions per second of all flows together.
double request_response(const Run& run, Transport transport);
// A new connection for each: connect, one byte there and back, closed. Connections per second.
double connect_request_response(const Run& run);
// One sender that does not wait for anything. Packets per second that the server's process got.
double flood(const Run& run);

}  // namespace load
