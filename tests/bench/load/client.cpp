#include "load/client.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace load {

namespace {

using std::chrono::milliseconds;

sockaddr_in port_of(const Run& run, int offset) {
  sockaddr_in out = run.server;
  out.sin_port = htons(static_cast<uint16_t>(ntohs(out.sin_port) + offset));
  return out;
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// True: answered. A UDP packet or its answer may be lost, which ends the wait for it and nothing else.
bool transact(const merino::Fd& fd, Transport transport, std::vector<char>& packet) {
  const auto size = static_cast<ssize_t>(packet.size());
  if (::send(fd.get(), packet.data(), packet.size(), MSG_NOSIGNAL) != size) die("send");
  const ssize_t received = ::recv(fd.get(), packet.data(), packet.size(), 0);
  if (received != size && transport == Transport::tcp) die("no answer");
  return received == size;
}

// Runs `once` again and again in each of `flows` threads until the time is over; how often it said true per second.
double rate(const Run& run, const std::function<std::function<bool()>()>& make_flow) {
  std::vector<std::function<bool()>> flows;
  for (int i = 0; i < run.flows; ++i) flows.push_back(make_flow());
  std::vector<uint64_t> counts(flows.size());
  std::vector<std::thread> threads;
  const auto start = Clock::now();
  const auto end = start + run.time;
  for (size_t i = 0; i < flows.size(); ++i) {
    threads.emplace_back([&, i] {
      uint64_t count = 0;
      while (Clock::now() < end) count += flows[i]() ? 1 : 0;
      counts[i] = count;
    });
  }
  for (std::thread& thread : threads) thread.join();
  const double took = seconds_since(start);
  uint64_t sum = 0;
  for (const uint64_t count : counts) sum += count;
  return static_cast<double>(sum) / took;
}

uint64_t ask_count(const Run& run) {
  const merino::Fd fd = connect_to(Transport::tcp, port_of(run, 3));
  std::string text(32, '\0');
  const ssize_t size = ::recv(fd.get(), text.data(), text.size(), MSG_WAITALL);
  if (size <= 0) die("no count");
  return std::stoull(text.substr(0, static_cast<size_t>(size)));
}

}  // namespace

double request_response(const Run& run, Transport transport) {
  const bool udp = transport == Transport::udp;
  return rate(run, [&] {
    auto fd = std::make_shared<merino::Fd>(connect_to(transport, port_of(run, udp ? 2 : 0)));
    auto packet = std::make_shared<std::vector<char>>(udp ? run.size : 1, 'm');
    transact(*fd, transport, *packet);  // the path is warm when the clock starts
    return [fd, packet, transport] { return transact(*fd, transport, *packet); };
  });
}

double connect_request_response(const Run& run) {
  const sockaddr_in server = port_of(run, 1);
  return rate(run, [&]() -> std::function<bool()> {
    return [server] {
      const merino::Fd fd = connect_to(Transport::tcp, server);
      std::vector<char> byte(1, 'm');
      transact(fd, Transport::tcp, byte);
      char end = 0;
      return ::recv(fd.get(), &end, 1, 0) == 0;  // the server closes first, and has the TIME_WAIT
    };
  });
}

double flood(const Run& run) {
  constexpr milliseconds kOnTheirWay{50};
  const merino::Fd fd = connect_to(Transport::udp, port_of(run, 3));
  const std::vector<char> packet(run.size, 'm');
  (void)ask_count(run);
  const auto start = Clock::now();
  const auto end = start + run.time;
  while (Clock::now() < end) {
    if (::send(fd.get(), packet.data(), packet.size(), MSG_NOSIGNAL) < 0 && errno != ENOBUFS) die("send");
  }
  const double took = seconds_since(start);
  std::this_thread::sleep_for(kOnTheirWay);
  return static_cast<double>(ask_count(run)) / took;
}

}  // namespace load
