#include "load/server.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <string>
#include <thread>

#include "load/socket.h"

namespace load {

namespace {

constexpr int kBatch = 64;

merino::Fd listen_at(Transport transport, sockaddr_in local, int offset) {
  local.sin_port = htons(static_cast<uint16_t>(ntohs(local.sin_port) + offset));
  return listen_on(transport, local);
}

merino::Fd next_connection(int listener) {
  merino::Fd connection(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
  if (!connection) die("accept");
  return connection;
}

void echo_connection(const merino::Fd& connection) {
  char byte = 0;
  while (::recv(connection.get(), &byte, 1, 0) == 1) {
    if (::send(connection.get(), &byte, 1, MSG_NOSIGNAL) != 1) return;
  }
}

[[noreturn]] void serve_echo(const merino::Fd& listener) {
  while (true) std::thread([connection = next_connection(listener.get())] { echo_connection(connection); }).detach();
}

[[noreturn]] void serve_one_request(const merino::Fd& listener) {
  while (true) {
    const merino::Fd connection = next_connection(listener.get());
    char byte = 0;
    if (::recv(connection.get(), &byte, 1, 0) == 1) (void)::send(connection.get(), &byte, 1, MSG_NOSIGNAL);
  }
}

[[noreturn]] void serve_udp_echo(const merino::Fd& fd) {
  std::array<char, 2048> packet{};
  while (true) {
    sockaddr_in from{};
    socklen_t len = sizeof(from);
    const ssize_t size = ::recvfrom(fd.get(), packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&from), &len);
    if (size >= 0) (void)::sendto(fd.get(), packet.data(), static_cast<size_t>(size), 0, reinterpret_cast<const sockaddr*>(&from), len);
  }
}

[[noreturn]] void count_packets(const merino::Fd& fd, std::atomic<uint64_t>& count) {
  std::array<std::array<char, 2048>, kBatch> packets{};
  std::array<iovec, kBatch> parts{};
  std::array<mmsghdr, kBatch> messages{};
  for (size_t i = 0; i < packets.size(); ++i) {
    parts[i] = {packets[i].data(), packets[i].size()};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  while (true) {
    const int received = ::recvmmsg(fd.get(), messages.data(), kBatch, MSG_WAITFORONE, nullptr);
    if (received > 0) count += static_cast<uint64_t>(received);
  }
}

[[noreturn]] void tell_count(const merino::Fd& listener, std::atomic<uint64_t>& count) {
  while (true) {
    const merino::Fd connection = next_connection(listener.get());
    const std::string text = std::to_string(count.exchange(0)) + "\n";
    (void)::send(connection.get(), text.data(), text.size(), MSG_NOSIGNAL);
  }
}

}  // namespace

void serve(const sockaddr_in& local) {
  const merino::Fd echo = listen_at(Transport::tcp, local, 0);
  const merino::Fd request = listen_at(Transport::tcp, local, 1);
  const merino::Fd udp_echo = listen_at(Transport::udp, local, 2);
  const merino::Fd sink = listen_at(Transport::udp, local, 3);
  const merino::Fd counter = listen_at(Transport::tcp, local, 3);
  std::atomic<uint64_t> count = 0;
  std::thread([&] { serve_one_request(request); }).detach();
  std::thread([&] { serve_udp_echo(udp_echo); }).detach();
  std::thread([&] { count_packets(sink, count); }).detach();
  std::thread([&] { tell_count(counter, count); }).detach();
  std::puts("ready");
  std::fflush(stdout);
  serve_echo(echo);
}

}  // namespace load
