// The servers that every measurement talks to.
#pragma once

#include <netinet/in.h>

namespace load {

// Serves until the process is ended, on the port of `local` and the three that follow:
//   +0  TCP: sends back what comes, byte by byte
//   +1  TCP: one byte in, one byte back, and the connection is closed by the server
//   +2  UDP: sends back each packet
//   +3  UDP: counts packets. On TCP: each connection gets the count as decimal text, and the count begins anew.
// Prints "ready" when all of them listen.
[[noreturn]] void serve(const sockaddr_in& local);

}  // namespace load
