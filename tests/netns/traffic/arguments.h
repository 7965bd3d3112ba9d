// Command line and sockets of the traffic tool. Errors are exceptions of type Failure: main prints them as the JSON line and exits with 1.
#pragma once

#include <netinet/in.h>

#include <chrono>
#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>

#include "base/address.h"
#include "base/fd.h"

namespace traffic {

using Clock = std::chrono::steady_clock;

class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// "--name value" pairs.
class Arguments {
 public:
  Arguments(int argc, char** argv);
  [[nodiscard]] std::string text(const std::string& name, const std::string& fallback) const;
  [[nodiscard]] std::string text(const std::string& name) const;  // mandatory
  [[nodiscard]] uint64_t number(const std::string& name, uint64_t fallback) const;
  // Times and paces are stretched by MERINO_SLOWDOWN, a number in the environment: how much slower an emulated machine is.
  [[nodiscard]] std::chrono::milliseconds milliseconds(const std::string& name, uint64_t fallback) const;
  [[nodiscard]] std::chrono::microseconds microseconds(const std::string& name, uint64_t fallback) const;

 private:
  std::map<std::string, std::string> values_;
};

// Of UDP sockets, each way: room for the seconds that a busy machine lets a process wait.
inline constexpr int kSocketBuffer = 64 << 20;

// Both families in one type: IPv4 is ::ffff:a.b.c.d, and the kernel sends and takes IPv4 packets for it.
using Endpoint = sockaddr_in6;

// "10.0.0.1:80", "[fd00::1]:80", or an address alone (port 0).
Endpoint parse_endpoint(const std::string& text);
merino::IpAddress address_of(const Endpoint& endpoint);
std::string to_text(const Endpoint& endpoint);

// A socket of the type for both families.
merino::Fd open_socket(int type);
void bind_to(int fd, const Endpoint& local);
// The same, bound to --bind if that is given.
merino::Fd open_client_socket(const Arguments& arguments, int type);
void set_timeout(int fd, std::chrono::milliseconds timeout);
[[noreturn]] void fail_errno(const std::string& what);
inline double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Set by SIGTERM: clients with --until-signal 1 stop sending, wait for what is on its way, and report.
bool stop_requested();

int serve(const Arguments& arguments);
int tcp_client(const Arguments& arguments);
int udp_client(const Arguments& arguments);
int ping(const Arguments& arguments);
int forge_vxlan(const Arguments& arguments);
int forge_udp(const Arguments& arguments);
int forge_source(const Arguments& arguments);
int forge_neighbour(const Arguments& arguments);

// The server's side of one TCP connection.
void serve_tcp(merino::Fd connection);

}  // namespace traffic
