// One port, TCP and UDP. A UDP request comes back from the address it was sent to, every byte changed.
#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdio>
#include <thread>
#include <vector>

#include "traffic/arguments.h"
#include "traffic/stream.h"

namespace traffic {
namespace {

void echo(int fd, std::vector<uint8_t>& buffer) {
  Endpoint client{};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in6_pktinfo))];
  iovec data{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_name = &client;
  message.msg_namelen = sizeof(client);
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  const ssize_t got = ::recvmsg(fd, &message, MSG_DONTWAIT);
  if (got < 0) return;
  for (ssize_t i = 0; i < got; i++) buffer[static_cast<size_t>(i)] ^= kEchoMask;
  // The control data goes back as it came, but by whichever interface the route says.
  if (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr && header->cmsg_type == IPV6_PKTINFO) {
    in6_pktinfo info{};
    std::memcpy(&info, CMSG_DATA(header), sizeof(info));
    info.ipi6_ifindex = 0;
    std::memcpy(CMSG_DATA(header), &info, sizeof(info));
  }
  data.iov_len = static_cast<size_t>(got);
  ::sendmsg(fd, &message, 0);
}

void accept_one(int listener) {
  merino::Fd connection(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) return;
  std::thread([fd = connection.release()] {
    try {
      serve_tcp(merino::Fd(fd));
    } catch (const Failure& failure) {
      fmt::print(stderr, "{}\n", failure.what());
    }
  }).detach();
}

}  // namespace

int serve(const Arguments& arguments) {
  Endpoint local = parse_endpoint(arguments.text("bind", "::"));
  local.sin6_port = htons(static_cast<uint16_t>(arguments.number("port", 0)));
  const merino::Fd tcp = open_socket(SOCK_STREAM);
  const merino::Fd udp = open_socket(SOCK_DGRAM);
  for (const merino::Fd* socket : {&tcp, &udp}) bind_to(socket->get(), local);
  const int on = 1;
  const int size = kSocketBuffer;
  ::setsockopt(udp.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &on, sizeof(on));
  ::setsockopt(udp.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
  ::setsockopt(udp.get(), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
  if (::listen(tcp.get(), 128) != 0) fail_errno("listen");
  fmt::print("ready\n");
  std::fflush(stdout);

  std::vector<uint8_t> buffer(65536);
  pollfd sockets[2] = {{tcp.get(), POLLIN, 0}, {udp.get(), POLLIN, 0}};
  for (;;) {
    if (::poll(sockets, 2, -1) < 0) continue;
    if ((sockets[0].revents & POLLIN) != 0) accept_one(tcp.get());
    if (sockets[1].revents != 0) echo(udp.get(), buffer);
  }
}

}  // namespace traffic
