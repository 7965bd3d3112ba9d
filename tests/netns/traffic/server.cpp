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

merino::Fd listen_on(const sockaddr_in& local, int type) {
  merino::Fd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
  if (!fd) fail_errno("socket");
  const int on = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&local), sizeof(local)) != 0) fail_errno("bind " + to_text(local));
  return fd;
}

void echo(int fd, std::vector<uint8_t>& buffer) {
  sockaddr_in client{};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(in_pktinfo))];
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
  if (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr && header->cmsg_type == IP_PKTINFO) {
    in_pktinfo info{};
    std::memcpy(&info, CMSG_DATA(header), sizeof(info));
    info.ipi_spec_dst = info.ipi_addr;
    info.ipi_ifindex = 0;
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
  sockaddr_in local = parse_endpoint(arguments.text("bind", "0.0.0.0"));
  local.sin_port = htons(static_cast<uint16_t>(arguments.number("port", 0)));
  const merino::Fd tcp = listen_on(local, SOCK_STREAM);
  const merino::Fd udp = listen_on(local, SOCK_DGRAM);
  const int on = 1;
  const int size = 8 << 20;
  ::setsockopt(udp.get(), IPPROTO_IP, IP_PKTINFO, &on, sizeof(on));
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
