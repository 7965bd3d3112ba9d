#include "load/socket.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace load {

namespace {

constexpr int kBacklog = 1024;
constexpr int kBuffer = 4 << 20;  // a receiver that is not scheduled for some milliseconds loses nothing
constexpr timeval kPatience{5, 0};

merino::Fd open_socket(Transport transport) {
  merino::Fd fd(::socket(AF_INET, (transport == Transport::tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
  if (!fd) die("socket");
  const int on = 1;
  if (transport == Transport::tcp) ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  if (transport == Transport::udp) ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kBuffer, sizeof(kBuffer));
  return fd;
}

}  // namespace

void die(const std::string& what) { die_plain(what + ": " + std::strerror(errno)); }

void die_plain(const std::string& what) {
  std::fprintf(stderr, "netload: %s\n", what.c_str());
  std::exit(1);
}

sockaddr_in endpoint(const std::string& address, uint16_t port) {
  sockaddr_in out{};
  out.sin_family = AF_INET;
  out.sin_port = htons(port);
  if (::inet_pton(AF_INET, address.c_str(), &out.sin_addr) != 1) die_plain("\"" + address + "\" is no IPv4 address");
  return out;
}

merino::Fd listen_on(Transport transport, const sockaddr_in& local) {
  merino::Fd fd = open_socket(transport);
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0) die("bind");
  if (transport == Transport::tcp && ::listen(fd.get(), kBacklog) != 0) die("listen");
  return fd;
}

merino::Fd connect_to(Transport transport, const sockaddr_in& remote) {
  merino::Fd fd = open_socket(transport);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof(kPatience));
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&remote), sizeof(remote)) != 0) die("connect");
  return fd;
}

}  // namespace load
