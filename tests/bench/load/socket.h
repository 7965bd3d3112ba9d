// Sockets of the load generator. An error ends the process: a measurement that went half wrong is none.
#pragma once

#include <netinet/in.h>

#include <chrono>
#include <cstdint>
#include <string>

#include "base/fd.h"

namespace load {

using Clock = std::chrono::steady_clock;

enum class Transport { tcp, udp };

[[noreturn]] void die(const std::string& what);        // with errno's text
[[noreturn]] void die_plain(const std::string& what);  // without

sockaddr_in endpoint(const std::string& address, uint16_t port);
merino::Fd listen_on(Transport transport, const sockaddr_in& local);
// Connected; reads give up after some seconds, so that a lost packet ends a measurement and not the run.
merino::Fd connect_to(Transport transport, const sockaddr_in& remote);

}  // namespace load
